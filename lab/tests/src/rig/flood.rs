//! A flood of interrupts: the MSI-X vectors of a device are signalled again and again.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use remap_user::vfio::device::{Action, Data, Device};
use remap_user::vfio::eventfd::EventFd;

use super::until;
use super::vmm::assigned::MSIX;

/// A flood that goes on until it is ended.
pub struct Flood {
    stop: Arc<AtomicBool>,
    signals: Arc<AtomicU64>,
    vectors: u32,
    thread: JoinHandle<Result<()>>,
}

/// How a flood goes on after each call that signals all vectors.
#[derive(Clone, Copy)]
pub enum Then {
    /// All eventfds are read.
    Read,
    /// Other tasks get their turn for so long.
    Pause(Duration),
}

impl Flood {
    /// Enables every vector with an eventfd of its own, and begins.
    pub fn start(device: &Arc<Device>, then: Then) -> Result<Self> {
        let vectors = device.irq_info(MSIX)?.count;
        let eventfds: Vec<EventFd> = (0..vectors)
            .map(|_| EventFd::new())
            .collect::<Result<_, _>>()?;
        let fds: Vec<_> = eventfds
            .iter()
            .map(|eventfd| Some(eventfd.as_fd()))
            .collect();
        device.set_irqs(MSIX, 0, Action::Trigger, Data::Eventfd(&fds))?;
        let stop = Arc::new(AtomicBool::new(false));
        let signals = Arc::new(AtomicU64::new(0));
        let (stopped, sent, device) = (Arc::clone(&stop), Arc::clone(&signals), Arc::clone(device));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                device.set_irqs(MSIX, 0, Action::Trigger, Data::None(vectors))?;
                sent.fetch_add(vectors.into(), Ordering::Relaxed);
                match then {
                    Then::Read => {
                        for eventfd in &eventfds {
                            eventfd.read()?;
                        }
                    }
                    Then::Pause(pause) => thread::sleep(pause),
                }
            }
            device.set_irqs(MSIX, 0, Action::Trigger, Data::None(0))?;
            Ok(())
        });
        Ok(Self {
            stop,
            signals,
            vectors,
            thread,
        })
    }

    /// Waits for so many signals more.
    pub fn wait(&self, signals: u64) -> Result<()> {
        let enough = self.signals.load(Ordering::Relaxed) + signals;
        until("signals", || {
            ensure!(!self.thread.is_finished(), "the flood failed");
            Ok((self.signals.load(Ordering::Relaxed) >= enough).then_some(()))
        })
    }

    /// Ends it. Returns the number of calls, and of signals.
    pub fn end(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the flood panicked"))??;
        let signals = self.signals.load(Ordering::Relaxed);
        Ok((signals / u64::from(self.vectors), signals))
    }
}
