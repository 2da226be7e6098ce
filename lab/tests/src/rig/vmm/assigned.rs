//! A device as a VMM uses it: interrupts, mappings, config space. What it does is recorded in a ledger.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use remap_common::uapi::{
    VFIO_DEVICE_GET_INFO, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_ERR_IRQ_INDEX,
    VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_REQ_IRQ_INDEX,
};
use remap_core::event::{DeviceState, Errno};
use remap_core::parse::region::{Area, Region};
use remap_user::vfio::device::{Action, Data, Device};
use remap_user::vfio::error::Error;
use remap_user::vfio::eventfd::EventFd;
use remap_user::vfio::mapping::Mapping;
use remap_user::vfio::open;
use remap_user::vfio::sysfs::{Bdf, Host};

use super::sys;
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{self, Place, Whence};
use crate::rig::until;

/// IRQ indexes of a PCI device (`VFIO_PCI_*_IRQ_INDEX`).
pub const INTX: u32 = VFIO_PCI_INTX_IRQ_INDEX;
/// See [`INTX`].
pub const MSI: u32 = VFIO_PCI_MSI_IRQ_INDEX;
/// See [`INTX`].
pub const MSIX: u32 = VFIO_PCI_MSIX_IRQ_INDEX;
/// See [`INTX`].
pub const ERR: u32 = VFIO_PCI_ERR_IRQ_INDEX;
/// See [`INTX`].
pub const REQ: u32 = VFIO_PCI_REQ_IRQ_INDEX;

const CONFIG: u32 = VFIO_PCI_CONFIG_REGION_INDEX;

/// An open device, and what was set up with it.
///
/// The fields are closed in this order.
pub struct Assigned<'a> {
    mappings: Vec<Mapping>,
    device: Arc<Device>,
    /// The group and its number, where this process opened the device.
    group: Option<(File, String)>,
    bdf: Bdf,
    ledger: &'a Ledger,
    eventfds: BTreeMap<Place, EventFd>,
}

/// The result of a call, with the errno in place of the sentence.
fn plain<T>(result: Result<T, Error>) -> Result<T, Errno> {
    result.map_err(|error| error.errno().unwrap_or(Errno(0)))
}

impl<'a> Assigned<'a> {
    /// Takes over the file of a device that was just opened.
    pub(super) fn new(
        bdf: Bdf,
        file: OwnedFd,
        group: File,
        number: String,
        ledger: &'a Ledger,
    ) -> Result<Self> {
        let driver = Host::default().driver(bdf).context("no driver")?;
        ledger.add(bdf, format_args!("device of {driver}, seen"));
        // The first file is closed when this returns; the duplicate stays open.
        let mut device = Self::adopt(bdf, file.as_raw_fd(), ledger)?;
        device.group = Some((group, number));
        Ok(device)
    }

    /// A duplicate of a device's file that this process was handed.
    pub fn adopt(bdf: Bdf, fd: i32, ledger: &'a Ledger) -> Result<Self> {
        let device = open::inherited(bdf, fd)?;
        ledger.call(bdf, &format!("request {VFIO_DEVICE_GET_INFO:#x}"), &Ok(()));
        Ok(Self {
            mappings: Vec::new(),
            device: Arc::new(device),
            group: None,
            bdf,
            ledger,
            eventfds: BTreeMap::new(),
        })
    }

    /// Its address.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// The device, for calls that are not recorded here.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The ledger.
    pub fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// Records a call on the device, and gives its result.
    pub fn called<T>(&self, call: &str, result: Result<T, Error>) -> Result<T, Errno> {
        let result = plain(result);
        self.ledger.call(self.bdf, call, &result);
        result
    }

    /// Records that this happened to the device, so often.
    pub fn happened(&self, times: i64, action: impl std::fmt::Display) {
        self.ledger.times(self.bdf, action, times);
    }

    /// Queries a region.
    pub fn region(&self, index: u32) -> Result<Region> {
        let region = self.device.region_info(index);
        let call = format!("GET_REGION_INFO {index}");
        self.called(&call, region)
            .map_err(|errno| anyhow::anyhow!("{call}: {errno}"))
    }

