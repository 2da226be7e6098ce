//! Calls that never reported their return: a thread is noted to be in one, and is not.
//!
//! Whoever is still in a call when a trace ends has lost nothing. So only what is proven counts:
//! the thread is gone, or `/proc` shows it in a system call that cannot hold such a call.

use std::io;

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use remap_common::in_flight::{
    DATA_CALLS, EVENTFD_READS, EVENTFD_WRITES, FAULTS, IOCTLS, InFlight, MMAPS, NODE_CALLS,
    REGION_WRITES,
};

use crate::source::process::{Doing, Syscall, doing};

/// How many calls were left behind. The programs are still attached: a call that ends meanwhile
/// takes its entry with it.
///
/// # Errors
/// If a map cannot be read.
pub fn count(ebpf: &Ebpf) -> io::Result<u64> {
    Ok(left::<{ IOCTLS.bytes }>(ebpf, IOCTLS)?
        + left::<{ MMAPS.bytes }>(ebpf, MMAPS)?
        + left::<{ REGION_WRITES.bytes }>(ebpf, REGION_WRITES)?
        + left::<{ EVENTFD_WRITES.bytes }>(ebpf, EVENTFD_WRITES)?
        + left::<{ EVENTFD_READS.bytes }>(ebpf, EVENTFD_READS)?
        + left::<{ FAULTS.bytes }>(ebpf, FAULTS)?
        + left::<{ NODE_CALLS.bytes }>(ebpf, NODE_CALLS)?
        + left::<{ DATA_CALLS.bytes }>(ebpf, DATA_CALLS)?)
}

/// Whether a thread is noted to be in a call on a device.
///
/// # Errors
/// If a map cannot be read.
pub fn is_noted(ebpf: &Ebpf, pid: u32, tid: u32) -> io::Result<bool> {
    let thread = u64::from(pid) << 32 | u64::from(tid);
    Ok(calls::<{ IOCTLS.bytes }>(ebpf, IOCTLS)?
        .get(&thread, 0)
        .is_ok()
        || calls::<{ REGION_WRITES.bytes }>(ebpf, REGION_WRITES)?
            .get(&thread, 0)
            .is_ok())
}

fn calls<const N: usize>(
    ebpf: &Ebpf,
    calls: InFlight,
) -> io::Result<HashMap<&MapData, u64, [u8; N]>> {
    let map: Option<&Map> = ebpf.map(calls.map);
    let map = map.ok_or_else(|| io::Error::other(format!("no map {}", calls.map)))?;
    HashMap::try_from(map).map_err(io::Error::other)
}

fn left<const N: usize>(ebpf: &Ebpf, of: InFlight) -> io::Result<u64> {
    let map = calls::<N>(ebpf, of)?;
    let mut count = 0;
    for thread in map.keys() {
        let thread = thread.map_err(io::Error::other)?;
        let Ok(before) = map.get(&thread, 0) else {
            continue;
        };
        // The same call is noted before and after the thread was seen elsewhere.
        if !can_be_in(doing_of(thread), of) && map.get(&thread, 0).is_ok_and(|now| now == before) {
            count += 1;
        }
    }
    Ok(count)
}

fn can_be_in(doing: Doing, calls: InFlight) -> bool {
    match doing {
        Doing::Nothing => false,
        Doing::Outside => calls.syscalls.is_empty(),
        Doing::Unknown => true,
        Doing::Syscall(Syscall { number, .. }) => {
            calls.syscalls.is_empty() || calls.syscalls.contains(&number)
        }
    }
}

fn doing_of(thread: u64) -> Doing {
    doing((thread >> 32) as u32, thread as u32)
}

#[cfg(test)]
mod tests {
    use remap_common::uapi::{SYS_IOCTL, VFIO_DEVICE_FEATURE};

    use super::*;
    use crate::source::process::parse;

    #[test]
    fn only_a_proof_counts() {
        let ioctl = parse(&format!(
            "{SYS_IOCTL} 0x7 {VFIO_DEVICE_FEATURE:#x} 0x7ffd 0x0 0x0 0x0 0x7ffe 0x7fff\n"
        ));
        let read = parse("0 0x7 0x7ffd 0x8 0x0 0x0 0x0 0x7ffe 0x7fff\n");
        assert!(can_be_in(ioctl, IOCTLS));
        assert!(!can_be_in(read, IOCTLS));
        assert!(can_be_in(parse("running\n"), IOCTLS));
        assert!(!can_be_in(parse("-1 0x7ffd 0x7f"), IOCTLS));
        assert!(can_be_in(parse("-1 0x7ffd 0x7f"), FAULTS));
        assert!(!can_be_in(Doing::Nothing, FAULTS));
        assert!(can_be_in(ioctl, FAULTS));
    }

    #[test]
    fn a_thread_that_is_gone_does_nothing() {
        let this = u64::from(std::process::id());
        assert_ne!(doing_of(this << 32 | this), Doing::Nothing);
        assert_eq!(doing_of(this << 32 | u64::from(u32::MAX)), Doing::Nothing);
    }
}
