//! A ring of the programs, awaited on the reactor.

#![expect(unsafe_code, reason = "the reactor requires that the fd stays open")]

use std::io;

use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

/// A ring of the attached programs.
pub(super) struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    /// Watches a ring on the current tokio runtime.
    ///
    /// # Errors
    /// If the reactor refuses the ring.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its fd and keeps it open until it is dropped, which the AsyncFd
        // that owns the ring does after its own deregistration.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self { ring })
    }

    /// Waits until there may be records, and drains them into `take`.
    ///
    /// # Errors
    /// If the reactor fails.
    pub async fn ready(&mut self, take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut guard = self.ring.readable_mut().await?;
        // Before the drain: a record that arrives meanwhile makes the ring readable again.
        guard.clear_ready();
        drop(guard);
        self.drain(take);
        Ok(())
    }

    /// Drains all submitted records, without waiting.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(record) = self.ring.get_mut().next() {
            take(&record);
        }
    }
}
