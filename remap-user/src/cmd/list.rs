//! `remap list`: the devices that are bound to a vfio driver, with their regions and IRQs.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::cmd::format::Format;
use crate::exit::{Error, say};
use crate::respond::ack::encoding_name;
use crate::respond::migrate::Migration;
use crate::respond::report::{AreaText, RegionAreas, flag_letters};
use crate::vfio::error::Error as VfioError;
use crate::vfio::open::{self, Via};
use crate::vfio::sysfs::{Bdf, Holder, Host, OtherDevice, name_holders};
use remap_core::parse::irq::{IrqInfo, RemapIrq};
use remap_core::parse::region::Region;
use remap_core::printable::Name;

/// Lists the devices that are bound to a vfio driver, with their regions and IRQs. Opens each free
/// device for a moment, which resets it.
#[derive(Args, Debug)]
pub struct List {
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
}

/// A device that is bound to a vfio driver.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "device")]
struct Listed {
    /// Its name: the address of a PCI device.
    device: String,
    vendor_id: Option<u16>,
    device_id: Option<u16>,
    driver: Option<String>,
    group: Option<u32>,
    /// Its cdev, where this kernel has one.
    cdev: Option<PathBuf>,
    holders: Vec<Holder>,
    /// Why there are no details.
    unknown: Option<String>,
    details: Option<Details>,
}

/// The properties that only an open device reports.
#[derive(Debug, Serialize)]
struct Details {
    /// How it migrates; `null` if it does not.
    migration: Option<&'static str>,
    regions: Vec<RegionLine>,
    irqs: Vec<IrqLine>,
    /// Malformed answers of the driver.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RegionLine {
    #[serde(flatten)]
    region: RegionAreas,
    /// Type and subtype of a device-specific region.
    kind: Option<(u32, u32)>,
    /// A sparse capability without `FLAG_MMAP`.
    stale_sparse: bool,
}

#[derive(Debug, Serialize)]
struct IrqLine {
    irq_index: u32,
    flags: u32,
    count: u32,
    kind: Option<(u32, u32)>,
    remap: Option<RemapLine>,
}

#[derive(Debug, Serialize)]
struct RemapLine {
    encoding: &'static str,
    base: u32,
    mask: Option<u64>,
}

impl List {
    /// Lists them.
    pub fn run(self) -> Result<(), Error> {
        let host = Host::default();
        let format = Format::new(self.json);
        let mut stdout = io::stdout().lock();
        let (devices, others) = (host.vfio_devices(), host.other_devices());
        if devices.is_empty() && others.is_empty() {
            say(format_args!("no device is bound to a vfio driver"));
        }
        for bdf in devices {
            format.write(&mut stdout, &look(&host, bdf))?;
        }
        for device in others {
            format.write(&mut stdout, &look_at_other(&host, device))?;
        }
        Ok(stdout.flush()?)
    }
}

fn look(host: &Host, bdf: Bdf) -> Listed {
    let group = host.group(bdf);
    let holders = host.holders(&open::paths(host, bdf));
    let mut listed = Listed {
        device: bdf.to_string(),
        vendor_id: host.ids(bdf).map(|ids| ids.0),
        device_id: host.ids(bdf).map(|ids| ids.1),
        driver: host.driver(bdf),
        group,
        cdev: host.cdev(bdf),
        holders,
        unknown: None,
        details: None,
    };
    if listed.holders.is_empty() {
        match details(host, bdf) {
            Ok(details) => listed.details = Some(details),
            Err(error) => listed.unknown = Some(error.to_string()),
        }
    } else {
        let holders = name_holders(&listed.holders);
        listed.unknown = Some(format!("held by {holders}: regions unknown"));
    }
    listed
}

/// A device that is no PCI device: its regions are unknown, since only PCI devices are opened.
fn look_at_other(host: &Host, device: OtherDevice) -> Listed {
    let holders = host.holders(&open::paths_of_other(&device));
    let unknown = match holders.as_slice() {
        [] => "no PCI device: regions unknown".to_owned(),
        _ => format!(
            "no PCI device, held by {}: regions unknown",
            name_holders(&holders)
        ),
    };
    Listed {
        device: device.name,
        vendor_id: None,
        device_id: None,
        driver: device.driver,
        group: device.group,
        cdev: device.cdev,
        holders,
        unknown: Some(unknown),
        details: None,
    }
}

