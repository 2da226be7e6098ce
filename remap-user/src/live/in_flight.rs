//! Calls on devices that were in flight when the trace began. The kernel arms a return probe at the
//! entry, so no probe sees them return. `/proc` shows what the threads of their processes are doing
//! when the trace begins; a walk over threads shows when each of them does something else.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
};

use super::{
    clock::monotonic_ns,
    process::{self, Activity, Syscall, activity, with_timeout},
    walk::DeviceFile,
};
use remap_core::{
    decode::in_flight::{self, ObservedCall, ObservedReturn},
    event::{DeviceKey, Task},
};

/// Of the time, a part in so many at most is spent on what their threads do.
const SHARE: u64 = 10;

/// The calls that are still in flight.
#[derive(Debug, Default)]
pub struct InFlightCalls {
    calls: Vec<Watched>,
    /// When their threads are looked at next.
    next_ns: u64,
}

#[derive(Debug)]
struct Watched {
    device: DeviceKey,
    task: Task,
    syscall: Syscall,
    seen_ns: u64,
}

impl InFlightCalls {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Checks every thread of the processes that have these files. `is_traced` returns whether the
    /// probes have seen a thread (pid, tid) enter its current call; such a call does not count.
    ///
    /// # Errors
    /// If the clock or `is_traced` fails.
    pub fn find(
        &mut self,
        files: &[DeviceFile],
        is_traced: impl Fn(u32, u32) -> io::Result<bool>,
        mut emit: impl FnMut(ObservedCall),
    ) -> io::Result<()> {
        if !process::sees_all_pids() {
            return Ok(());
        }
        let mut pids: Vec<u32> = files.iter().map(|file| file.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        for (pid, tid) in pids.into_iter().flat_map(threads) {
            let Some((device, syscall)) = self.candidate(files, pid, tid) else {
                continue;
            };
            let needed = in_flight::pointed_to(syscall.number, &syscall.arguments);
            let memory = needed.and_then(|(address, bytes)| {
                with_timeout(move || memory(pid, address, bytes).ok())
            });
            // The thread is in the same call before and after the query, so the probes have not seen
            // its entry.
            let before = is_traced(pid, tid)?;
            let lasts = activity(pid, tid) == Activity::Syscall(syscall);
            if before || !lasts || is_traced(pid, tid)? {
                continue;
            }
            let memory = memory.unwrap_or_default();
            emit(self.add(device, task(pid, tid), syscall, memory)?);
        }
        Ok(())
    }

    /// The device and the system call of a thread, if the call is on one of these files and new.
    fn candidate(&self, files: &[DeviceFile], pid: u32, tid: u32) -> Option<(DeviceKey, Syscall)> {
        let known = |call: &Watched| (call.task.pid, call.task.tid) == (pid, tid);
        let Activity::Syscall(syscall) = activity(pid, tid) else {
            return None;
        };
        let file = files
            .iter()
            .find(|file| (file.pid, u64::from(file.fd)) == (pid, syscall.arguments[0]))?;
        let is_new = !self.calls.iter().any(known);
        (is_new && in_flight::is_traced(syscall.number, &syscall.arguments))
            .then_some((file.device, syscall))
    }

    fn add(
        &mut self,
        device: DeviceKey,
        task: Task,
        syscall: Syscall,
        memory: Vec<u8>,
    ) -> io::Result<ObservedCall> {
        let stack = format!("/proc/{}/task/{}/stack", task.pid, task.tid);
        let stack = fs::read_to_string(stack).unwrap_or_default();
        // The stack is that of the call only if the call has not returned meanwhile.
        let lasts = activity(task.pid, task.tid) == Activity::Syscall(syscall);
        let seen_ns = monotonic_ns()?;
        let observed = ObservedCall {
            time_ns: seen_ns,
            task: task.clone(),
            device: device.0,
            number: syscall.number,
            arguments: syscall.arguments,
            memory,
            stack: if lasts { stack } else { String::new() },
        };
        self.calls.push(Watched {
            device,
            task,
            syscall,
            seen_ns,
        });
        Ok(observed)
    }

    /// The next [`Self::poll`] looks at their threads, however soon it is.
    pub fn look_again(&mut self) {
        self.next_ns = 0;
    }

    /// Checks which of them have returned. `activities` returns what threads (tgid in the upper half,
    /// tid in the lower) do. That may take long where there are many threads, so it is not asked again
    /// before [`SHARE`] times as long has passed.
    ///
    /// # Errors
    /// If the clock or `activities` fails.
    pub fn poll(
        &mut self,
        activities: impl FnOnce(&[u64]) -> io::Result<Vec<Activity>>,
        mut emit: impl FnMut(ObservedReturn),
    ) -> io::Result<()> {
        let asked_ns = monotonic_ns()?;
        if self.calls.is_empty() || asked_ns < self.next_ns {
            return Ok(());
        }
        let threads: Vec<u64> = self.calls.iter().map(|call| key(&call.task)).collect();
        let seen = activities(&threads)?;
        let now = monotonic_ns()?;
        self.next_ns = now + SHARE * (now - asked_ns);
        let mut lasting = Vec::new();
        for (mut call, seen) in std::mem::take(&mut self.calls).into_iter().zip(seen) {
            if seen == Activity::Syscall(call.syscall) {
                call.seen_ns = asked_ns;
                lasting.push(call);
            } else if seen == Activity::Unknown {
                // A running thread may still be in that call.
                lasting.push(call);
            } else {
                emit(ObservedReturn {
                    time_ns: now,
                    task: call.task,
                    device: call.device.0,
                    seen_ns: call.seen_ns,
                });
            }
        }
        self.calls = lasting;
        Ok(())
    }
}

fn key(task: &Task) -> u64 {
    u64::from(task.pid) << 32 | u64::from(task.tid)
}

/// The threads of a process; empty if it has exited.
fn threads(pid: u32) -> Vec<(u32, u32)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tid = |entry: io::Result<fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        Some((pid, name.to_str()?.parse().ok()?))
    };
    tasks.into_iter().flatten().filter_map(tid).collect()
}

