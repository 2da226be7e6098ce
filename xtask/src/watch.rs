//! Watching a guest: console, channel, time-out, Ctrl-C; then one verdict.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use remap_guest::frame::{self, Kind};
use remap_guest::handover::Verdict;
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::interrupt;
use crate::outcome::Cannot;
use crate::qemu::{self, Machine};
use crate::verdict;

/// What becomes of the command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To our stdout and stderr as it comes, with the console on stderr.
    Streamed,
    /// Kept for the caller.
    Captured,
    /// Both.
    Both,
}

/// What was seen of a guest.
#[derive(Debug)]
pub struct Seen {
    /// The command's exit status, or why there is none.
    pub verdict: Result<u8, String>,
    /// The command's stdout, when captured.
    pub stdout: Vec<u8>,
    /// The command's stderr, when captured.
    pub stderr: Vec<u8>,
}

/// Something that the guest did.
enum Event {
    Console(Vec<u8>),
    Frame(Kind, Vec<u8>),
    ChannelBroke(String),
    ConsoleEnded,
}

/// Everything that is kept while watching.
struct Watch {
    output: Output,
    log: File,
    seen: Seen,
    /// The first sign of trouble, with its line.
    trouble: Option<String>,
    /// That sign says that the guest may never end.
    hangs: bool,
    /// The console, for a failure that has not shown it yet.
    console: Vec<String>,
    verdict: Option<Verdict>,
    /// How the channel broke, if it did.
    broke: Option<String>,
}

/// Runs the machine until its verdict, its end or `timeout`.
pub fn run(machine: &Machine<'_>, timeout: Duration, output: Output) -> Result<Seen> {
    for end in ["in", "out"] {
        let pipe = machine.channel.with_extension(end);
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)
            .with_context(|| format!("making {}", pipe.display()))?;
    }
    let log = File::options().create(true).append(true).open(machine.log);
    let log = log.with_context(|| format!("creating {}", machine.log.display()))?;
    let mut command = machine.command();
    if !machine.shell {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .map_err(|e| Cannot(format!("starting {}: {e}", qemu::PROGRAM)))?;
    let result = watch(&mut child, machine, timeout, Watch::new(output, log));
    let _ = child.kill();
    let _ = child.wait();
    result
}

