//! What `/proc` shows of a thread in a system call → the call on a device's file.

use remap_common::{record::ARGUMENT_BYTES, uapi};

use super::{call, split};
use crate::event::EarlyCall;

/// How many functions are told.
const FRAMES: usize = 8;

/// The call on the device's file that is the first of `arguments`; `None` if the system call is none
/// that is told. `memory` reads what an ioctl points to: at most so many bytes from that address.
pub fn early(
    number: i64,
    arguments: &[u64; 6],
    memory: impl FnOnce(u64, usize) -> Vec<u8>,
) -> Option<EarlyCall> {
    let [_, request, pointer, offset, ..] = *arguments;
    let (region, offset) = split(offset);
    let told = region == uapi::VFIO_PCI_CONFIG_REGION_INDEX
        || region >= uapi::VFIO_PCI_NUM_REGIONS && offset == 0;
    Some(match number {
        // The kernel takes the lower half.
        uapi::SYS_IOCTL => {
            EarlyCall::Ioctl(call::call(request as u32, &memory(pointer, ARGUMENT_BYTES)))
        }
        uapi::SYS_PWRITE64 if told => EarlyCall::Write { region },
        _ => return None,
    })
}

/// The functions of a kernel stack as `/proc/PID/task/TID/stack` shows it, from the innermost to the
/// one that serves the system call.
pub fn waits_in(stack: &str) -> Vec<String> {
    let function = |line: &str| {
        let (_, frame) = line.split_once("] ")?;
        let (name, _) = frame.split_once('+')?;
        Some(name.to_owned())
    };
    let inside = |name: &String| !name.starts_with("__x64_sys_") && name != "do_syscall_64";
    stack
        .lines()
        .filter_map(function)
        .take_while(inside)
        .take(FRAMES)
        .collect()
}

#[cfg(test)]
mod tests {
    use remap_common::uapi::{
        VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_SET,
        VFIO_PCI_OFFSET_SHIFT,
    };

    use super::*;
    use crate::event::{Call, DeviceState};

    #[test]
    fn a_state_change_is_read_from_its_callers_memory() {
        let words = [
            16,
            VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
            3,
            u32::MAX,
        ];
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let arguments = [7, u64::from(VFIO_DEVICE_FEATURE), 0x1000, 0, 0, 0];
        let told = early(uapi::SYS_IOCTL, &arguments, |pointer, _| {
            assert_eq!(pointer, 0x1000);
            bytes
        });
        let Some(EarlyCall::Ioctl(Call::Feature { data, .. })) = told else {
            panic!("{told:?}");
        };
        assert_eq!(data.state(), Some(DeviceState::from_uapi(3)));
        let unreadable = early(uapi::SYS_IOCTL, &arguments, |_, _| Vec::new());
        let request = VFIO_DEVICE_FEATURE;
        assert_eq!(
            unreadable,
            Some(EarlyCall::Ioctl(Call::Unreadable { request }))
        );
    }

    #[test]
    fn a_write_is_told_where_the_probes_would_have_seen_it_begin() {
        let at = |offset: u64| {
            early(uapi::SYS_PWRITE64, &[7, 0, 4, offset, 0, 0], |_, _| {
                Vec::new()
            })
        };
        assert_eq!(
            at(9 << VFIO_PCI_OFFSET_SHIFT),
            Some(EarlyCall::Write { region: 9 })
        );
        assert_eq!(
            at(7 << VFIO_PCI_OFFSET_SHIFT | 4),
            Some(EarlyCall::Write { region: 7 })
        );
        assert_eq!(at(9 << VFIO_PCI_OFFSET_SHIFT | 16), None);
        assert_eq!(at(0), None);
        assert_eq!(early(uapi::SYS_READ, &[7; 6], |_, _| Vec::new()), None);
    }

    #[test]
    fn a_stack_ends_at_the_system_call() {
        let stack = "[<0>] rr_wait+0x12/0x340 [remap_ref]\n\
                     [<0>] rr_set_state+0x5/0x60 [remap_ref]\n\
                     [<0>] __x64_sys_ioctl+0x8d/0xd0\n[<0>] do_syscall_64+0x5b/0xb0\n";
        assert_eq!(waits_in(stack), ["rr_wait", "rr_set_state"]);
        assert!(waits_in("").is_empty());
    }
}
