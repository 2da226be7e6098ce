//! Stale calls: a map of the programs still contains the call of a thread that is no longer in it,
//! so the return was lost.
//!
//! A thread that is still in its call when a trace ends has lost no record. So a call counts only
//! with a proof: the thread has exited, or is seen in a system call that cannot contain
//! such a call.

use std::io;

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use remap_common::in_flight::{
    DATA_CALLS, EVENTFD_READS, EVENTFD_WRITES, FAULTS, IOCTLS, InFlight, MMAPS, NODE_CALLS,
    REGION_WRITES,
};

use crate::live::{
    activities,
    process::{Activity, Syscall},
};

/// A call in a map of the programs, and its bytes.
type Entries<const N: usize> = Vec<(u64, [u8; N])>;

/// How many calls are stale. The programs must still be attached: then the return of a call that
/// ends meanwhile removes its entry.
///
/// # Errors
/// If a map cannot be read.
pub fn count(ebpf: &mut Ebpf) -> io::Result<u64> {
    Ok(stale::<{ IOCTLS.bytes }>(ebpf, IOCTLS)?
        + stale::<{ MMAPS.bytes }>(ebpf, MMAPS)?
        + stale::<{ REGION_WRITES.bytes }>(ebpf, REGION_WRITES)?
        + stale::<{ EVENTFD_WRITES.bytes }>(ebpf, EVENTFD_WRITES)?
        + stale::<{ EVENTFD_READS.bytes }>(ebpf, EVENTFD_READS)?
        + stale::<{ FAULTS.bytes }>(ebpf, FAULTS)?
        + stale::<{ NODE_CALLS.bytes }>(ebpf, NODE_CALLS)?
        + stale::<{ DATA_CALLS.bytes }>(ebpf, DATA_CALLS)?)
}

/// Whether the programs have seen a thread enter a call on a device that has not returned.
///
/// # Errors
/// If a map cannot be read.
pub fn is_in_call(ebpf: &Ebpf, pid: u32, tid: u32) -> io::Result<bool> {
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
    let map =
        map.ok_or_else(|| io::Error::other(format!("the object has no map {}", calls.map)))?;
    HashMap::try_from(map).map_err(io::Error::other)
}

fn stale<const N: usize>(ebpf: &mut Ebpf, of: InFlight) -> io::Result<u64> {
    let before: Entries<N> = entries(&calls(ebpf, of)?)?;
    let threads: Vec<u64> = before.iter().map(|(thread, _)| *thread).collect();
    let seen = activities::of(ebpf, &threads)?;
    let map = calls::<N>(ebpf, of)?;
    let mut count = 0;
    for ((thread, before), activity) in before.into_iter().zip(seen) {
        // The map contains the same call before and after the thread was seen outside of it.
        if !can_be_in(activity, of) && map.get(&thread, 0).is_ok_and(|now| now == before) {
            count += 1;
        }
    }
    Ok(count)
}

fn entries<const N: usize>(map: &HashMap<&MapData, u64, [u8; N]>) -> io::Result<Entries<N>> {
    let mut entries = Vec::new();
    for thread in map.keys() {
        let thread = thread.map_err(io::Error::other)?;
        entries.extend(map.get(&thread, 0).ok().map(|call| (thread, call)));
    }
    Ok(entries)
}

fn can_be_in(activity: Activity, calls: InFlight) -> bool {
    match activity {
        Activity::Exited => false,
        Activity::OutsideSyscall => calls.syscalls.is_empty(),
        Activity::Unknown => true,
        Activity::Syscall(Syscall { number, .. }) => {
            calls.syscalls.is_empty() || calls.syscalls.contains(&number)
        }
    }
}

#[cfg(test)]
mod tests {
    use remap_common::uapi::{SYS_IOCTL, VFIO_DEVICE_FEATURE};

    use super::*;
    use crate::live::process::parse;

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
        assert!(!can_be_in(Activity::Exited, FAULTS));
        assert!(can_be_in(ioctl, FAULTS));
    }
}
