//! Ctrl-C and SIGTERM end a run in order: QEMU first, then the run's files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::outcome::Interrupted;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on a signal is noticed by [`check`] instead of ending the process.
pub fn watch() -> Result<()> {
    let flag = STOP.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("handling Ctrl-C")?;
    }
    Ok(())
}

/// An error once a signal has come.
pub fn check() -> Result<()> {
    let stopped = STOP.get().is_some_and(|flag| flag.load(Ordering::Relaxed));
    if stopped {
        Err(Interrupted.into())
    } else {
        Ok(())
    }
}