fn task(pid: u32, tid: u32) -> Task {
    let comm = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm"));
    Task {
        pid,
        tid,
        comm: comm.unwrap_or_default().trim_end().to_owned(),
    }
}

/// The memory of a process at an address; shorter where its mapping ends.
fn memory(pid: u32, pointer: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let read = File::open(format!("/proc/{pid}/mem"))?.read_at(&mut buffer, pointer)?;
    buffer.truncate(read);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{PipeReader, Read as _, Write as _},
        os::fd::AsRawFd as _,
        thread,
    };

    use super::*;

    /// A thread that waits in a read(2) of this pipe.
    fn reader(mut pipe: PipeReader) -> (u32, thread::JoinHandle<()>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let handle = thread::spawn(move || {
            let tid = fs::read_link("/proc/thread-self").unwrap();
            let tid = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
            sender.send(tid).unwrap();
            pipe.read_exact(&mut [0]).unwrap();
        });
        (receiver.recv().unwrap(), handle)
    }

    fn by_proc(threads: &[u64]) -> io::Result<Vec<Activity>> {
        let ask = |thread: &u64| activity((thread >> 32) as u32, *thread as u32);
        Ok(threads.iter().map(ask).collect())
    }

    #[test]
    fn a_call_is_in_flight_until_its_thread_does_something_else() {
        let (pipe, mut other) = io::pipe().unwrap();
        let fd = pipe.as_raw_fd().cast_unsigned();
        let pid = std::process::id();
        let (tid, handle) = reader(pipe);
        let syscall = loop {
            match activity(pid, tid) {
                Activity::Syscall(syscall) if syscall.arguments[0] == u64::from(fd) => {
                    break syscall;
                }
                _ => thread::yield_now(),
            }
        };
        let mut calls = InFlightCalls::default();
        let observed = calls
            .add(DeviceKey(1), task(pid, tid), syscall, Vec::new())
            .unwrap();
        let mut returned = Vec::new();
        calls.look_again();
        calls.poll(by_proc, |call| returned.push(call)).unwrap();
        assert!(!calls.is_empty() && returned.is_empty(), "{returned:?}");
        other.write_all(&[1]).unwrap();
        handle.join().unwrap();
        calls.look_again();
        calls.poll(by_proc, |call| returned.push(call)).unwrap();
        assert!(calls.is_empty());
        let [
            ObservedReturn {
                seen_ns, time_ns, ..
            },
        ] = returned[..]
        else {
            panic!("{returned:?}");
        };
        assert!(observed.time_ns <= seen_ns && seen_ns <= time_ns);
    }

    #[test]
    fn memory_of_a_process_is_read() {
        let word = 0x1234_5678_u32.to_ne_bytes();
        let pid = std::process::id();
        assert_eq!(memory(pid, word.as_ptr() as u64, 4).unwrap(), word);
        assert!(memory(pid, 8, 4).is_err());
    }
}
