//! Which tracker an event concerns: the one place where an event's body is matched.

use super::Correlator;
use super::dma::ProcessSign;
use super::moment::Moment;
use crate::event::{Body, Event, MigrationData, Node, Unmap};

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
            self.devices.grown(&mut self.queue, at.ns, device);
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
            Body::Device(seen) => devices.of(queue, at.ns, seen.device).seen(queue, seen),
            Body::Close { device, dying } => {
                dma.close(*device);
                devices.of(queue, at.ns, *device).close(queue, at, *dying);
            }
            Body::Request { device, .. } => devices
                .of(queue, at.ns, *device)
                .interrupts
                .requested(at.ns),
            Body::DeviceFile(file) => devices
                .of(queue, at.ns, file.device)
                .opened(queue, at, file),
            Body::NodeClose {
                node: Node::Container { key } | Node::Iommufd { key },
            } => dma.close_node(*key),
            // Only `--events` shows them: a group may be opened without use, and what an unknown record
            // means is not known.
            Body::NodeClose { .. } | Body::NodeOpen { .. } | Body::Unknown { .. } => {}
            Body::Owner { pid, vm } => {
                self.machines.learn(*pid, vm.as_deref());
                devices.owner_changed(*pid);
            }
            Body::Enter { device, call } => {
                devices.of(queue, at.ns, *device).enter(queue, at, call)
            }
            Body::Exit(exit) => {
                devices
                    .of(queue, at.ns, exit.device)
                    .exit(queue, at, exit, lossy(exit.begin_ns));
                self.bus_reset(at.ns, exit);
            }
            Body::InFlight(call) => devices
                .of(queue, at.ns, call.device)
                .in_flight(queue, at, call),
            Body::InFlightOver { device, seen_ns } => {
                devices
                    .of(queue, at.ns, *device)
                    .in_flight_over(queue, at, Some(*seen_ns));
            }
            Body::StateWriteEnter(write) => {
                devices
                    .of(queue, at.ns, write.device)
                    .state_write_enter(queue, at, write);
            }
            Body::StateWriteExit(write) => {
                devices.of(queue, at.ns, write.device).state_write_exit(
                    queue,
                    at,
                    write,
                    lossy(write.begin_ns),
                );
            }
            Body::ConfigWrite(write) => {
                devices
                    .of(queue, at.ns, write.device)
                    .mappings
                    .call_returned(at.task.tid);
            }
            Body::Context(context) => {
                devices
                    .of(queue, at.ns, context.target.device)
                    .context(queue, at, context);
            }
            Body::Signal(signal) => devices
                .of(queue, at.ns, signal.target.device)
                .signal(queue, at, signal),
            Body::Consumed(taken) => devices
                .of(queue, at.ns, taken.target.device)
                .consumed(queue, at, taken),
            Body::Read(read) => devices
                .of(queue, at.ns, read.target.device)
                .read(queue, at, read),
            Body::Write(write) => devices
                .of(queue, at.ns, write.target.device)
                .write(queue, at, write),
            Body::Release { context, target } => {
                devices.of(queue, at.ns, target.device).eventfd_closed(
                    queue,
                    at.ns,
                    (*context, *target),
                );
            }
            Body::Map(map) => devices.of(queue, at.ns, map.device).map(queue, at, map),
            Body::Unmap(unmap) => self.unmap(at, unmap),
            Body::Fault(fault) => devices
                .of(queue, at.ns, fault.device)
                .fault(queue, at, fault),
            Body::Zap(zap) => {
                devices
                    .of(queue, at.ns, zap.device)
                    .zap(queue, at, zap, &dma.of(zap.device))
            }
            Body::Dma(call) => self.dma(at, call),
            Body::Data(data) => self.data(at.ns, data),
            Body::PrecopyInfo(info) => {
                if let Some(device) = info.device {
                    devices
                        .of(queue, at.ns, device)
                        .migration
                        .precopy_info(at.ns, info);
                }
            }
            Body::Lost(lost) => self.lose(at.ns, lost),
        }
    }

    /// A process uses the device of an event.
    fn used(&mut self, event: &Event) {
        if let Some(key) = event.device() {
            let device = self.devices.of(&mut self.queue, event.time_ns, key);
            let vm = self.machines.of(event.task.pid);
            device.used(&mut self.queue, Moment::of(event), vm);
        }
    }

    /// A mapping, or a part of one, is gone.
    fn unmap(&mut self, at: Moment<'_>, unmap: &Unmap) {
        let device = self.devices.of(&mut self.queue, at.ns, unmap.device);
        device.unmap(&mut self.queue, at, unmap.place);
        let times = (at.ns, self.queue.options().stuck_ns);
        self.dma
            .unmapped(times, at.task.pid, unmap.device, unmap.place);
    }

    /// A read or a write of migration data returned.
    fn data(&mut self, now: u64, data: &MigrationData) {
        if let Some(device) = data.device {
            let device = self.devices.of(&mut self.queue, now, device);
            device.migration.data(now, data);
        } else {
            let stats = &mut self.queue.stats_mut().unknown_data;
            stats.record(now, data);
            let ns = now.saturating_sub(data.begin_ns);
            stats.busy_ns = stats.busy_ns.saturating_add(ns);
        }
    }
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
