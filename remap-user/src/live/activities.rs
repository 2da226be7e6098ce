//! What threads do, by a walk of the programs over all of them: `/proc` shows it only to those who have
//! rights over a thread.

use std::io;

use aya::{Ebpf, maps::HashMap};
use remap_common::walk::{
    Thread,
    thread::{ABSENT, BLOCKED, DEAD},
};
use zerocopy::FromBytes as _;

use super::{
    error::one_line,
    process::{Activity, Syscall, activity},
    walk::{THREADS, iterator, visit_all},
};

/// The bytes of a value of the map.
type Value = [u8; size_of::<Thread>()];

/// What each of these threads does: tgid in the upper half, tid in the lower. Where the kernel refused
/// the program, `/proc` is asked.
///
/// # Errors
/// If the walk fails, or its map cannot be read.
pub(super) fn of(ebpf: &mut Ebpf, threads: &[u64]) -> io::Result<Vec<Activity>> {
    if threads.is_empty() {
        return Ok(Vec::new());
    }
    let Some(walk) = iterator(ebpf, &THREADS).map_err(io::Error::other)? else {
        let ask = |thread: &u64| activity((thread >> 32) as u32, *thread as u32);
        return Ok(threads.iter().map(ask).collect());
    };
    let map = ebpf.map_mut("THREADS");
    let map = map.ok_or_else(|| io::Error::other("the object has no map THREADS"))?;
    let map: Result<HashMap<_, u64, Value>, _> = map.try_into();
    let mut map = map.map_err(|error| io::Error::other(one_line(&error)))?;
    for thread in threads {
        // One that the map has no room for is not found there below, and so unknown.
        let _ = map.insert(thread, [0; size_of::<Thread>()], 0);
    }
    let visited = visit_all(walk);
    let mut found = Vec::new();
    for thread in threads {
        let value = map.get(thread, 0);
        let _ = map.remove(thread);
        let thread = value
            .ok()
            .and_then(|value| Thread::read_from_bytes(&value).ok());
        found.push(thread.map_or(Activity::Unknown, activity_of));
    }
    visited.map(|()| found)
}

fn activity_of(thread: Thread) -> Activity {
    match (thread.state, thread.number) {
        (ABSENT, _) => Activity::Exited,
        (DEAD, _) | (BLOCKED, ..0) => Activity::OutsideSyscall,
        (BLOCKED, number) => Activity::Syscall(Syscall {
            number,
            arguments: thread.arguments,
            place: thread.place,
        }),
        _ => Activity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use remap_common::walk::thread::UNKNOWN;

    use super::*;

    #[test]
    fn a_thread_is_in_a_call_only_while_it_is_blocked_in_one() {
        let of = |state, number| {
            activity_of(Thread {
                state,
                number,
                ..Thread::default()
            })
        };
        assert_eq!(of(ABSENT, 16), Activity::Exited);
        assert_eq!(of(UNKNOWN, 16), Activity::Unknown);
        assert_eq!(of(DEAD, 16), Activity::OutsideSyscall);
        assert_eq!(of(BLOCKED, -1), Activity::OutsideSyscall);
        assert!(matches!(of(BLOCKED, 0), Activity::Syscall(_)));
    }
}
