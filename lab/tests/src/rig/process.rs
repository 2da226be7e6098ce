//! Processes of a test: started, ready by their ready file, signalled, awaited.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::until;

/// A user without any rights.
const UNPRIVILEGED: u32 = 65534;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to stdout, with [`Output::Kept`].
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ended {
    /// That it exited with this code.
    pub fn expect(&self, code: i32) -> Result<&Self> {
        ensure!(
            self.status.code() == Some(code),
            "ended with {} instead of exit code {code}; stdout: {}; stderr: {}",
            self.status,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// That it exited with this code, and one line of stderr, which gives the reason in these words.
    pub fn fails(&self, code: i32, words: &[&str]) -> Result<()> {
        self.expect(code)?;
        let lines: Vec<&str> = self.stderr.lines().collect();
        ensure!(lines.len() == 1, "not one line: {}", self.stderr);
        for word in words {
            ensure!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
        Ok(())
    }
}

/// What becomes of a process's stdout.
pub enum Output {
    /// It is kept for [`Ended`].
    Kept,
    /// Its lines can be read while the process runs.
    Collected(Collected),
    /// It is a pipe without a reader.
    Broken,
    /// It is a pipe whose reader never reads.
    Unread,
}

/// The lines that a process has written so far.
#[derive(Clone, Default)]
pub struct Collected(Arc<Mutex<Vec<String>>>);

impl Collected {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this line has been written since the last [`Self::take`].
    pub fn contains(&self, line: &str) -> bool {
        self.lines().iter().any(|written| written == line)
    }

    /// How many of the lines since the last [`Self::take`] contain this.
    pub fn count(&self, part: &str) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// The lines since the last [`Self::take`].
    pub fn all(&self) -> Vec<String> {
        self.lines().clone()
    }

    /// Adds lines.
    pub fn extend(&self, lines: &[String]) {
        self.lines().extend_from_slice(lines);
    }

    /// Takes them.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines())
    }
}

/// A running process. It is killed when it is dropped.
pub struct Running {
    child: Child,
    unread: Option<ChildStdout>,
    ready: Option<PathBuf>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// The file that a process creates when it is ready: a new name for each process.
fn ready_file() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("/run/lab-test-{number}.ready"))
}

/// `remap` with these arguments.
pub fn remap(arguments: &[&str]) -> Command {
    let mut command = Command::new("remap");
    command.args(arguments);
    command
}

/// The same command by a user without any rights.
pub fn as_unprivileged(mut command: Command) -> Command {
    command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    command
}

/// A command of the shell.
pub fn in_shell(command: &str) -> Command {
    let mut shell = Command::new("busybox");
    shell.args(["sh", "-c", command]);
    shell
}

/// The resident memory of a process, KiB.
pub fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    let number = number.context("no VmRSS")?;
    number.parse().with_context(|| format!("VmRSS {number}"))
}

/// Runs a command to its end.
pub fn run(command: Command) -> Result<Ended> {
    Running::start(command, Output::Kept)?.wait()
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command, output: Output) -> Result<Self> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut stdout = Some(child.stdout.take().context("no stdout")?);
        let stderr = child.stderr.take().context("no stderr")?;
        let all = |mut from: Box<dyn Read + Send>| {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let unread = stdout.take_if(|_| matches!(output, Output::Unread));
        let stdout = std::thread::spawn(move || match (output, stdout) {
            (Output::Kept, Some(stdout)) => all(Box::new(stdout)),
            (Output::Collected(collected), Some(stdout)) => {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                lines.for_each(|line| collected.lines().push(line));
                String::new()
            }
            _ => String::new(),
        });
        Ok(Self {
            child,
            unread,
            ready: None,
            stdout: Some(stdout),
            stderr: Some(std::thread::spawn(move || all(Box::new(stderr)))),
        })
    }

    /// Starts a command that takes `--ready-file`, and waits until it is ready.
    pub fn start_ready(mut command: Command, output: Output) -> Result<Self> {
        let file = ready_file();
        command.arg("--ready-file").arg(&file);
        let mut running = Self::start(command, output)?;
        running.ready = Some(file.clone());
        until("a process to be ready", || {
            running.is_alive()?;
            Ok(file.exists().then_some(()))
        })?;
        Ok(running)
    }

    /// That it has not ended before it was ready.
    pub fn is_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none(),
            "a process ended before it was ready: {}",
            self.stderr.take().map(join).unwrap_or_default()
        );
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Stops it by SIGSTOP, and waits until every thread has stopped.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let tasks = format!("/proc/{}/task", self.pid());
        until("a process to stop", || {
            for task in std::fs::read_dir(&tasks)? {
                let stat = std::fs::read_to_string(task?.path().join("stat"))?;
                let state = stat.rsplit(") ").next().unwrap_or_default();
                if !state.starts_with('T') {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<Ended> {
        let status = until("a process to end", || Ok(self.child.try_wait()?))?;
        drop(self.unread.take());
        Ok(Ended {
            status,
            stdout: self.stdout.take().map(join).unwrap_or_default(),
            stderr: self.stderr.take().map(join).unwrap_or_default(),
        })
    }

    /// Sends it a signal and waits for its end.
    pub fn end(self, signal: Signal) -> Result<Ended> {
        self.signal(signal)?;
        self.wait()
    }
}

fn join(thread: JoinHandle<String>) -> String {
    thread.join().unwrap_or_default()
}

impl Drop for Running {
    fn drop(&mut self) {
        // No effect on a process that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.ready {
            let _ = std::fs::remove_file(file);
        }
    }
}
