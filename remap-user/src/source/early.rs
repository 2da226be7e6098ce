//! Calls on devices that were under way when the trace began. The kernel arms a return at the entry,
//! so no probe will see them return: `/proc` is asked instead, what the threads do that may be in
//! one, and then until each of them does something else.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
};

use super::{
    clock::monotonic_ns,
    process::{self, Doing, Syscall, doing, patiently},
};
use crate::probe::walk::DeviceFile;
use remap_core::{
    decode,
    event::{Body, DeviceKey, EarlyCall, Event, Task},
};

/// Such calls, as long as they last.
#[derive(Debug, Default)]
pub struct EarlyCalls(Vec<Early>);

#[derive(Debug)]
struct Early {
    device: DeviceKey,
    task: Task,
    syscall: Syscall,
    seen_ns: u64,
}

impl Early {
    fn event(&self, time_ns: u64, body: Body) -> Event {
        Event {
            time_ns,
            cpu: 0,
            task: self.task.clone(),
            body,
        }
    }
}

impl EarlyCalls {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at every thread of the processes that have these files. A call that the probes saw
    /// begin is none: `noted` knows the threads (pid, tid) that are in one now.
    ///
    /// # Errors
    /// If the clock or `noted` fails.
    pub fn look(
        &mut self,
        files: &[DeviceFile],
        noted: impl Fn(u32, u32) -> io::Result<bool>,
        mut tell: impl FnMut(Event),
    ) -> io::Result<()> {
        if !process::sees_all_pids() {
            return Ok(());
        }
        let mut pids: Vec<u32> = files.iter().map(|file| file.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        for (pid, tid) in pids.into_iter().flat_map(threads) {
            let known = |early: &Early| (early.task.pid, early.task.tid) == (pid, tid);
            let Doing::Syscall(syscall) = doing(pid, tid) else {
                continue;
            };
            let file = files
                .iter()
                .find(|file| (file.pid, u64::from(file.fd)) == (pid, syscall.arguments[0]));
            let Some(file) = file.filter(|_| !self.0.iter().any(known)) else {
                continue;
            };
            let memory = |pointer, bytes| {
                let memory = patiently(move || memory(pid, pointer, bytes).ok());
                memory.unwrap_or_default()
            };
            let Some(call) = decode::early(syscall.number, &syscall.arguments, memory) else {
                continue;
            };
            // The same call before and after the probes were asked, so they have not seen it begin.
            let before = noted(pid, tid)?;
            let lasts = doing(pid, tid) == Doing::Syscall(syscall);
            if before || !lasts || noted(pid, tid)? {
                continue;
            }
            self.add(file.device, task(pid, tid), syscall, call, &mut tell)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        device: DeviceKey,
        task: Task,
        syscall: Syscall,
        call: EarlyCall,
        tell: &mut impl FnMut(Event),
    ) -> io::Result<()> {
        let stack = format!("/proc/{}/task/{}/stack", task.pid, task.tid);
        let stack = fs::read_to_string(stack).unwrap_or_default();
        // Of the same call before and after.
        let lasts = doing(task.pid, task.tid) == Doing::Syscall(syscall);
        let early = Early {
            device,
            task,
            syscall,
            seen_ns: monotonic_ns()?,
        };
        let body = Body::Early {
            device,
            call,
            waits_in: decode::waits_in(if lasts { &stack } else { "" }),
        };
        tell(early.event(early.seen_ns, body));
        self.0.push(early);
        Ok(())
    }

    /// Looks which of them are over.
    ///
    /// # Errors
    /// If the clock fails.
    pub fn poll(&mut self, mut tell: impl FnMut(Event)) -> io::Result<()> {
        let mut lasting = Vec::new();
        for mut early in std::mem::take(&mut self.0) {
            let seen = doing(early.task.pid, early.task.tid);
            let now = monotonic_ns()?;
            let same = seen == Doing::Syscall(early.syscall);
            // Who runs may do so in that call.
            if same || seen == Doing::Unknown {
                if same {
                    early.seen_ns = now;
                }
                lasting.push(early);
                continue;
            }
            let body = Body::EarlyOver {
                device: early.device,
                seen_ns: early.seen_ns,
            };
            tell(early.event(now, body));
        }
        self.0 = lasting;
        Ok(())
    }
}

/// The threads of a process; none if it is gone.
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

/// What a process has at an address; fewer bytes where its memory ends.
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
        let (say, hear) = std::sync::mpsc::channel();
        let handle = thread::spawn(move || {
            let tid = fs::read_link("/proc/thread-self").unwrap();
            let tid = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
            say.send(tid).unwrap();
            pipe.read_exact(&mut [0]).unwrap();
        });
        (hear.recv().unwrap(), handle)
    }

    #[test]
    fn a_call_lasts_until_its_thread_does_something_else() {
        let (pipe, mut other) = io::pipe().unwrap();
        let fd = pipe.as_raw_fd().cast_unsigned();
        let pid = std::process::id();
        let (tid, handle) = reader(pipe);
        let syscall = loop {
            match doing(pid, tid) {
                Doing::Syscall(syscall) if syscall.arguments[0] == u64::from(fd) => break syscall,
                _ => thread::yield_now(),
            }
        };
        let mut calls = EarlyCalls::default();
        let mut told = Vec::new();
        let device = DeviceKey(1);
        let call = EarlyCall::Write { region: 9 };
        calls
            .add(device, task(pid, tid), syscall, call, &mut |event| {
                told.push(event)
            })
            .unwrap();
        calls.poll(|event| told.push(event)).unwrap();
        assert!(!calls.is_empty() && told.len() == 1, "{told:?}");
        other.write_all(&[1]).unwrap();
        handle.join().unwrap();
        calls.poll(|event| told.push(event)).unwrap();
        assert!(calls.is_empty());
        let Body::EarlyOver { seen_ns, .. } = told[1].body else {
            panic!("{told:?}");
        };
        assert!(told[0].time_ns <= seen_ns && seen_ns <= told[1].time_ns);
    }

    #[test]
    fn memory_is_read_where_there_is_some() {
        let word = 0x1234_5678_u32.to_ne_bytes();
        let pid = std::process::id();
        assert_eq!(memory(pid, word.as_ptr() as u64, 4).unwrap(), word);
        assert!(memory(pid, 8, 4).is_err());
    }
}
