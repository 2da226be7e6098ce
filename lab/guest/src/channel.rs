//! The line to the host.

use std::fs::{File, OpenOptions};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use remap_guest::frame::{self, Kind};
use remap_guest::handover::{CHANNEL, Verdict};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

/// The open line; any thread may send.
pub struct Channel(Mutex<File>);

impl Channel {
    /// Opens the line and makes it raw: the frames are bytes, not text.
    pub fn open() -> Result<Channel> {
        let line = OpenOptions::new()
            .read(true)
            .write(true)
            .open(CHANNEL)
            .with_context(|| format!("opening {CHANNEL}"))?;
        let mut attributes =
            tcgetattr(&line).with_context(|| format!("asking {CHANNEL} for its settings"))?;
        attributes.make_raw();
        tcsetattr(&line, OptionalActions::Now, &attributes)
            .with_context(|| format!("making {CHANNEL} raw"))?;
        Ok(Channel(Mutex::new(line)))
    }

    /// Sends `bytes`.
    pub fn send(&self, kind: Kind, bytes: &[u8]) -> Result<()> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *line, kind, bytes).with_context(|| format!("writing to {CHANNEL}"))
    }

    /// Says what the init is doing. A host that does not listen is noticed at
    /// the verdict, not here.
    pub fn step(&self, text: &str) {
        let _ = self.send(Kind::Step, text.as_bytes());
    }

    /// Sends the kernel log.
    pub fn log(&self, text: &str) -> Result<()> {
        self.send(Kind::Log, text.as_bytes())
    }

    /// Sends the verdict and waits until the line has taken it.
    pub fn verdict(&self, verdict: &Verdict) -> Result<()> {
        self.send(Kind::Verdict, &serde_json::to_vec(verdict)?)?;
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tcdrain(&*line).with_context(|| format!("draining {CHANNEL}"))
    }
}
