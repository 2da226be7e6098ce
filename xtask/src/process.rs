//! Running other programs: what they were, and how they failed, in one line.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail};

/// A command from words.
pub fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// The command as one would type it (for reading, not for a shell).
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with its output shown; failing is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let name = shown(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("running {name}"))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}

/// Runs to the end in silence; an error carries what it printed.
pub fn quiet(command: &mut Command) -> Result<Output> {
    let name = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        let printed = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let printed = String::from_utf8_lossy(&printed);
        let tail: Vec<_> = printed.trim().lines().rev().take(20).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        bail!("{name}: {}\n{}", output.status, tail.join("\n"));
    }
    Ok(output)
}

/// Runs in silence and gives its stdout as text.
pub fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&quiet(command)?.stdout).into_owned())
}

/// Says what is being done, and that it goes on if it takes more than 2 s.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    eprintln!("xtask: {what}");
    let (done, wait) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || progress(what, begin, &wait));
        let result = work();
        drop(done);
        result
    });
    if result.is_ok() && begin.elapsed() > Duration::from_secs(2) {
        eprintln!("xtask: {what}: done in {} s", begin.elapsed().as_secs());
    }
    result
}

/// Says that `what` goes on, until the channel breaks.
fn progress(what: &str, begin: Instant, wait: &mpsc::Receiver<()>) {
    // A log wants few lines, a terminal one that moves.
    let terminal = io::stderr().is_terminal();
    let beat = Duration::from_secs(if terminal { 2 } else { 15 });
    while wait.recv_timeout(beat) == Err(mpsc::RecvTimeoutError::Timeout) {
        let seconds = begin.elapsed().as_secs();
        if terminal {
            eprint!("\rxtask: {what}: {seconds} s\r");
            let _ = io::stderr().flush();
        } else {
            eprintln!("xtask: {what}: {seconds} s so far");
        }
    }
}
