//! A non-blocking eventfd: a 64-bit counter that wakes the threads that wait for it.

#![expect(
    unsafe_code,
    reason = "eventfd(2), and the registration of its fd with tokio"
)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An eventfd of this process.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// Creates one with the counter 0.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new fd without another owner.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Reads the counter and resets it to 0; `None` if it is 0.
    pub fn read(&self) -> io::Result<Option<u64>> {
        let mut value = [0; 8];
        match (&self.0).read(&mut value) {
            Ok(_) => Ok(Some(u64::from_ne_bytes(value))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds to the counter. Adding 0 wakes the waiting threads, and makes nothing readable.
    pub fn write(&self, value: u64) -> io::Result<()> {
        (&self.0).write_all(&value.to_ne_bytes())
    }

    /// The same eventfd on the reactor of the current tokio runtime.
    pub fn watch(self: Arc<Self>) -> io::Result<AsyncFd<Arc<Self>>> {
        // SAFETY: `as_raw_fd` always gives the one fd that `self` owns, and it is kept alive.
        unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }.map_err(Into::into)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_adds_and_a_read_takes_all() {
        let eventfd = EventFd::new().unwrap();
        assert_eq!(eventfd.read().unwrap(), None);
        eventfd.write(0x201).unwrap();
        eventfd.write(0x201).unwrap();
        assert_eq!(eventfd.read().unwrap(), Some(0x402), "a sum, not an or");
        eventfd.write(0).unwrap();
        assert_eq!(eventfd.read().unwrap(), None, "0 makes nothing readable");
    }
}
