//! Calls that zap every mapping, and the faults that populate it again.

use std::fs;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use remap_core::event::{Body, FaultOutcome};
use remap_core::model::{CauseKind, Rule};
use remap_user::vfio::eventfd::EventFd;
use remap_user::vfio::sysfs::Bdf;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
};

use super::Tests;
use super::memory::{Populated, explained, populated, touch};
use crate::rig::judge::sentence::{WAKEUP, Whence, feature, signal, zapped};
use crate::rig::peer;
use crate::rig::stock::Stock;
use crate::rig::until;
use crate::rig::vmm::assigned::Assigned;
use crate::rig::vmm::sys::PAGE;

pub const TESTS: Tests = &[
    ("stock::power::memory_decode", |stock| {
        zapping(stock, Off::Decode)
    }),
    ("stock::power::d3", |stock| zapping(stock, Off::D3)),
    ("stock::power::low_power", |stock| {
        zapping(stock, Off::LowPower)
    }),
    ("stock::power::reset", |stock| zapping(stock, Off::Reset)),
    ("stock::power::hot_reset", |stock| {
        zapping(stock, Off::HotReset)
    }),
    ("stock::power::low_power_with_wakeup", wakeup),
];

/// The call that zaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Off {
    /// Memory decode in the command register.
    Decode,
    /// The power state in config space.
    D3,
    /// `DEVICE_FEATURE` `LOW_POWER_ENTRY`.
    LowPower,
    /// `DEVICE_RESET`: the device has memory access again when it returns.
    Reset,
    /// `PCI_HOT_RESET`, likewise.
    HotReset,
}

/// `PCI_COMMAND`, and memory and bus master in it.
const COMMAND: u64 = 4;
const ON: u16 = 6;
const MASTER: u16 = 4;
/// The list of capabilities, and the id of power management.
const CAPABILITIES: u64 = 0x34;
const POWER: u32 = 1;
/// `PCI_PM_CTRL`, and D3hot in it.
const POWER_CONTROL: u64 = 4;
const D3: u16 = 3;

/// The region that is mapped: a small one.
const REGION: u32 = 0;
/// Rounds of off and on.
const ROUNDS: u64 = 3;

/// Where the power management capability is.
fn power(device: &Assigned<'_>) -> Result<u64> {
    let mut at = u64::from(device.config(CAPABILITIES)? & 0xfc);
    while at != 0 {
        let head = device.config(at)?;
        if head & 0xff == POWER {
            return Ok(at);
        }
        at = u64::from(head >> 8 & 0xfc);
    }
    anyhow::bail!("{} has no power management", device.bdf())
}

/// Makes the call that zaps.
fn off(device: &Assigned<'_>, how: Off) -> Result<()> {
    let call = match how {
        Off::Decode => {
            device.set_config(COMMAND, MASTER)?;
            format!("config {COMMAND:#x} = {MASTER:#x}")
        }
        Off::D3 => {
            let control = power(device)? + POWER_CONTROL;
            device.set_config(control, D3)?;
            format!("config {control:#x} = {D3:#x}")
        }
        Off::LowPower => {
            let done = device.set_feature(
                VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
                "LOW_POWER_ENTRY",
                &mut [],
            );
            ensure!(done.is_ok(), "LOW_POWER_ENTRY: {done:?}");
            feature("LOW_POWER_ENTRY", "set")
        }
        Off::Reset => {
            device.reset()?;
            "RESET".to_owned()
        }
        Off::HotReset => {
            device.hot_reset()?;
            "HOT_RESET".to_owned()
        }
    };
    device.happened(1, zapped(&call));
    Ok(())
}

/// Restores memory access.
fn on(device: &Assigned<'_>, how: Off) -> Result<()> {
    match how {
        Off::Decode => device.set_config(COMMAND, ON),
        Off::D3 => device.set_config(power(device)? + POWER_CONTROL, 0),
        Off::LowPower => {
            let done = device.set_feature(
                VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
                "LOW_POWER_EXIT",
                &mut [],
            );
            ensure!(done.is_ok(), "LOW_POWER_EXIT: {done:?}");
            Ok(())
        }
        // Memory access is there again.
        Off::Reset | Off::HotReset => Ok(()),
    }
}

/// A device for which this call zaps.
fn victim(stock: &Stock, how: Off) -> Bdf {
    match how {
        Off::D3 => stock.nic,
        _ => stock.nvme,
    }
}

