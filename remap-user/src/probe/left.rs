//! Calls that never reported their return: a thread is noted to be in one, and is not.
//!
//! Whoever is still in a call when a trace ends has lost nothing. So only what is proven counts:
//! the thread is gone, or `/proc` shows it in a system call that cannot hold such a call.

use std::{fs, io};

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use remap_common::under_way::{
    DATA_CALLS, EVENTFD_READS, EVENTFD_WRITES, FAULTS, IOCTLS, MMAPS, NODE_CALLS, REGION_WRITES,
    UnderWay,
};

/// What a thread is doing, as far as `/proc` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It is gone.
    Nothing,
    /// A system call of this number.
    Syscall(i64),
    /// It runs, or waits outside of a system call.
    Unknown,
}

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

fn left<const N: usize>(ebpf: &Ebpf, calls: UnderWay) -> io::Result<u64> {
    let map: Option<&Map> = ebpf.map(calls.map);
    let map = map.ok_or_else(|| io::Error::other(format!("no map {}", calls.map)))?;
    let map: HashMap<&MapData, u64, [u8; N]> = HashMap::try_from(map).map_err(io::Error::other)?;
    let mut count = 0;
    for thread in map.keys() {
        let thread = thread.map_err(io::Error::other)?;
        let Ok(before) = map.get(&thread, 0) else {
            continue;
        };
        // The same call is noted before and after the thread was seen elsewhere.
        if !can_be_in(doing(thread), calls) && map.get(&thread, 0).is_ok_and(|now| now == before) {
            count += 1;
        }
    }
    Ok(count)
}

fn can_be_in(doing: Doing, calls: UnderWay) -> bool {
    match doing {
        Doing::Nothing => false,
        Doing::Unknown => true,
        Doing::Syscall(number) => calls.syscalls.is_empty() || calls.syscalls.contains(&number),
    }
}

fn doing(thread: u64) -> Doing {
    let (pid, tid) = (thread >> 32, thread & 0xffff_ffff);
    match fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Doing::Nothing,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Doing::Nothing,
        Err(_) => Doing::Unknown,
    }
}

/// `/proc/PID/task/TID/syscall`: a number and its arguments, `-1` outside of a system call, or
/// `running`.
fn parse(text: &str) -> Doing {
    let first = text.split_ascii_whitespace().next();
    match first.and_then(|number| number.parse().ok()) {
        Some(number @ 0..) => Doing::Syscall(number),
        _ => Doing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proof_counts() {
        assert_eq!(
            parse("16 0x7 0x3b75 0x7ffd 0x0 0x0 0x0 0x7f 0x7f\n"),
            Doing::Syscall(16)
        );
        assert!(can_be_in(parse("16 0x7"), IOCTLS));
        assert!(!can_be_in(parse("0 0x7"), IOCTLS));
        assert!(can_be_in(parse("running\n"), IOCTLS));
        assert!(can_be_in(parse("-1 0x7ffd 0x7f"), IOCTLS));
        assert!(!can_be_in(Doing::Nothing, FAULTS));
        assert!(can_be_in(Doing::Syscall(16), FAULTS));
    }

    #[test]
    fn a_thread_that_is_gone_does_nothing() {
        let this = u64::from(std::process::id());
        assert_ne!(doing(this << 32 | this), Doing::Nothing);
        assert_eq!(doing(this << 32 | u64::from(u32::MAX)), Doing::Nothing);
    }
}
