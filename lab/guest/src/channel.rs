//! The line to the host.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use remap_guest::frame::{self, Kind};
use remap_guest::handover::{Line, PORT, SERIAL, Verdict};
use rustix::termios::{OptionalActions, isatty, tcdrain, tcgetattr, tcsetattr};

use crate::module;

/// The open line; any thread may send.
pub struct Channel(Mutex<File>);

impl Channel {
    /// Opens the line.
    pub fn open(line: &Line) -> Result<Channel> {
        let path = match line {
            Line::Serial => PathBuf::from(SERIAL),
            Line::Virtio(modules) => {
                modules.iter().try_for_each(module::load)?;
                port()?
            }
        };
        let failed = || format!("opening {}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .with_context(failed)?;
        if isatty(&file) {
            // The frames are bytes, not text.
            let mut attributes = tcgetattr(&file).with_context(failed)?;
            attributes.make_raw();
            tcsetattr(&file, OptionalActions::Now, &attributes).with_context(failed)?;
        }
        Ok(Channel(Mutex::new(file)))
    }

    /// Sends `bytes`.
    pub fn send(&self, kind: Kind, bytes: &[u8]) -> Result<()> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *line, kind, bytes).context("writing to the host")
    }

    /// Reports what the init is doing. A lost line to the host is an error at
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
        if isatty(&*line) {
            tcdrain(&*line).context("writing to the host")?;
        }
        Ok(())
    }
}

/// The port's device. The host names its ports by messages, so they come a
/// moment after the driver.
fn port() -> Result<PathBuf> {
    const PORTS: &str = "/sys/class/virtio-ports";
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        for entry in fs::read_dir(PORTS).into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT {
                return Ok(PathBuf::from("/dev").join(entry.file_name()));
            }
        }
        if Instant::now() > deadline {
            bail!("{PORTS} shows no port named {PORT}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}
