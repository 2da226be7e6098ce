//! Which event is whose.

use super::Correlator;
use super::device::Device;
use super::episode::Range;
use super::ioctl::Exit;
use super::memory::Place;
use super::report::Desk;
use crate::event::{Answer, Body, Call, DeviceKey, Errno, Event, Node, Origin};
use crate::parse::region::Area;

impl Correlator {
    fn device(&mut self, key: DeviceKey) -> (&mut Device, &mut Desk) {
        (self.devices.entry(key).or_default(), &mut self.desk)
    }

    /// The return of a call that began at `begin_ns`.
    fn exit<'a>(&self, begin_ns: u64, result: Result<i64, Errno>, answer: &'a Answer) -> Exit<'a> {
        Exit {
            begin_ns,
            result,
            answer,
            lossy: self.lost_ns.is_some_and(|lost_ns| begin_ns <= lost_ns),
        }
    }

    pub(super) fn dispatch(&mut self, event: &Event) {
        match &event.body {
            Body::Lost { .. } => self.lose(event.time_ns),
            // `--events` shows it; what it means is not known.
            Body::Unknown { .. } => {}
            Body::Device { .. }
            | Body::Owner { .. }
            | Body::Close { .. }
            | Body::DeviceFile { .. }
            | Body::NodeOpen { .. }
            | Body::NodeClose { .. } => self.node(event),
            Body::Enter { .. }
            | Body::Exit { .. }
            | Body::Early { .. }
            | Body::EarlyOver { .. }
            | Body::StateWriteEnter { .. }
            | Body::StateWriteExit { .. }
            | Body::ConfigWrite { .. } => self.call(event),
            Body::Context { .. }
            | Body::Signal { .. }
            | Body::Consumed { .. }
            | Body::Read { .. }
            | Body::Write { .. }
            | Body::Release { .. } => self.eventfd(event),
            Body::Map { .. } | Body::Unmap { .. } | Body::Fault { .. } | Body::Zap { .. } => {
                self.memory(event);
            }
            Body::Dma { .. } => self.dma(event),
            Body::Data { .. } | Body::PrecopyInfo { .. } => self.data(event),
        }
    }

    fn lose(&mut self, now: u64) {
        self.lost_ns = Some(now);
        self.desk.lose();
        self.dma.forget();
        self.strays.clear();
        for device in self.devices.values_mut() {
            device.lose(&mut self.desk, now);
        }
    }

    /// A process uses the device of an event.
    fn used(&mut self, key: DeviceKey, event: &Event) {
        let vm = self.vms.get(&event.task.pid).map(String::as_str);
        let device = self.devices.entry(key).or_default();
        device.used(&mut self.desk, event, vm);
    }

    /// Opens and closes.
    fn node(&mut self, event: &Event) {
        match &event.body {
            Body::Device {
                device: key,
                name,
                driver,
                origin,
            } => {
                let (device, desk) = self.device(*key);
                device.found = *origin == Origin::Found;
                name.clone_into(&mut device.name);
                device.driver.clone_from(driver);
                // Another driver, or the same one loaded anew, may have others.
                device.flags = None;
                device.legacy = None;
                desk.stats.device(name).driver.clone_from(driver);
            }
            Body::Owner { pid, vm } => {
                match vm {
                    Some(vm) => self.vms.insert(*pid, vm.clone()),
                    None => self.vms.remove(pid),
                };
                self.desk.stats.owner(*pid, vm.as_deref());
            }
            Body::Close { device, dying } => {
                self.dma.close(*device);
                let (device, desk) = self.device(*device);
                device.close(desk, event, *dying);
            }
            Body::DeviceFile { device, node, fd } => {
                self.used(*device, event);
                let (device, desk) = self.device(*device);
                device.opened(desk, event, *node, *fd);
            }
            Body::NodeClose {
                node: Node::Container { key } | Node::Iommufd { key },
            } => drop(self.dma.unmap_all(*key)),
            // Whether a group was opened in vain, and by whom, `--events` shows.
            _ => {}
        }
    }

    /// Calls on a device.
    fn call(&mut self, event: &Event) {
        match &event.body {
            Body::Enter { device, call } => {
                self.used(*device, event);
                let (device, desk) = self.device(*device);
                device.enter(desk, event, call);
            }
            Body::Exit {
                device: key,
                call,
                begin_ns,
                result,
                answer,
            } => {
                self.used(*key, event);
                let exit = self.exit(*begin_ns, *result, answer);
                let (device, desk) = self.device(*key);
                device.exit(desk, event, call, &exit);
                if *call == Call::HotReset && result.is_ok() {
                    self.hot_reset(*key, event.time_ns);
                }
            }
            Body::Early {
                device,
                call,
                waits_in,
            } => {
                self.used(*device, event);
                let (device, desk) = self.device(*device);
                device.early(desk, event, call, waits_in);
            }
            Body::EarlyOver { device, seen_ns } => {
                let (device, desk) = self.device(*device);
                device.early_over(desk, event, Some(*seen_ns));
            }
            Body::StateWriteEnter {
                device,
                region,
                word,
            } => {
                let (device, desk) = self.device(*device);
                device.early_over(desk, event, None);
                device.state_write_enter(desk, event, *region, *word);
            }
            Body::StateWriteExit {
                device,
                region,
                word,
                begin_ns,
                result,
            } => {
                let exit = self.exit(*begin_ns, *result, &Answer::None);
                let (device, desk) = self.device(*device);
                device.state_write_exit(desk, event, *region, *word, &exit);
            }
            Body::ConfigWrite { device, .. } => self.device(*device).0.zapped(event.task.tid),
            _ => {}
        }
    }

    /// A hot reset succeeded: devices on the same bus may have been reset as well.
    fn hot_reset(&mut self, by: DeviceKey, now: u64) {
        let bus = |name: &str| name.rsplit_once(':').map(|(bus, _)| bus.to_owned());
        let Some(of) = self.devices.get(&by).and_then(|device| bus(&device.name)) else {
            return;
        };
        for (key, device) in &mut self.devices {
            if *key != by && bus(&device.name).as_ref() == Some(&of) {
                device.forget_state(&mut self.desk, now);
            }
        }
    }

    /// Eventfds.
    fn eventfd(&mut self, event: &Event) {
        match &event.body {
            Body::Context {
                context,
                target,
                origin,
                ..
            } => {
                let (device, desk) = self.device(target.device);
                device.context(desk, event, *target, *context, *origin);
            }
            Body::Signal {
                context,
                target,
                addend,
                count,
                ..
            } => {
                let (device, desk) = self.device(target.device);
                device.signal(desk, event, (*context, *target), *addend, *count);
            }
            Body::Consumed { target, value, .. } => {
                let (device, desk) = self.device(target.device);
                device.vector_taken(desk, event, *target, *value, true);
            }
            Body::Read {
                context,
                target,
                value,
                result,
            } => {
                self.used(target.device, event);
                let (device, desk) = self.device(target.device);
                device.read(desk, event, (*context, *target), *value, result.is_ok());
            }
            Body::Write {
                context,
                target,
                begin_ns,
                value,
                result: Ok(_),
            } => {
                let (device, desk) = self.device(target.device);
                device.write(desk, event, (*context, *target), *begin_ns, *value);
            }
            Body::Release { context, target } => {
                let (device, desk) = self.device(target.device);
                device.released(desk, event.time_ns, (*context, *target));
            }
            _ => {}
        }
    }

    /// Mappings, and the pages behind them.
    fn memory(&mut self, event: &Event) {
        match &event.body {
            Body::Map {
                device: key,
                region,
                offset,
                size,
                address,
                result,
                origin,
            } => {
                self.used(*key, event);
                let (device, desk) = self.device(*key);
                let place = place(*region, *offset, *size, *address);
                match result {
                    Ok(()) => device.map(desk, event, place, *origin),
                    Err(errno) => device.map_refused(desk, event, place, *errno),
                }
            }
            Body::Unmap {
                device: key,
                region,
                offset,
                size,
                address,
            } => {
                let (device, desk) = self.device(*key);
                let place = place(*region, *offset, *size, *address);
                device.unmap(desk, event, place);
                self.stray(event, *key, place);
            }
            Body::Fault {
                device,
                region,
                offset,
                address,
                begin_ns,
                outcome,
            } => {
                let (device, desk) = self.device(*device);
                let place = place(*region, *offset, 1, *address);
                device.fault(desk, event, place, *begin_ns, *outcome);
            }
            Body::Zap {
                device: key,
                regions,
                offset,
                size,
                cause,
            } => {
                let range = Range {
                    regions: *regions,
                    offset: *offset,
                    size: *size,
                };
                let device = self.devices.entry(*key).or_default();
                device.zap(&mut self.desk, event, (*key, &self.dma), range, *cause);
            }
            _ => {}
        }
    }

    /// Migration data.
    fn data(&mut self, event: &Event) {
        match &event.body {
            Body::Data {
                device: Some(device),
                write,
                begin_ns,
                result,
                ..
            } => self
                .device(*device)
                .0
                .data(event, *begin_ns, *write, *result),
            Body::Data {
                device: None,
                write,
                begin_ns,
                result,
                ..
            } => {
                let data = &mut self.desk.stats.unknown_data;
                data.record(*begin_ns, event.time_ns, *write, *result);
                let ns = event.time_ns.saturating_sub(*begin_ns);
                data.busy_ns = data.busy_ns.saturating_add(ns);
            }
            Body::PrecopyInfo {
                device: Some(device),
                bytes: Some(bytes),
                result: Ok(_),
                ..
            } => self.device(*device).0.precopy_info(event.time_ns, *bytes),
            _ => {}
        }
    }
}

fn place(region: u32, offset: u64, size: u64, address: u64) -> Place {
    Place {
        region,
        area: Area { offset, size },
        address,
    }
}
