//! The state before a trace runs: the programs are loaded, once the module `vfio` is there.

use std::{fs, path::Path, time::Duration};

use super::{
    error::LoadError,
    probes::{LoadOptions, Probes},
};
use crate::exit::say;

/// How often a waiting trace checks for the module `vfio`.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Its state.
const VFIO_STATE: &str = "/sys/module/vfio/initstate";

/// Attaches the probes, and reports on stderr what a trace will lack. Where `vfio` is not loaded,
/// reports that once and waits for it.
///
/// # Errors
/// See [`LoadError`]; never [`LoadError::Unloaded`].
pub async fn attach(options: &LoadOptions) -> Result<Probes, LoadError> {
    let mut reported = false;
    loop {
        match Probes::attach(options) {
            Err(LoadError::Unloaded) => {
                if !reported {
                    say(format_args!(
                        "the module vfio is not loaded: waiting for it (`modprobe vfio-pci`)"
                    ));
                }
                reported = true;
                wait_for_vfio().await;
            }
            Ok(probes) => {
                for sentence in &probes.missing {
                    say(format_args!("{sentence}"));
                }
                return Ok(probes);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn wait_for_vfio() {
    let state = Path::new(VFIO_STATE);
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if fs::read_to_string(state).is_ok_and(|state| state.trim_end() == "live") {
            return;
        }
    }
}