    /// `SET_IRQS`, which succeeds.
    pub fn set_irqs(&self, index: u32, start: u32, action: Action, data: Data<'_>) -> Result<()> {
        let (name, count) = match data {
            Data::None(count) => ("none", count),
            Data::Bool(values) => ("bool", u32::try_from(values.len())?),
            Data::Eventfd(fds) => ("eventfd", u32::try_from(fds.len())?),
        };
        let call = sentence::set_irqs(index, start, count, action, name);
        let done = self.device.set_irqs(index, start, action, data);
        self.called(&call, done)
            .map_err(|errno| anyhow::anyhow!("{call}: {errno}"))
    }

    /// Sets an eventfd of its own for every sub-index from 0.
    pub fn enable(&mut self, index: u32, count: u32) -> Result<()> {
        let places = (0..count).map(|sub| Place::trigger(index, sub)).collect();
        self.give(index, Action::Trigger, places)
    }

    /// Sets an eventfd by which sub-index 0 is unmasked.
    pub fn enable_unmask(&mut self, index: u32) -> Result<()> {
        self.give(index, Action::Unmask, vec![Place::unmask(index, 0)])
    }

    fn give(&mut self, index: u32, action: Action, places: Vec<Place>) -> Result<()> {
        let mut made = BTreeMap::new();
        for place in &places {
            made.insert(*place, EventFd::new()?);
        }
        let fds: Vec<_> = made.values().map(|eventfd| Some(eventfd.as_fd())).collect();
        self.set_irqs(index, 0, action, Data::Eventfd(&fds))?;
        for place in &places {
            self.happened(1, format_args!("{place}, seen"));
        }
        self.eventfds.extend(made);
        Ok(())
    }

    /// Sets a new eventfd for every sub-index from 0, and gives the old ones.
    pub fn replace(&mut self, index: u32, count: u32) -> Result<Vec<EventFd>> {
        let taken = (0..count).filter_map(|sub| self.eventfds.remove(&Place::trigger(index, sub)));
        let old = taken.collect();
        self.enable(index, count)?;
        Ok(old)
    }

    /// Disables an index. Its eventfds stay open, and are no longer the device's.
    pub fn disable(&self, index: u32) -> Result<()> {
        self.set_irqs(index, 0, Action::Trigger, Data::None(0))
    }

    /// Closes the eventfds of an index.
    pub fn forget(&mut self, index: u32) {
        self.eventfds.retain(|place, _| place.index != index);
    }

    /// The eventfd of a place.
    pub fn eventfd(&self, place: Place) -> Result<&EventFd> {
        let eventfd = self.eventfds.get(&place);
        eventfd.with_context(|| format!("no eventfd for {place}"))
    }

    /// Software triggers: the kernel signals one sub-index, `times` times.
    pub fn trigger(&self, index: u32, sub: u32, times: i64) -> Result<()> {
        for _ in 0..times {
            self.set_irqs(index, sub, Action::Trigger, Data::None(1))?;
        }
        let place = Place::trigger(index, sub);
        self.happened(times, sentence::signal(place, Whence::Inside));
        Ok(())
    }

    /// Reads the counter of a place, which is `value`.
    pub fn read(&self, place: Place, value: u64) -> Result<()> {
        let read = self.eventfd(place)?.read()?;
        ensure!(read == Some(value), "{place} gave {read:?}, not {value}");
        self.happened(1, format_args!("{place}: read {value}"));
        Ok(())
    }

    /// Waits until the kernel has signalled a place once, and reads it.
    pub fn signalled(&self, place: Place, whence: Whence) -> Result<()> {
        let eventfd = self.eventfd(place)?;
        until("a signal", || {
            let mut polled = [rustix::event::PollFd::new(
                eventfd,
                rustix::event::PollFlags::IN,
            )];
            let none = rustix::event::Timespec::default();
            rustix::event::poll(&mut polled, Some(&none))?;
            let [polled] = polled;
            Ok((!polled.revents().is_empty()).then_some(()))
        })?;
        self.happened(1, sentence::signal(place, whence));
        self.read(place, 1)
    }

    /// Maps a part of a region.
    pub fn map(&mut self, region: &Region, area: Area) -> Result<&Mapping> {
        let mapping = self.device.map(region, area)?;
        let Area { offset, size } = area;
        let index = region.index;
        self.happened(
            1,
            format_args!("map {index} {offset:#x}+{size:#x}: ok, seen"),
        );
        self.mappings.push(mapping);
        self.mappings.last().context("nothing is mapped")
    }

