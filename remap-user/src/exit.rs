//! The exit codes, and the error line on stderr.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use remap_core::printable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// An exit code that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 1: the command failed.
    Failed = 1,
    /// 2: the command line is wrong.
    Usage = 2,
    /// 3: this machine or this user lacks a requirement.
    Machine = 3,
    /// 4: the command succeeded, but lost records.
    Lost = 4,
}

/// An error with its exit code.
#[derive(Debug)]
pub struct Error {
    /// The exit code.
    pub code: Code,
    /// The failed call, its object, the name of the errno, and the remedy.
    pub cause: anyhow::Error,
}

impl Error {
    /// An error with this code.
    pub fn new(code: Code, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            cause: cause.into(),
        }
    }

    /// An error with this code and this message.
    pub fn with_message(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            cause: anyhow::Error::msg(message.to_string()),
        }
    }

    /// Whether the cause is that the reader of the output exited.
    pub fn is_broken_pipe(&self) -> bool {
        self.cause
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:#}", self.cause).replace('\n', " ");
        f.write_str(&printable::line(&text))
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            code: Code::Failed,
            cause,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::new(Code::Failed, error)
    }
}

/// Writes a line for people to stderr; nothing, if that would block or fails.
pub fn say(text: fmt::Arguments<'_>) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec::default();
    if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
        let _ = rustix::io::write(
            &stderr,
            format!("remap: {}\n", printable::line(&text.to_string())).as_bytes(),
        );
    }
}

/// Work that is left once the outcome is reported.
static AFTERWARDS: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::new(Vec::new());

/// Leaves work that takes long until [`report`] has reported the outcome of the command.
pub fn afterwards(work: impl FnOnce() + Send + 'static) {
    let mut left = AFTERWARDS.lock().unwrap_or_else(PoisonError::into_inner);
    left.push(Box::new(work));
}

/// The exit code of the process, for that of its command. Writes an error as one line to stderr, except a
/// broken pipe.
pub fn report(result: Result<u8, Error>) -> ExitCode {
    let code = match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::from(error.code as u8)
        }
    };
    let left = std::mem::take(&mut *AFTERWARDS.lock().unwrap_or_else(PoisonError::into_inner));
    left.into_iter().for_each(|work| work());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_done_after_the_report() {
        let (done, wait) = std::sync::mpsc::channel();
        afterwards(move || done.send(()).unwrap());
        assert!(wait.try_recv().is_err());
        report(Ok(0));
        assert_eq!(wait.try_recv(), Ok(()));
    }

    #[test]
    fn an_error_is_one_line() {
        let error = Error::from(anyhow::anyhow!("deep\ndown").context("on top"));
        assert_eq!(error.to_string(), "on top: deep down");
        assert_eq!(error.code, Code::Failed);
    }

    #[test]
    fn an_error_does_not_control_the_terminal() {
        let error = Error::with_message(Code::Failed, "creating /tmp/\x1b[2J\u{202e} failed");
        let text = "creating /tmp/\\x1b[2J\\u{202e} failed";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_broken_pipe_differs_from_other_errors() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Error::from(anyhow::Error::new(broken).context("writing")).is_broken_pipe());
        assert!(!Error::from(io::Error::from(io::ErrorKind::NotFound)).is_broken_pipe());
    }
}
