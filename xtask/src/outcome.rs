//! Exit codes: 0 ok, 1 failed, 2 usage, 3 this machine cannot, 130 interrupted.

use thiserror::Error;

/// The machine lacks something; the error names it and the remedy.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Cannot(pub String);

/// The arguments contradict each other.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The user, or the parent process, asked for an end (SIGINT, SIGTERM).
#[derive(Debug, Error)]
#[error("interrupted")]
pub struct Interrupted;

/// The exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match () {
        () if error.is::<Usage>() => 2,
        () if error.is::<Cannot>() => 3,
        () if error.is::<Interrupted>() => 130,
        () => 1,
    }
}