fn watch(
    child: &mut Child,
    machine: &Machine<'_>,
    timeout: Duration,
    mut watch: Watch,
) -> Result<Seen> {
    let mut deadline = Instant::now() + timeout;
    let (send, events) = mpsc::channel();
    let pipe = machine.channel.with_extension("out");
    let (to, path) = (send.clone(), pipe.clone());
    thread::spawn(move || read_channel(&path, &to));
    if let Some(console) = child.stdout.take() {
        let to = send.clone();
        thread::spawn(move || read_console(console, &to));
    }
    drop(send);
    let ended = loop {
        interrupt::check()?;
        match events.recv_timeout(Duration::from_millis(100)) {
            Ok(event) => watch.take(event)?,
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_some() => break None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if watch.verdict.is_some() || watch.broke.is_some() {
            break None;
        }
        if watch.hangs {
            // The rest of the report follows at once; the guest's end may not.
            deadline = deadline.min(Instant::now() + Duration::from_secs(3));
        }
        if !machine.shell && Instant::now() > deadline {
            break Some(format!("timed out after {} s", timeout.as_secs()));
        }
    };
    // The rest of the console: what came before the end must not be lost.
    let _ = child.kill();
    child.wait().context("waiting for QEMU")?;
    // A reader that still waits for QEMU to open the pipe sees its end now.
    drop(File::options().read(true).write(true).open(&pipe));
    while let Ok(event) = events.recv_timeout(Duration::from_secs(5)) {
        watch.take(event)?;
    }
    watch.finish(ended)
}

/// Reads frames until QEMU, the only writer, has ended.
fn read_channel(pipe: &Path, events: &Sender<Event>) {
    let Ok(channel) = File::open(pipe) else {
        return;
    };
    let mut channel = BufReader::with_capacity(frame::MAX, channel);
    loop {
        let event = match frame::read(&mut channel) {
            Ok(Some(frame)) => Event::Frame(frame.kind, frame.bytes),
            Ok(None) => return,
            Err(e) => Event::ChannelBroke(e.to_string()),
        };
        let last = matches!(event, Event::ChannelBroke(_));
        if events.send(event).is_err() || last {
            return;
        }
    }
}

fn read_console(console: impl Read, events: &Sender<Event>) {
    let mut console = BufReader::new(console);
    loop {
        let mut line = Vec::new();
        match console.read_until(b'\n', &mut line) {
            Ok(1..) if events.send(Event::Console(line)).is_ok() => {}
            _ => return drop(events.send(Event::ConsoleEnded)),
        }
    }
}

impl Watch {
    fn new(output: Output, log: File) -> Watch {
        let seen = Seen {
            verdict: Err(String::new()),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        Watch {
            output,
            log,
            seen,
            trouble: None,
            hangs: false,
            console: Vec::new(),
            verdict: None,
            broke: None,
        }
    }

    fn take(&mut self, event: Event) -> Result<()> {
        let streamed = self.output != Output::Captured;
        let kept = self.output != Output::Streamed;
        match event {
            Event::Console(line) => {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.note(&line)?;
                if let Some(sign) = verdict::sign(&line) {
                    self.hangs |= sign.hangs;
                    self.trouble
                        .get_or_insert_with(|| format!("{} in the guest: {line}", sign.name));
                }
                if streamed {
                    eprintln!("{line}");
                }
                self.console.push(line);
            }
            Event::Frame(Kind::Stdout, bytes) => {
                if streamed {
                    let mut out = io::stdout().lock();
                    out.write_all(&bytes)
                        .and_then(|()| out.flush())
                        .context("writing the command's stdout")?;
                }
                self.seen.stdout.extend(bytes.into_iter().filter(|_| kept));
            }
            Event::Frame(Kind::Stderr, bytes) => {
                if streamed {
                    io::stderr().write_all(&bytes)?;
                }
                self.seen.stderr.extend(bytes.into_iter().filter(|_| kept));
            }
            Event::Frame(Kind::Step, bytes) => {
                let text = format!("guest: {}", String::from_utf8_lossy(&bytes));
                self.note(&text)?;
                if streamed {
                    eprintln!("{text}");
                }
            }
            Event::Frame(Kind::Log, bytes) => {
                let log = String::from_utf8_lossy(&bytes);
                self.log.write_all(&bytes)?;
                if let Some((sign, line)) = verdict::scan(&log) {
                    self.trouble
                        .get_or_insert_with(|| format!("{} in the guest: {line}", sign.name));
                }
            }
            Event::Frame(Kind::Verdict, bytes) => {
                self.note(&format!("verdict: {}", String::from_utf8_lossy(&bytes)))?;
                self.verdict = Some(
                    serde_json::from_slice(&bytes)
                        .map_err(|e| anyhow!("the guest's verdict: {e}"))?,
                );
            }
            Event::ChannelBroke(why) => self.broke = Some(why),
            Event::ConsoleEnded => {}
        }
        Ok(())
    }

    /// Writes a line to the log.
    fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.log, "{line}").context("writing the run's log")
    }

    fn finish(mut self, ended: Option<String>) -> Result<Seen> {
        let verdict = match (self.trouble.take(), self.verdict.take(), ended) {
            (Some(trouble), ..) => Err(trouble),
            (None, Some(Verdict::Exited(status)), _) => Ok(status),
            (None, Some(Verdict::Failed(why)), _) => Err(format!("the guest failed: {why}")),
            (None, None, Some(ended)) => Err(ended),
            (None, None, None) => {
                let broke = self
                    .broke
                    .take()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                Err(format!("the guest ended without a verdict{broke}"))
            }
        };
        if let Err(why) = &verdict {
            let why = why.clone();
            self.note(&format!("failed: {why}"))?;
            if self.output == Output::Captured {
                // In one piece: another guest may be shown at the same time.
                eprintln!("{}", self.console.join("\n"));
            }
        }
        self.seen.verdict = verdict;
        Ok(self.seen)
    }
}
