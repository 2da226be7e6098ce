//! The reference driver: its debugfs files, its parameters, and loading it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::sysfs::Bdf;

use super::log::{Kind, Line, Log};
use super::suite::Group;
use super::until;

/// The module, and the PCI driver that it registers.
const MODULE: &str = "remap_ref";
const MODULE_FILE: &str = "/lib/remap/remap_ref.ko";
const PCI_DRIVER: &str = "remap-ref";
/// The longest wait of a state change that the driver is loaded with.
const TIMEOUT_MS: u64 = 60_000;

/// The other parameters that may be written while it is loaded, with their defaults.
const DEFAULTS: [(&str, &str); 3] = [("limp", "0"), ("whole", "0x201"), ("partial", "0x4")];

/// The driver of one device.
pub struct Driver {
    bdf: Bdf,
    group: Group,
    /// The parameters that it was loaded with, beside its encoding.
    parameters: &'static [&'static str],
}

/// Of a device with more than 64 regions that may be signalled: from 9 to 78.
pub const MANY_REGIONS: &[&str] = &["devregions=70"];
/// Regions that are trapped wholly then: 0, 9 and 66.
pub const TRAPPED_OF_MANY: u128 = 1 << 66 | 0x201;

impl Driver {
    /// The driver as it was loaded at boot.
    pub fn new(bdf: Bdf, group: Group) -> Self {
        Self {
            bdf,
            group,
            parameters: &[],
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new("/sys/kernel/debug/remap_ref")
            .join(self.bdf.to_string())
            .join(name)
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        write(&self.file(name), text)
    }

    /// Bound, as at boot, without faults, with an empty log, and with a closed device.
    pub fn clean(&mut self) -> Result<()> {
        if !self.parameters.is_empty() {
            self.reload(&[])?;
        }
        self.bind(PCI_DRIVER)?;
        self.closed()?;
        self.put("fault", "off")?;
        self.parameter("timeout_ms", &TIMEOUT_MS.to_string())?;
        for (name, value) in DEFAULTS {
            self.parameter(name, value)?;
        }
        self.clear_log()
    }

    /// Waits until the device is closed.
    pub fn closed(&self) -> Result<()> {
        until("the device to be closed", || {
            Ok((self.stat("open")? == "0").then_some(()))
        })
    }

    /// The device's PCI address.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// Pages that faulted in again while the driver limped, by region, since the device was bound.
    pub fn limp_faults(&self) -> Result<BTreeMap<u32, u64>> {
        let text = read(&self.file("stats"))?;
        let count = |line: &str| {
            let (region, count) = line.strip_prefix("region")?.split_once(".limp_faults ")?;
            Some((region.parse().ok()?, count.parse().ok()?))
        };
        Ok(text.lines().filter_map(count).collect())
    }

    /// Writes a parameter that may be written while the module is loaded.
    pub fn parameter(&self, name: &str, value: &str) -> Result<()> {
        write(
            &Path::new("/sys/module")
                .join(MODULE)
                .join("parameters")
                .join(name),
            value,
        )
    }

    /// Sets the longest wait of a state change.
    pub fn timeout_ms(&self, ms: u64) -> Result<()> {
        self.parameter("timeout_ms", &ms.to_string())
    }

    /// Arms a fault.
    pub fn fault(&self, fault: &str) -> Result<()> {
        self.put("fault", fault)
    }

    /// Makes the driver signal these regions, outside of any migration. Does not wait.
    pub fn trigger(&self, regions: u128) -> Result<()> {
        self.put("trigger", &format!("{regions:#x}"))
    }

    /// Empties the log.
    pub fn clear_log(&self) -> Result<()> {
        self.put("log", "clear")
    }

    /// The log since it was emptied.
    pub fn log(&self) -> Result<Log> {
        Log::parse(&read(&self.file("log"))?)
    }

    /// Waits until the log holds a line like this, and gives it.
    pub fn wait_for(&self, what: &str, like: impl Fn(&Kind) -> bool) -> Result<Line> {
        until(&format!("{what} in the driver's log"), || {
            Ok(self.log()?.0.into_iter().find(|line| like(&line.kind)))
        })
    }

    /// Waits until a state change waits for its acks.
    pub fn wait_for_wait(&self) -> Result<Line> {
        self.wait_for("a wait that has not ended", |kind| {
            matches!(kind, Kind::Wait { result: None, .. })
        })
    }

    /// Whether every trigger has been acknowledged, and none is queued.
    pub fn is_settled(&self) -> Result<bool> {
        Ok(self.stat("outstanding")? == "0x0" && self.stat("queued")? == "0x0")
    }

    /// Waits until every trigger has been acknowledged.
    pub fn settle(&self) -> Result<()> {
        until("the acks of all triggers", || {
            Ok(self.is_settled()?.then_some(()))
        })
    }

    /// A value of `stats`.
    pub fn stat(&self, key: &str) -> Result<String> {
        let text = read(&self.file("stats"))?;
        let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned);
        text.lines()
            .find_map(value)
            .with_context(|| format!("no {key} in the driver's stats"))
    }

    /// The mappings that are alive, of all regions.
    pub fn mappings(&self) -> Result<u64> {
        let text = read(&self.file("stats"))?;
        let count = |line: &str| {
            let (key, value) = line.split_once(' ')?;
            key.ends_with(".mappings").then(|| value.parse::<u64>())
        };
        let counts = text
            .lines()
            .filter_map(count)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(counts.into_iter().sum())
    }

    /// Reloads the driver, with these parameters.
    pub fn reload(&mut self, parameters: &'static [&'static str]) -> Result<()> {
        self.unbind()?;
        busybox(&["rmmod", MODULE])?;
        let encoding = format!("encoding={}", self.group.encoding());
        let insmod = ["insmod", MODULE_FILE, &encoding];
        busybox(&[&insmod, parameters].concat())?;
        self.parameters = parameters;
        self.bind(PCI_DRIVER)
    }

    /// Binds the device to a PCI driver.
    pub fn bind(&self, to: &str) -> Result<()> {
        if self.bound().as_deref() == Some(to) {
            return Ok(());
        }
        self.unbind()?;
        write(&self.device().join("driver_override"), to)?;
        write(
            Path::new("/sys/bus/pci/drivers_probe"),
            &self.bdf.to_string(),
        )?;
        let bound = self.bound();
        ensure!(
            bound.as_deref() == Some(to),
            "bound to {bound:?}, not to {to}"
        );
        Ok(())
    }

    /// Unbinds the device from its driver.
    pub fn unbind(&self) -> Result<()> {
        match self.bound() {
            Some(_) => write(&self.device().join("driver/unbind"), &self.bdf.to_string()),
            None => Ok(()),
        }
    }

    fn bound(&self) -> Option<String> {
        let link = fs::read_link(self.device().join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    fn device(&self) -> PathBuf {
        Path::new("/sys/bus/pci/devices").join(self.bdf.to_string())
    }
}

pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {text} to {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Runs an applet of busybox, which succeeds.
pub fn busybox(arguments: &[&str]) -> Result<()> {
    let status = Command::new("busybox").args(arguments).status()?;
    ensure!(
        status.success(),
        "busybox {}: {status}",
        arguments.join(" ")
    );
    Ok(())
}
