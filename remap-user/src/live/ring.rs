//! A ring of the programs, awaited on the reactor and taken turn by turn.

#![expect(unsafe_code, reason = "the reactor requires that the fd stays open")]

use std::{io, time::Instant};

use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

use super::turn::Turn;

/// A ring of the attached programs.
pub(super) struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
    /// Whether the last turn has left records. The kernel does not announce them again.
    rest: bool,
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
        Ok(Self { ring, rest: false })
    }

    /// Waits until there may be records. If the last turn has left some, waits only until
    /// everything else on the reactor had its turn.
    ///
    /// # Errors
    /// If the reactor fails.
    pub async fn ready(&mut self) -> io::Result<()> {
        if self.rest {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let mut guard = self.ring.readable_mut().await?;
        // Before the records are taken: one that arrives meanwhile makes the ring readable again.
        guard.clear_ready();
        Ok(())
    }

    /// Takes submitted records, without waiting, until there are none or the turn is over. Returns
    /// whether there were none left.
    pub fn take(&mut self, mut turn: Turn, mut take: impl FnMut(&[u8])) -> bool {
        let ring = self.ring.get_mut();
        self.rest = loop {
            if !turn.goes_on(Instant::now) {
                break true;
            }
            match ring.next() {
                Some(record) => take(&record),
                None => break false,
            }
        };
        !self.rest
    }
}
