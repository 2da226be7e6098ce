//! The operations whose cost is measured: each passes one or more hooks, and none is a device's.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{Mode, OFlags, open},
    io::{read, write},
};

use remap_lab_bench::aio::{Aio, map_and_unmap};

/// Something that is done over and over.
pub trait Operation {
    /// What it is called, and which hooks it passes.
    fn name(&self) -> &'static str;
    /// Does it once.
    fn run(&mut self) -> Result<()>;
}

/// All of them.
pub fn all() -> Result<Vec<Box<dyn Operation>>> {
    Ok(vec![
        Box::new(WriteRead(foreign_eventfd()?)),
        Box::new(KernelSignal {
            aio: Aio::new()?,
            source: open("/dev/zero", OFlags::RDONLY, Mode::empty()).context("/dev/zero")?,
            eventfd: foreign_eventfd()?,
        }),
        Box::new(MapUnmap),
        Box::new(OpenClose),
    ])
}

fn foreign_eventfd() -> Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC).context("eventfd failed")
}

/// `eventfd_write`, `eventfd_read`.
struct WriteRead(OwnedFd);

impl Operation for WriteRead {
    fn name(&self) -> &'static str {
        "eventfd write + read"
    }

    fn run(&mut self) -> Result<()> {
        write(&self.0, &1u64.to_ne_bytes())?;
        let mut value = [0; 8];
        ensure!(
            read(&self.0, &mut value)? == 8,
            "a short read of an eventfd"
        );
        Ok(())
    }
}

/// `eventfd_signal_mask`: the kernel signals a foreign eventfd when an AIO request is done.
struct KernelSignal {
    aio: Aio,
    source: OwnedFd,
    eventfd: OwnedFd,
}

impl Operation for KernelSignal {
    fn name(&self) -> &'static str {
        "kernel signal of an eventfd (AIO)"
    }

    fn run(&mut self) -> Result<()> {
        self.aio.read(self.source.as_raw_fd(), self.eventfd.as_fd())
    }
}

/// The hook at the end of a mapping.
struct MapUnmap;

impl Operation for MapUnmap {
    fn name(&self) -> &'static str {
        "mmap + munmap"
    }

    fn run(&mut self) -> Result<()> {
        map_and_unmap()
    }
}

/// `eventfd_release`, `eventfd_ctx_put`.
struct OpenClose;

impl Operation for OpenClose {
    fn name(&self) -> &'static str {
        "eventfd open + close"
    }

    fn run(&mut self) -> Result<()> {
        foreign_eventfd().map(drop)
    }
}
