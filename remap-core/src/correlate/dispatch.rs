//! Which tracker an event concerns: the one place where an event's body is matched.

use std::collections::BTreeMap;

use super::Correlator;
use super::device::Device;
use super::dma::ProcessSign;
use super::moment::Moment;
use crate::event::{Body, DeviceKey, Event, MigrationData, Node, Unmap};

impl Correlator {
    /// Passes an event on to the trackers.
    pub(super) fn dispatch(&mut self, event: &Event) {
        let at = Moment::of(event);
        let certain = self.dma.process(event.task.pid, sign(&event.body));
        self.report_dma(certain);
        if uses(&event.body) {
            self.used(event);
        }
        self.route(at, &event.body);
        if let Some(device) = event.device() {
            self.report_trapped(device, at.ns);
        }
    }

    /// Passes an event's body to the tracker that it concerns.
    fn route(&mut self, at: Moment<'_>, body: &Body) {
        let Self {
            devices,
            queue,
            dma,
            lost_ns,
            ..
        } = self;
        let lossy = |begin_ns| lost_ns.is_some_and(|lost_ns| begin_ns <= lost_ns);
        match body {
            Body::Device(seen) => of(devices, seen.device).seen(queue, seen),
            Body::Close { device, dying } => {
                dma.close(*device);
                of(devices, *device).close(queue, at, *dying);
            }
            Body::Request { device, .. } => of(devices, *device).interrupts.requested(at.ns),
            Body::DeviceFile(file) => of(devices, file.device).opened(queue, at, file),
            Body::NodeClose {
                node: Node::Container { key } | Node::Iommufd { key },
            } => dma.close_node(*key),
            // Only `--events` shows them: a group may be opened without use, and what an unknown record
            // means is not known.
            Body::NodeClose { .. } | Body::NodeOpen { .. } | Body::Unknown { .. } => {}
            Body::Owner { pid, vm } => {
                self.machines.learn(*pid, vm.as_deref());
                devices
                    .values_mut()
                    .for_each(|device| device.owner_changed(*pid));
            }
            Body::Enter { device, call } => of(devices, *device).enter(queue, at, call),
            Body::Exit(exit) => {
                of(devices, exit.device).exit(queue, at, exit, lossy(exit.begin_ns));
                self.bus_reset(at.ns, exit);
            }
            Body::InFlight(call) => of(devices, call.device).in_flight(queue, at, call),
            Body::InFlightOver { device, seen_ns } => {
                of(devices, *device).in_flight_over(queue, at, Some(*seen_ns));
            }
            Body::StateWriteEnter(write) => {
                of(devices, write.device).state_write_enter(queue, at, write);
            }
            Body::StateWriteExit(write) => {
                of(devices, write.device).state_write_exit(queue, at, write, lossy(write.begin_ns));
            }
            Body::ConfigWrite(write) => {
                of(devices, write.device)
                    .mappings
                    .call_returned(at.task.tid);
            }
            Body::Context(context) => {
                of(devices, context.target.device).context(queue, at, context);
            }
            Body::Signal(signal) => of(devices, signal.target.device).signal(queue, at, signal),
            Body::Consumed(taken) => of(devices, taken.target.device).consumed(queue, at, taken),
            Body::Read(read) => of(devices, read.target.device).read(queue, at, read),
            Body::Write(write) => of(devices, write.target.device).write(queue, at, write),
            Body::Release { context, target } => {
                of(devices, target.device).eventfd_closed(queue, at.ns, (*context, *target));
            }
            Body::Map(map) => of(devices, map.device).map(queue, at, map),
            Body::Unmap(unmap) => self.unmap(at, unmap),
            Body::Fault(fault) => of(devices, fault.device).fault(queue, at, fault),
            Body::Zap(zap) => of(devices, zap.device).zap(queue, at, zap, &dma.of(zap.device)),
            Body::Dma(call) => self.dma(at, call),
            Body::Data(data) => self.data(at.ns, data),
            Body::PrecopyInfo(info) => {
                if let Some(device) = info.device {
                    of(devices, device).migration.precopy_info(at.ns, info);
                }
            }
            Body::Lost(lost) => self.lose(at.ns, lost),
        }
    }

    /// A process uses the device of an event.
    fn used(&mut self, event: &Event) {
        if let Some(key) = event.device() {
            let device = of(&mut self.devices, key);
            let vm = self.machines.of(event.task.pid);
            device.used(&mut self.queue, Moment::of(event), vm);
        }
    }

    /// A mapping, or a part of one, is gone.
    fn unmap(&mut self, at: Moment<'_>, unmap: &Unmap) {
        let device = of(&mut self.devices, unmap.device);
        device.unmap(&mut self.queue, at, unmap.place);
        let times = (at.ns, self.queue.options().stuck_ns);
        self.dma
            .unmapped(times, at.task.pid, unmap.device, unmap.place);
    }

    /// A read or a write of migration data returned.
    fn data(&mut self, now: u64, data: &MigrationData) {
        if let Some(device) = data.device {
            of(&mut self.devices, device).migration.data(now, data);
        } else {
            let stats = &mut self.queue.stats_mut().unknown_data;
            stats.record(now, data);
            let ns = now.saturating_sub(data.begin_ns);
            stats.busy_ns = stats.busy_ns.saturating_add(ns);
        }
    }
}

/// So many devices have state. An address of the kernel may be used again, but need not.
pub(super) const DEVICES: usize = 1024;

/// The state of a device. A new one takes the room of one that was closed, if it is needed: name and
/// driver are all that is left of that.
fn of(devices: &mut BTreeMap<DeviceKey, Device>, key: DeviceKey) -> &mut Device {
    if devices.len() >= DEVICES && !devices.contains_key(&key) {
        devices.retain(|_, device| !device.is_closed());
    }
    devices.entry(key).or_default()
}

/// Whether the process of an event uses its device by it.
fn uses(body: &Body) -> bool {
    matches!(
        body,
        Body::DeviceFile(_)
            | Body::Enter { .. }
            | Body::Exit(_)
            | Body::InFlight(_)
            | Body::Read(_)
            | Body::Map(_)
    )
}

/// What an event shows of the process that it happened in.
fn sign(body: &Body) -> ProcessSign {
    match body {
        Body::Close { .. }
        | Body::NodeClose {
            node: Node::Container { .. } | Node::Iommufd { .. },
        } => ProcessSign::Ends,
        // An interrupt may come on top of a process that ends.
        Body::Unmap(_)
        | Body::Release { .. }
        | Body::NodeClose { .. }
        | Body::Signal(_)
        | Body::Consumed(_)
        | Body::Owner { .. }
        | Body::Request { .. }
        | Body::Unknown { .. }
        | Body::Lost(_) => ProcessSign::None,
        _ => ProcessSign::Lives,
    }
}
