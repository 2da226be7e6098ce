//! Calls on devices that were in flight when a trace began, as `/proc` shows them → events.

use remap_common::{record::ARGUMENT_BYTES, uapi};
use serde::{Deserialize, Serialize};

use super::{call, split};
use crate::event::{Body, DeviceCall, DeviceKey, Event, InFlight, Task};

/// The longest stack, in functions.
const FRAMES: usize = 8;

/// A thread in a system call on a device's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedCall {
    /// When it was seen there (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// The thread.
    pub task: Task,
    /// The address of the device.
    pub device: u64,
    /// The number of the system call (x86_64).
    pub number: i64,
    /// Its arguments; the first is the file.
    pub arguments: [u64; 6],
    /// The memory at [`pointed_to`]; empty if there is none or it could not be read.
    pub memory: Vec<u8>,
    /// The kernel stack of the thread: `/proc/PID/task/TID/stack`; empty if it could not be read.
    pub stack: String,
}

impl ObservedCall {
    /// The event; `None` if the system call is not one that [`is_traced`].
    pub fn event(&self) -> Option<Event> {
        let [_, request, _, offset, ..] = self.arguments;
        let call = match self.number {
            _ if !is_traced(self.number, &self.arguments) => return None,
            // The kernel takes the lower half.
            uapi::SYS_IOCTL => DeviceCall::Ioctl(call::call(request as u32, &self.memory)),
            _ => DeviceCall::Write {
                region: split(offset).0,
            },
        };
        let body = Body::InFlight(InFlight {
            device: DeviceKey(self.device),
            call,
            waits_in: functions(&self.stack),
        });
        Some(event(self.time_ns, &self.task, body))
    }
}

/// A thread that is no longer in such a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedReturn {
    /// When it was first seen outside (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// The thread.
    pub task: Task,
    /// The address of the device.
    pub device: u64,
    /// When it was last seen in the call (CLOCK_MONOTONIC ns).
    pub seen_ns: u64,
}

impl ObservedReturn {
    /// The event.
    pub fn event(&self) -> Event {
        let body = Body::InFlightOver {
            device: DeviceKey(self.device),
            seen_ns: self.seen_ns,
        };
        event(self.time_ns, &self.task, body)
    }
}

fn event(time_ns: u64, task: &Task, body: Body) -> Event {
    Event {
        time_ns,
        cpu: 0,
        task: task.clone(),
        body,
    }
}

/// Whether the probes trace a system call on a device's file: ioctl(2), and pwrite(2) to config
/// space or to the start of a device-specific region.
pub fn is_traced(number: i64, arguments: &[u64; 6]) -> bool {
    let (region, offset) = split(arguments[3]);
    match number {
        uapi::SYS_IOCTL => true,
        uapi::SYS_PWRITE64 => {
            region == uapi::VFIO_PCI_CONFIG_REGION_INDEX
                || region >= uapi::VFIO_PCI_NUM_REGIONS && offset == 0
        }
        _ => false,
    }
}

/// The memory that an ioctl's argument points to: its address, and how many bytes are needed.
pub fn pointed_to(number: i64, arguments: &[u64; 6]) -> Option<(u64, usize)> {
    (number == uapi::SYS_IOCTL).then_some((arguments[2], ARGUMENT_BYTES))
}

/// The functions of a kernel stack as `/proc/PID/task/TID/stack` shows it, from the innermost to the
/// one that serves the system call.
fn functions(stack: &str) -> Vec<String> {
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

    fn call(number: i64, arguments: [u64; 6], memory: &[u8]) -> Option<DeviceCall> {
        let observed = ObservedCall {
            time_ns: 1,
            task: Task {
                pid: 1,
                tid: 2,
                comm: "vmm".to_owned(),
            },
            device: 3,
            number,
            arguments,
            memory: memory.to_owned(),
            stack: String::new(),
        };
        match observed.event()?.body {
            Body::InFlight(InFlight { call, .. }) => Some(call),
            other => panic!("{other:?}"),
        }
    }

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
        let needed = pointed_to(uapi::SYS_IOCTL, &arguments);
        assert_eq!(needed, Some((0x1000, ARGUMENT_BYTES)));
        let seen = call(uapi::SYS_IOCTL, arguments, &bytes);
        let Some(DeviceCall::Ioctl(Call::Feature { data, .. })) = seen else {
            panic!("{seen:?}");
        };
        assert_eq!(data.state, Some(DeviceState::from_uapi(3)));
        let request = VFIO_DEVICE_FEATURE;
        assert_eq!(
            call(uapi::SYS_IOCTL, arguments, &[]),
            Some(DeviceCall::Ioctl(Call::Unreadable { request }))
        );
    }

    #[test]
    fn a_write_counts_where_the_probes_trace_it() {
        let at = |offset: u64| call(uapi::SYS_PWRITE64, [7, 0, 4, offset, 0, 0], &[]);
        assert_eq!(
            at(9 << VFIO_PCI_OFFSET_SHIFT),
            Some(DeviceCall::Write { region: 9 })
        );
        assert_eq!(
            at(7 << VFIO_PCI_OFFSET_SHIFT | 4),
            Some(DeviceCall::Write { region: 7 })
        );
        assert_eq!(at(9 << VFIO_PCI_OFFSET_SHIFT | 16), None);
        assert_eq!(at(0), None);
        assert_eq!(call(uapi::SYS_READ, [7; 6], &[]), None);
    }

    #[test]
    fn a_stack_ends_at_the_system_call() {
        let stack = "[<0>] rr_wait+0x12/0x340 [remap_ref]\n\
                     [<0>] rr_set_state+0x5/0x60 [remap_ref]\n\
                     [<0>] __x64_sys_ioctl+0x8d/0xd0\n[<0>] do_syscall_64+0x5b/0xb0\n";
        assert_eq!(functions(stack), ["rr_wait", "rr_set_state"]);
        assert!(functions("").is_empty());
    }
}