fn details(host: &Host, bdf: Bdf) -> Result<Details, VfioError> {
    let device = Arc::new(open::open(host, bdf, Via::Auto)?);
    let migration = Migration::find(&device)?.map(|migration| migration.name());
    let mut details = Details {
        migration,
        regions: Vec::new(),
        irqs: Vec::new(),
        problems: Vec::new(),
    };
    for answer in device.regions()? {
        match answer {
            Ok(region) if region.size > 0 => details.regions.push(RegionLine::from(&region)),
            Ok(_) => {}
            Err(error) => details.problem(&error),
        }
    }
    for answer in device.irqs()? {
        match answer {
            Ok(irq) if irq.count > 0 => details.irqs.push(IrqLine::from(&irq)),
            Ok(_) => {}
            Err(error) => details.problem(&error),
        }
    }
    Ok(details)
}

impl Details {
    fn problem(&mut self, error: &VfioError) {
        if !error.is_absent() {
            self.problems.push(error.to_string());
        }
    }
}

impl From<&Region> for RegionLine {
    fn from(region: &Region) -> Self {
        Self {
            region: RegionAreas::from(region),
            kind: region.kind,
            stale_sparse: region.stale_sparse,
        }
    }
}

impl From<&IrqInfo> for IrqLine {
    fn from(irq: &IrqInfo) -> Self {
        let remap = |RemapIrq {
                         encoding,
                         base,
                         mask,
                     }| RemapLine {
            encoding: encoding_name(encoding),
            base,
            mask,
        };
        Self {
            irq_index: irq.index,
            flags: irq.flags,
            count: irq.count,
            kind: irq.kind,
            remap: irq.remap.map(remap),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Name(&self.device))?;
        if let (Some(vendor), Some(device)) = (self.vendor_id, self.device_id) {
            write!(f, " {vendor:04x}:{device:04x}")?;
        }
        let driver = self.driver.as_deref().unwrap_or("none");
        write!(f, " driver {}", Name(driver))?;
        match self.group {
            Some(group) => write!(f, ", group {group}")?,
            None => write!(f, ", no group")?,
        }
        if let Some(name) = self.cdev.as_deref().and_then(Path::file_name) {
            write!(f, ", node {}", Name(&name.to_string_lossy()))?;
        }
        if let Some(unknown) = &self.unknown {
            write!(f, ", {}", Name(unknown))?;
        }
        let Some(details) = &self.details else {
            return Ok(());
        };
        write!(
            f,
            ", free, migration {}",
            details.migration.unwrap_or("none")
        )?;
        for line in &details.regions {
            write!(f, "\n  {line}")?;
        }
        for line in &details.irqs {
            write!(f, "\n  {line}")?;
        }
        for problem in &details.problems {
            write!(f, "\n  problem: {}", Name(problem))?;
        }
        Ok(())
    }
}

impl fmt::Display for RegionLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegionAreas {
            region,
            flags,
            size,
            areas,
        } = &self.region;
        write!(
            f,
            "region {region:<2} {} size {size:#x}",
            flag_letters(*flags)
        )?;
        if let Some((kind, subtype)) = self.kind {
            write!(f, ", type {kind:#x} subtype {subtype:#x}")?;
        }
        match areas.as_slice() {
            [] => {}
            [
                AreaText {
                    offset: 0,
                    size: whole,
                },
            ] if whole == size => f.write_str(", mappable")?,
            areas => {
                f.write_str(", mappable")?;
                for AreaText { offset, size } in areas {
                    write!(f, " {offset:#x}+{size:#x}")?;
                }
            }
        }
        if self.stale_sparse {
            f.write_str(", stale sparse areas")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for IrqLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 5] = ["INTx", "MSI", "MSI-X", "ERR", "REQ"];
        write!(f, "IRQ {:<5} count {}", self.irq_index, self.count)?;
        let at = usize::try_from(self.irq_index).unwrap_or(usize::MAX);
        match (&self.remap, NAMES.get(at)) {
            (
                Some(RemapLine {
                    encoding,
                    base,
                    mask,
                }),
                _,
            ) => {
                write!(f, ", remap IRQ: {encoding}, base {base}")?;
                match mask {
                    Some(mask) => write!(f, ", mask {mask:#x}")?,
                    None => write!(f, ", no mask")?,
                }
            }
            (None, Some(name)) => write!(f, ", {name}")?,
            (None, None) => {}
        }
        match self.kind {
            Some((kind, subtype)) => write!(f, ", type {kind} subtype {subtype}"),
            None => Ok(()),
        }
    }
}