fn zapping(stock: &mut Stock, how: Off) -> Result<()> {
    let bdf = victim(stock, how);
    let lasting = !matches!(how, Off::Reset | Off::HotReset);
    let (mut counted, mut size) = (0, 0);
    let rules: &'static [Rule] = if lasting { &[Rule::AccessRefused] } else { &[] };
    let lines = stock.watch_one(bdf, rules, |_, device| {
        size = device.map_whole(REGION)?.area().size;
        let pages: Vec<u64> = (0..size / PAGE).take(4).collect();
        let mapping = |device: &Assigned<'_>| -> Result<i64> {
            touch(device.mappings().first().context("unmapped")?, &pages)
        };
        counted += mapping(device)?;
        for round in 0..ROUNDS {
            off(device, how)?;
            if lasting && round == 0 {
                peer::touch(device, REGION)?;
            }
            on(device, how)?;
            counted += mapping(device)?;
        }
        Ok(())
    })?;
    let traced = populated(&lines, REGION, counted)?;
    // Between two zaps all that is touched faults in once.
    let zaps = lines.events();
    let zaps = zaps.filter(|event| matches!(event.body, Body::Zap(_)));
    let zaps: Vec<u64> = zaps.map(|zap| zap.time_ns).collect();
    let pages: Vec<u64> = (0..size / PAGE).take(4).collect();
    let mut rest = traced.as_slice();
    while let Some(first) = rest.first() {
        let next = zaps.iter().find(|zap| **zap > first.time_ns);
        let until = |fault: &&Populated| next.is_none_or(|zap| fault.time_ns < *zap);
        let part = rest.iter().take_while(until).count();
        explained(&rest[..part], size, &pages)?;
        rest = &rest[part..];
    }
    let refused = |outcome: &FaultOutcome| *outcome == FaultOutcome::Refused;
    let refused = lines.faults().filter(refused).count();
    ensure!(
        refused == usize::from(lasting),
        "{refused} accesses were refused"
    );
    Ok(())
}

/// The device sleeps until the host, and then its user, resumes it. The user is woken by an eventfd,
/// which is no interrupt of the device.
fn wakeup(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let power = format!("/sys/bus/pci/devices/{nvme}/power");
    let lines = stock.watch_one(nvme, &[], |_, device| {
        device.map_page(REGION)?;
        let eventfd = EventFd::new()?;
        for by_host in [true, false] {
            // Where nothing was touched a kernel may find nothing to zap.
            touch(device.mappings().first().context("unmapped")?, &[0])?;
            sleep(device, &eventfd)?;
            until("the device to sleep", || {
                let status = fs::read_to_string(format!("{power}/runtime_status"))?;
                Ok((status.trim() == "suspended").then_some(()))
            })?;
            if by_host {
                fs::write(format!("{power}/control"), "on")?;
                fs::write(format!("{power}/control"), "auto")?;
            } else {
                device.region(REGION)?;
            }
            ensure!(
                eventfd.read()? == Some(1),
                "the wakeup eventfd was not signalled"
            );
            // The host resumes it in a thread that is in no call on the device.
            let whence = if by_host {
                Whence::Outside
            } else {
                Whence::Inside
            };
            device.happened(1, signal(WAKEUP, whence));
            device.happened(1, format_args!("{WAKEUP}: read 1"));
        }
        drop(eventfd);
        device.happened(1, format_args!("{WAKEUP}: released"));
        Ok(())
    })?;
    let woken = lines
        .zaps()
        .filter(|zap| zap.cause.kind == CauseKind::LowPowerEntryWithWakeup)
        .map(|zap| zap.wakeup_ns.is_some())
        .collect::<Vec<_>>();
    ensure!(woken == [true, true], "woken: {woken:?}");
    Ok(())
}

fn sleep(device: &Assigned<'_>, eventfd: &EventFd) -> Result<()> {
    // struct vfio_device_low_power_entry_with_wakeup: the eventfd, and nothing.
    let mut data = [eventfd.as_raw_fd().to_ne_bytes(), [0; 4]].concat();
    let name = "LOW_POWER_ENTRY_WITH_WAKEUP";
    let number = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
    let done = device.set_feature(number, name, &mut data);
    ensure!(done.is_ok(), "{name}: {done:?}");
    device.happened(1, zapped(&feature(name, "set")));
    device.happened(1, format_args!("{WAKEUP}, seen"));
    Ok(())
}
