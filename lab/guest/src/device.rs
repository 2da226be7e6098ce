//! Binding PCI devices to a driver by name.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, anyhow, bail};

use crate::{errno, klog};

fn directory(bdf: &str) -> PathBuf {
    PathBuf::from("/sys/bus/pci/devices").join(bdf)
}

fn write(path: &PathBuf, value: &str) -> Result<()> {
    fs::write(path, value).map_err(|e| {
        anyhow!(
            "writing {value} to {}: {}",
            path.display(),
            errno::describe(&e)
        )
    })
}

/// The driver that the device is bound to.
pub fn driver(bdf: &str) -> Option<String> {
    let link = fs::read_link(directory(bdf).join("driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// Binds the device by driver_override, which needs no id table.
pub fn bind(bdf: &str, to: &str) -> Result<()> {
    if !directory(bdf).exists() {
        let there = fs::read_dir("/sys/bus/pci/devices").context("listing PCI devices")?;
        let there: Vec<_> = there
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        bail!(
            "there is no PCI device {bdf}; there are {}",
            there.join(", ")
        );
    }
    write(&directory(bdf).join("driver_override"), to)?;
    // A driver that is built into the kernel may have taken it at boot.
    if driver(bdf).is_some_and(|bound| bound != to) {
        unbind(bdf)?;
    }
    let before = klog::read().len();
    write(&PathBuf::from("/sys/bus/pci/drivers_probe"), bdf)?;
    match driver(bdf) {
        Some(bound) if bound == to => Ok(()),
        Some(bound) => bail!("{bdf} is bound to {bound}, not {to}"),
        None => bail!("{to} did not take {bdf}; {}", klog::since(before)),
    }
}

/// Unbinds the device. The kernel waits until it is closed, so that a long wait
/// means a leaked reference.
pub fn unbind(bdf: &str) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    if driver(bdf).is_none() {
        return Ok(());
    }
    let (done, wait) = mpsc::channel();
    let path = directory(bdf).join("driver/unbind");
    let value = bdf.to_owned();
    thread::spawn(move || done.send(write(&path, &value)));
    match wait.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(_) => bail!(
            "unbinding {bdf}: the driver still holds it after {} s",
            PATIENCE.as_secs()
        ),
    }
}
