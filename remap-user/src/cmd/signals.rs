//! The signals that end a command.
//!
//! The handler itself ends the process at the second signal: whatever blocks the reactor, a thread
//! or the output, cannot hold that back.

#![expect(unsafe_code, reason = "sigaction(2), and what a handler may call")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, IntoRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    path::Path,
    process::Command,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering},
    },
};

use rustix::event::{EventfdFlags, eventfd};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use crate::exit::Error;

/// The signals that end a command.
const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// How many of them have arrived.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// The eventfd that the first one is written to; never closed.
static EVENTFD: AtomicI32 = AtomicI32::new(-1);

/// The file that the second one removes; never freed.
static FILE: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());

/// Removes this file also where the second signal ends the process.
pub fn remove_at_second(path: &Path) {
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        FILE.store(path.into_raw(), Ordering::Release);
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    // The second signal: something hangs, perhaps in a driver. The kernel closes the device of an
    // exited process, which disables its IRQs and ends the wait of its driver.
    if COUNT.fetch_add(1, Ordering::AcqRel) > 0 {
        let file = FILE.load(Ordering::Acquire);
        // SAFETY: a handler may call unlink(2), on a string that is never freed, and _exit(2), which
        // does not return.
        unsafe {
            if !file.is_null() {
                libc::unlink(file);
            }
            libc::_exit(128 + signal);
        }
    }
    let one = 1_u64.to_ne_bytes();
    // SAFETY: a handler may call write(2); the buffer is local, and the errno is restored for the
    // code that was interrupted.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(
            EVENTFD.load(Ordering::Acquire),
            one.as_ptr().cast(),
            one.len(),
        );
        *libc::__errno_location() = errno;
    }
}

/// A file that becomes too large is an error of its write(2), not the end of the process.
pub fn ignore_file_size_signal() {
    // SAFETY: SIG_IGN is no code of this process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The program that `command` starts handles that signal as if remap had not started it.
pub fn restore_file_size_signal(command: &mut Command) {
    let restore = || {
        // SAFETY: SIG_DFL is no code of this process.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: a new process may call signal(2).
    unsafe { command.pre_exec(restore) };
}

/// Notified at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. Must be
/// called within a tokio runtime, once.
///
/// # Errors
/// If a signal handler cannot be installed.
pub fn stop_signal() -> Result<Arc<Notify>, Error> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let eventfd = eventfd(0, flags).map_err(io::Error::from)?;
    let watched: OwnedFd = eventfd.as_fd().try_clone_to_owned()?;
    // SAFETY: the AsyncFd owns the fd, which stays open until it is deregistered.
    let watched = unsafe { AsyncFd::register_with_interest(watched, Interest::READABLE) };
    let watched = watched.map_err(io::Error::from)?;
    EVENTFD.store(eventfd.into_raw_fd(), Ordering::Release);
    for signal in ENDING {
        install(signal)?;
    }
    let notify = Arc::new(Notify::new());
    let notified = Arc::clone(&notify);
    tokio::spawn(async move {
        if watched.readable().await.is_ok() {
            notified.notify_one();
        }
    });
    Ok(notify)
}

/// Leaves the signals to other threads: this one gives up the right to remove a file.
pub fn leave_to_others() {
    // SAFETY: all zeroes is a set of signals; the calls change that, and the mask of this thread.
    unsafe {
        let mut ending: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut ending);
        for signal in ENDING {
            libc::sigaddset(&raw mut ending, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ending, ptr::null_mut());
    }
}

fn install(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: all zeroes is a sigaction without flags, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is complete, and its handler calls only what a handler may.
    match unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
