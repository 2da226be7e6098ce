//! Starts a command once the hooks are attached, and waits for its end.
//!
//! By then the trace has given up the right to start processes. A thread that has kept all rights starts
//! the command, and gives them up afterwards.

use std::{
    cell::Cell,
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
};

use remap_core::event::Errno;
use tokio::sync::oneshot;

use crate::{
    cmd::signals::restore_file_size_signal,
    confine::disarm_thread,
    exit::{Code, Error},
    threads,
};

/// A command that waits for its start.
pub struct Launcher {
    name: String,
    start: Sender<()>,
    started: Receiver<io::Result<u32>>,
    /// The process.
    pid: Cell<Option<u32>>,
}

/// The end of the command.
pub type Ended = oneshot::Receiver<io::Result<ExitStatus>>;

impl Launcher {
    /// Prepares the command. With `quiet_stdout` it writes to stderr in place of stdout, which is then
    /// used for something else.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn prepare(words: &[OsString], quiet_stdout: bool) -> Result<(Self, Ended), Error> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Error::with_message(Code::Usage, "no command after --"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        if quiet_stdout {
            let stderr = io::stderr().as_fd().try_clone_to_owned()?;
            command.stdout(Stdio::from(File::from(stderr)));
        }
        restore_file_size_signal(&mut command);
        let (start, wait) = channel();
        let (send_start, started) = channel();
        let (send_end, ended) = oneshot::channel();
        let run = move || {
            // Nothing comes if the trace ends before.
            if wait.recv().is_err() {
                return;
            }
            match command.spawn() {
                Ok(mut child) => {
                    let _ = disarm_thread();
                    let _ = send_start.send(Ok(child.id()));
                    let _ = send_end.send(child.wait());
                }
                Err(error) => {
                    let _ = send_start.send(Err(error));
                }
            }
        };
        threads::spawn(run).map_err(|error| threads::refused(&error))?;
        let launcher = Self {
            name: program.to_string_lossy().into_owned(),
            start,
            started,
            pid: Cell::new(None),
        };
        Ok((launcher, ended))
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self) -> Result<(), Error> {
        let _ = self.start.send(());
        let started = self
            .started
            .recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        let pid = started.map_err(|error| {
            let (name, errno) = (&self.name, Errno::of(&error));
            let remedy = match error.raw_os_error() {
                Some(libc::ENOENT) => "; give its path, or a name that is in PATH",
                Some(libc::EACCES | libc::ENOEXEC) => "; it must be an executable file",
                _ => "",
            };
            let message = format!("starting {name} failed: {errno}{remedy}");
            Error::with_message(Code::Failed, message)
        })?;
        self.pid.set(Some(pid));
        Ok(())
    }

    /// Its name and process, if it was started.
    pub fn process(&self) -> Option<(&str, u32)> {
        Some((&self.name, self.pid.get()?))
    }
}

/// Waits for the end of the command, if there is one. Returns its exit code.
pub async fn exit_code(ended: Option<&mut Ended>) -> u8 {
    let Some(ended) = ended else {
        return std::future::pending().await;
    };
    match ended.await {
        Ok(Ok(status)) => code(status),
        // It was not started, which is an error elsewhere.
        Ok(Err(_)) | Err(_) => std::future::pending().await,
    }
}

/// The exit code of remap for the end of its command: the same, or as of a shell 128 and the signal.
pub fn code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signalled);
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn run(words_of: &[&str]) -> u8 {
        let (launcher, ended) = Launcher::prepare(&words(words_of), false).unwrap();
        assert_eq!(launcher.process(), None);
        launcher.start().unwrap();
        assert!(launcher.process().is_some());
        code(ended.blocking_recv().unwrap().unwrap())
    }

    #[test]
    fn the_exit_status_is_passed_on() {
        assert_eq!(run(&["true"]), 0);
        assert_eq!(run(&["sh", "-c", "exit 7"]), 7);
        assert_eq!(run(&["sh", "-c", "kill -TERM $$"]), 128 + 15);
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let (launcher, ended) = Launcher::prepare(&words(&["/nonexistent/x"]), false).unwrap();
        let error = launcher.start().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x failed: ENOENT"), "{error}");
        assert!(ended.blocking_recv().is_err());
    }

    #[test]
    fn a_command_that_is_not_started_never_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made");
        let (launcher, ended) =
            Launcher::prepare(&words(&["touch", file.to_str().unwrap()]), false).unwrap();
        drop(launcher);
        assert!(ended.blocking_recv().is_err());
        assert!(!file.exists());
    }
}
