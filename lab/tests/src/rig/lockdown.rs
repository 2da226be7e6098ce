//! Kernel lockdown: it can be switched on, and not off again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

const SECURITY: &str = "/sys/kernel/security";
const MODE: &str = "/sys/kernel/security/lockdown";

/// Whether it is on: then debugfs, by which tests set up the driver, cannot be used.
pub fn is_on() -> bool {
    fs::read_to_string(MODE).is_ok_and(|modes| !modes.contains("[none]"))
}

/// Switches to a mode.
pub fn switch_to(mode: &str) -> Result<()> {
    if !Path::new(MODE).exists() {
        mount(
            "securityfs",
            SECURITY,
            "securityfs",
            MountFlags::empty(),
            None,
        )?;
    }
    fs::write(MODE, mode).with_context(|| format!("writing {mode} to {MODE}"))
}
