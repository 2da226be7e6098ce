//! Threads and runtimes: where the system refuses one (`ulimit -u`, `-v`, `-n`), that is an error.

use std::{io, thread, time::Duration};

use tokio::runtime::{Builder, Runtime};

use crate::exit::{Code, Error};

/// Longer than any command runs.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// As many threads for work that blocks as there is such work.
pub const MANY: usize = 512;

/// Starts a thread.
///
/// # Errors
/// If the system refuses one.
pub fn spawn<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().spawn(run)
}

/// A runtime of the current thread, with up to `blocking` threads for work that blocks; one of them is
/// there from the beginning to the end.
///
/// # Errors
/// If the system refuses a thread, or what the reactor needs.
pub fn runtime(blocking: usize) -> io::Result<Runtime> {
    // Tokio panics if it cannot start its first thread for work that blocks. So start it here, after
    // a thread of the same size was possible, and keep it.
    let _ = spawn(|| ())?.join();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(YEAR)
        .max_blocking_threads(blocking)
        .build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// The error line where a thread or a runtime cannot be started.
pub fn refused(error: &io::Error) -> Error {
    let errno = remap_core::event::Errno::of(error);
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => "raise the limit of open files (`ulimit -n`)",
        Some(libc::EAGAIN) => "raise the limit of processes (`ulimit -u`)",
        Some(libc::ENOMEM) => "raise the limit of memory (`ulimit -v`)",
        _ => "check the limits of this process (`ulimit -a`)",
    };
    let message = format!("starting the threads and the reactor failed: {errno}; {remedy}");
    Error::with_message(Code::Failed, message)
}