    /// Queries a region, and maps all of it.
    pub fn map_whole(&mut self, index: u32) -> Result<&Mapping> {
        let region = self.region(index)?;
        let (offset, size) = (0, region.size);
        self.map(&region, Area { offset, size })
    }

    /// Queries a region, and maps its first bytes.
    pub fn map_first(&mut self, index: u32, size: u64) -> Result<&Mapping> {
        let region = self.region(index)?;
        self.map(&region, Area { offset: 0, size })
    }

    /// Queries a region, and maps its first page.
    pub fn map_page(&mut self, index: u32) -> Result<()> {
        self.map_first(index, sys::PAGE).map(drop)
    }

    /// Unmaps everything.
    pub fn unmap(&mut self) -> Result<()> {
        for mapping in std::mem::take(&mut self.mappings) {
            let (index, Area { offset, size }) = (mapping.region(), mapping.area());
            mapping.unmap()?;
            self.happened(1, format_args!("unmap {index} {offset:#x}+{size:#x}"));
        }
        Ok(())
    }

    /// Its mappings.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Reads a word of config space.
    pub fn config(&self, offset: u64) -> Result<u32> {
        let region = self.region(CONFIG)?;
        let mut word = [0; 4];
        self.device.read(&region, offset, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// Writes half a word to config space.
    pub fn set_config(&self, offset: u64, value: u16) -> Result<()> {
        let region = self.region(CONFIG)?;
        self.device.write(&region, offset, &value.to_le_bytes())?;
        self.happened(1, format_args!("config {offset:#x} = {value:#x}: ok"));
        Ok(())
    }

    /// `VFIO_DEVICE_RESET`.
    pub fn reset(&self) -> Result<()> {
        self.called("RESET", self.device.reset())
            .map_err(|errno| anyhow::anyhow!("RESET: {errno}"))
    }

    /// `VFIO_DEVICE_PCI_HOT_RESET`.
    pub fn hot_reset(&self) -> Result<()> {
        let (group, _) = self.group.as_ref().context("no group")?;
        let done = sys::hot_reset(self.device.file().as_fd(), group.as_fd());
        let result = done.as_ref().map_err(Errno::of);
        self.ledger.call(self.bdf, "HOT_RESET", &result);
        done.context("HOT_RESET")
    }

    /// `VFIO_DEVICE_FEATURE`: SET of a feature, with its data.
    pub fn set_feature(&self, number: u32, name: &str, data: &mut [u8]) -> Result<(), Errno> {
        use vfio_bindings::bindings::vfio::VFIO_DEVICE_FEATURE_SET;
        let done = self.device.feature(VFIO_DEVICE_FEATURE_SET | number, data);
        self.called(&sentence::feature(name, "set"), done)
    }

    /// Sets the migration state, which succeeds; gives the data file, if one was made.
    pub fn set_state(&self, state: DeviceState) -> Result<Option<File>> {
        let call = format!("{} {state}", sentence::feature("MIG_DEVICE_STATE", "set"));
        self.called(&call, self.device.set_state(state))
            .map_err(|errno| anyhow::anyhow!("{call}: {errno}"))
    }

    /// Unmaps, closes the device, for the last time, then its group.
    pub fn close(self) -> Result<()> {
        if let Some(group) = self.release()? {
            group.close();
        }
        Ok(())
    }

    /// Unmaps, and closes the device, for the last time, but not its group.
    pub fn release(mut self) -> Result<Option<Group<'a>>> {
        self.unmap()?;
        let Self {
            device,
            group,
            bdf,
            ledger,
            ..
        } = self;
        drop(device);
        ledger.add(bdf, "close");
        Ok(group.map(|(file, number)| Group {
            file,
            number,
            ledger,
        }))
    }

    /// Records that the process's end or execve will close the group.
    pub fn left_behind(&self) {
        if let Some((_, number)) = &self.group {
            self.ledger
                .add(super::NO_DEVICE, format_args!("close group {number}"));
        }
    }

    /// Closes this process's file of the device, which other processes keep open.
    pub fn leave(mut self) -> Result<()> {
        self.unmap()
    }
}

/// A group that stays open after its device was closed.
pub struct Group<'a> {
    file: File,
    number: String,
    ledger: &'a Ledger,
}

impl Group<'_> {
    /// Closes it.
    pub fn close(self) {
        let Self {
            file,
            number,
            ledger,
        } = self;
        drop(file);
        ledger.add(super::NO_DEVICE, format_args!("close group {number}"));
    }
}
