//! Running the command, and ending what it leaves behind.

use std::fs;
use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use remap_guest::frame::Kind;
use remap_guest::handover::Run;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use crate::channel::Channel;

/// How long processes may take to die, and pipes to empty after them.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every command finds.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/bin:/sbin:/usr/bin:/usr/sbin"),
    ("HOME", "/root"),
    ("TERM", "linux"),
];

/// Runs the command of `run`, forwards its output and gives its exit status.
pub fn run(run: &Run, channel: &Arc<Channel>) -> Result<u8> {
    let shell = ["setsid", "cttyhack", "sh", "-l"].map(String::from);
    let argv = if run.argv.is_empty() {
        shell.as_slice()
    } else {
        run.argv.as_slice()
    };
    let (name, args) = argv.split_first().context("an empty command")?;
    let mut command = Command::new(name);
    command
        .args(args)
        .current_dir("/root")
        .envs(ENVIRONMENT)
        .envs(run.env.iter().cloned());
    if !run.argv.is_empty() {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let status = if error.kind() == ErrorKind::NotFound {
                127
            } else {
                126
            };
            channel.send(
                Kind::Stderr,
                format!("{name}: cannot be run in the guest: {error}\n").as_bytes(),
            )?;
            return Ok(status);
        }
    };
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("the command has no process id")?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (done, pipes) = mpsc::channel::<()>();
    for (kind, pipe) in [
        (Kind::Stdout, out.map(Pipe::Out)),
        (Kind::Stderr, err.map(Pipe::Err)),
    ] {
        let (channel, done) = (Arc::clone(channel), done.clone());
        thread::spawn(move || {
            forward(&channel, kind, pipe);
            drop(done);
        });
    }
    drop(done);
    let status = reap_until(pid)?;
    // What the command left running holds its pipes: it ends with it.
    end_all()?;
    // Nothing is sent: the channel closes when both threads are done.
    match pipes.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            bail!("the command's output does not end although no process is left to write it")
        }
        _ => Ok(status),
    }
}

enum Pipe {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

/// Copies a pipe to the channel as the bytes come.
fn forward(channel: &Channel, kind: Kind, pipe: Option<Pipe>) {
    let mut buffer = [0; 16 * 1024];
    let mut pipe: Box<dyn Read> = match pipe {
        Some(Pipe::Out(pipe)) => Box::new(pipe),
        Some(Pipe::Err(pipe)) => Box::new(pipe),
        None => return,
    };
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        if channel.send(kind, &buffer[..length]).is_err() {
            return;
        }
    }
}

/// Reaps children, as process 1 must, until `pid` has ended.
fn reap_until(pid: Pid) -> Result<u8> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(exit_status(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("waiting for the command: {error}"),
        }
    }
}

fn exit_status(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// Ends every other process and waits for the end. One that cannot die is
/// stuck in the kernel: its kernel stack is in the error.
pub fn end_all() -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // For process 1 this means: every other process.
        match kill_process_group(Pid::INIT, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => bail!("ending the processes that the command left running: {error}"),
        }
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return Ok(()),
            Ok(Some(_)) => {}
            _ if Instant::now() > deadline => bail!("a killed process does not end: {}", stuck()),
            // No notification fits: SIGCHLD reports an end, not its absence.
            _ => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Every process that is left, with its kernel stack.
fn stuck() -> String {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let read = |what: &str| fs::read_to_string(entry.path().join(what)).unwrap_or_default();
        let status = read("status");
        let parent = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .map(str::trim);
        // Kernel threads are process 2 and its children.
        if pid.parse::<u32>().is_ok_and(|pid| pid > 2) && parent != Some("2") {
            let stack: Vec<_> = read("stack")
                .lines()
                .map(|line| line.replace("[<0>] ", ""))
                .collect();
            found.push(format!(
                "{pid} ({}) in {}",
                read("comm").trim(),
                stack.join(" < ")
            ));
        }
    }
    found.join("; ")
}
