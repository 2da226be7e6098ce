//! The eventfds of the triggers on the reactor. The scan for the next trigger starts behind the last
//! one, so that a trigger that is signalled all the time does not starve the others.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;

use crate::respond::handshake::Handshake;
use crate::vfio::eventfd::EventFd;

/// A trigger that was signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    /// Which of the handshakes.
    pub handshake: usize,
    /// Sub-index of its IRQ.
    pub sub: u32,
    /// The counter.
    pub value: u64,
}

/// An eventfd on the reactor.
struct Watched {
    handshake: usize,
    sub: u32,
    fd: AsyncFd<Arc<EventFd>>,
}

/// The triggers of all handshakes.
pub(super) struct Triggers {
    watched: Vec<Watched>,
    /// Where the next scan starts.
    first: usize,
}

impl Triggers {
    /// Watches the triggers of these handshakes. Must be called within a tokio runtime with its I/O
    /// driver on.
    pub fn watch(handshakes: &[Handshake]) -> io::Result<Self> {
        Self::of(handshakes.iter().map(Handshake::triggers))
    }

    fn of<'a>(all: impl Iterator<Item = &'a [Arc<EventFd>]>) -> io::Result<Self> {
        let mut watched = Vec::new();
        for (handshake, triggers) in all.enumerate() {
            for (sub, trigger) in (0..).zip(triggers) {
                let fd = Arc::clone(trigger).watch()?;
                watched.push(Watched { handshake, sub, fd });
            }
        }
        Ok(Self { watched, first: 0 })
    }

    /// Waits for the next trigger, and takes its counter.
    pub async fn next(&mut self) -> io::Result<Signal> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Signal>> {
        let count = self.watched.len();
        let (before, behind) = self.watched.split_at(self.first.min(count));
        for (step, watched) in behind.iter().chain(before).enumerate() {
            if let Poll::Ready(value) = poll_value(&watched.fd, context) {
                let signal = |value| Signal {
                    handshake: watched.handshake,
                    sub: watched.sub,
                    value,
                };
                self.first = (self.first + step + 1) % count;
                return Poll::Ready(value.map(signal));
            }
        }
        Poll::Pending
    }
}

/// The counter of an eventfd as soon as it is not 0.
fn poll_value(fd: &AsyncFd<Arc<EventFd>>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
    loop {
        let mut guard = ready!(fd.poll_read_ready(context))?;
        let value = fd.get_ref().read()?;
        // The counter is 0 now. A later signal makes the eventfd readable again.
        guard.clear_ready();
        if let Some(value) = value {
            return Poll::Ready(Ok(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_trigger_starves() {
        let new = |_| Arc::new(EventFd::new().unwrap());
        let eventfds: [Vec<_>; 2] = [(0..2).map(new).collect(), (0..1).map(new).collect()];
        let mut triggers = Triggers::of(eventfds.iter().map(Vec::as_slice)).unwrap();
        let mut answered = Vec::new();
        for _ in 0..6 {
            // All of them are signalled again while one is answered.
            for eventfd in eventfds.iter().flatten() {
                eventfd.write(1).unwrap();
            }
            for watched in &triggers.watched {
                watched.fd.readable().await.unwrap().retain_ready();
            }
            let signal = triggers.next().await.unwrap();
            answered.push((signal.handshake, signal.sub));
        }
        let turn = [(0, 0), (0, 1), (1, 0)];
        assert_eq!(answered, [turn, turn].concat());
    }
}
