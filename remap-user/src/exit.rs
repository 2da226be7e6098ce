//! How a command ends: the exit code, and the one line that says why.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What went wrong, as the exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 1: it was tried, and failed.
    Failed = 1,
    /// 2: the command line cannot be understood.
    Usage = 2,
    /// 3: this machine, or this user on it, cannot do it.
    Machine = 3,
    /// 4: it was done, but data was lost.
    Lost = 4,
}

/// An error with its exit code.
#[derive(Debug)]
pub struct Error {
    /// The exit code.
    pub code: Code,
    /// What failed, on what, the errno's name, what to do next.
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

    /// An error with this code and this sentence.
    pub fn with_message(code: Code, sentence: impl fmt::Display) -> Self {
        Self {
            code,
            cause: anyhow::Error::msg(sentence.to_string()),
        }
    }

    /// Whether the reader of our output went away.
    pub fn is_broken_pipe(&self) -> bool {
        self.cause
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:#}", self.cause).replace('\n', " "))
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

/// The end of the process: one line on stderr, unless the reader of our output went away.
pub fn report(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remap: {error}");
            ExitCode::from(error.code as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = Error::from(anyhow::anyhow!("deep\ndown").context("on top"));
        assert_eq!(error.to_string(), "on top: deep down");
        assert_eq!(error.code, Code::Failed);
    }

    #[test]
    fn a_broken_pipe_differs_from_other_errors() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Error::from(anyhow::Error::new(broken).context("writing")).is_broken_pipe());
        assert!(!Error::from(io::Error::from(io::ErrorKind::NotFound)).is_broken_pipe());
    }
}
