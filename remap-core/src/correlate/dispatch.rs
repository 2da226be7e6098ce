//! Which tracker an event concerns: the one place where an event's body is matched.

use super::Correlator;
use super::call::Exit;
use super::device::Device;
use super::dma::ProcessSign;
use super::irq::Signal;
use super::mapping::{Fault, FileRange};
use super::moment::Moment;
use super::place::Place;
use super::queue::OutputQueue;
use super::remap::Written;
use super::span::Moved;
use crate::event::{Answer, Body, Call, DeviceKey, Errno, Event, Node};

impl Correlator {
    /// Hands an event on.
    pub(super) fn dispatch(&mut self, event: &Event) {
        let certain = self.dma.process(event.task.pid, sign(&event.body));
        self.report_dma(certain);
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
        if let Some(device) = event.device() {
            self.report_trapped(device, event.time_ns);
        }
    }

    fn device(&mut self, key: DeviceKey) -> (&mut Device, &mut OutputQueue) {
        (self.devices.entry(key).or_default(), &mut self.queue)
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

    /// A process uses the device of an event.
    fn used(&mut self, key: DeviceKey, event: &Event) {
        let vm = self.vms.get(&event.task.pid).map(String::as_str);
        let device = self.devices.entry(key).or_default();
        device.used(&mut self.queue, Moment::of(event), vm);
    }

    /// Opens and closes.
    fn node(&mut self, event: &Event) {
        let at = Moment::of(event);
        match &event.body {
            Body::Device {
                device,
                name,
                driver,
                origin,
            } => {
                let (device, queue) = self.device(*device);
                device.seen(name, driver.as_ref(), *origin);
                queue.stats_mut().device(name).driver.clone_from(driver);
            }
            Body::Owner { pid, vm } => {
                match vm {
                    Some(vm) => self.vms.insert(*pid, vm.clone()),
                    None => self.vms.remove(pid),
                };
                self.queue.stats_mut().owner(*pid, vm.as_deref());
            }
            Body::Close { device, dying } => {
                self.dma.close(*device);
                let (device, queue) = self.device(*device);
                device.close(queue, at, *dying);
            }
            Body::DeviceFile { device, node, fd } => {
                self.used(*device, event);
                let (device, queue) = self.device(*device);
                device.opened(queue, at, *node, *fd);
            }
            Body::NodeClose {
                node: Node::Container { key } | Node::Iommufd { key },
            } => self.dma.close_node(*key),
            // Whether a group was opened in vain, and by which process, `--events` shows.
            _ => {}
        }
    }

    /// Calls on a device.
    fn call(&mut self, event: &Event) {
        let at = Moment::of(event);
        match &event.body {
            Body::Enter { device, call } => {
                self.used(*device, event);
                let (device, queue) = self.device(*device);
                device.enter(queue, at, call);
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
                let (device, queue) = self.device(*key);
                device.exit(queue, at, call, &exit);
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
                let (device, queue) = self.device(*device);
                device.in_flight(queue, at, call, waits_in);
            }
            Body::EarlyOver { device, seen_ns } => {
                let (device, queue) = self.device(*device);
                device.in_flight_over(queue, at, Some(*seen_ns));
            }
            Body::StateWriteEnter {
                device,
                region,
                word,
            } => {
                let (device, queue) = self.device(*device);
                device.state_write_enter(queue, at, *region, *word);
            }
            Body::StateWriteExit {
                device,
                region,
                word,
                begin_ns,
                result,
            } => {
                let exit = self.exit(*begin_ns, *result, &Answer::None);
                let (device, queue) = self.device(*device);
                device.state_write_exit(queue, at, (*region, *word), &exit);
            }
            Body::ConfigWrite { device, .. } => {
                self.device(*device).0.config_written(event.task.tid);
            }
            _ => {}
        }
    }

    /// Eventfds.
    fn eventfd(&mut self, event: &Event) {
        let at = Moment::of(event);
        match &event.body {
            Body::Context {
                context,
                target,
                origin,
                ..
            } => {
                let (device, queue) = self.device(target.device);
                device.context(queue, at, (*context, *target), *origin);
            }
            Body::Signal {
                context,
                target,
                addend,
                count,
                in_task,
                ..
            } => {
                let signal = Signal {
                    context: *context,
                    target: *target,
                    addend: *addend,
                    count: *count,
                };
                let (device, queue) = self.device(target.device);
                device.signal(queue, at, &signal, *in_task);
            }
            Body::Consumed { target, value, .. } => {
                let (device, queue) = self.device(target.device);
                device.consumed(queue, at, *target, *value);
            }
            Body::Read {
                context,
                target,
                value,
                result,
            } => {
                self.used(target.device, event);
                let value = result.map(|_| *value);
                let (device, queue) = self.device(target.device);
                device.read(queue, at, (*context, *target), value);
            }
            Body::Write {
                context,
                target,
                begin_ns,
                value,
                result: Ok(_),
            } => {
                let written = Written {
                    context: *context,
                    target: *target,
                    begin_ns: *begin_ns,
                    value: *value,
                };
                let (device, queue) = self.device(target.device);
                device.write(queue, at, &written);
            }
            Body::Release { context, target } => {
                let (device, queue) = self.device(target.device);
                device.eventfd_closed(queue, event.time_ns, (*context, *target));
            }
            _ => {}
        }
    }

    /// Mappings, and the pages behind them.
    fn memory(&mut self, event: &Event) {
        let at = Moment::of(event);
        match &event.body {
            Body::Map {
                device,
                region,
                offset,
                size,
                address,
                result,
                origin,
            } => {
                self.used(*device, event);
                let place = Place::new(*region, *offset, *size, *address);
                let (device, queue) = self.device(*device);
                match result {
                    Ok(()) => device.map(queue, at, place, *origin),
                    Err(errno) => device.map_refused(queue, at, place, *errno),
                }
            }
            Body::Unmap {
                device: key,
                region,
                offset,
                size,
                address,
            } => {
                let place = Place::new(*region, *offset, *size, *address);
                let (device, queue) = self.device(*key);
                device.unmap(queue, at, place);
                let times = (at.ns, self.queue.options().stuck_ns);
                self.dma.unmapped(times, event.task.pid, *key, place);
            }
            Body::Fault {
                device,
                region,
                offset,
                address,
                begin_ns,
                outcome,
            } => {
                let fault = Fault {
                    region: *region,
                    offset: *offset,
                    address: *address,
                    begin_ns: *begin_ns,
                    outcome: *outcome,
                };
                let (device, queue) = self.device(*device);
                device.fault(queue, at, &fault);
            }
            Body::Zap {
                device: key,
                regions,
                offset,
                size,
                cause,
            } => {
                let range = FileRange {
                    regions: *regions,
                    offset: *offset,
                    size: *size,
                };
                let for_dma = self.dma.of(*key);
                let (device, queue) = self.device(*key);
                device.zap(queue, at, (range, *cause), &for_dma);
            }
            _ => {}
        }
    }

    /// Migration data.
    fn data(&mut self, event: &Event) {
        match &event.body {
            Body::Data {
                device,
                write,
                begin_ns,
                result,
                ..
            } => {
                let moved = Moved {
                    begin_ns: *begin_ns,
                    write: *write,
                    result: *result,
                };
                match device {
                    Some(device) => self.device(*device).0.data(event.time_ns, &moved),
                    None => {
                        let data = &mut self.queue.stats_mut().unknown_data;
                        data.record(event.time_ns, &moved);
                        let ns = event.time_ns.saturating_sub(*begin_ns);
                        data.busy_ns = data.busy_ns.saturating_add(ns);
                    }
                }
            }
            Body::PrecopyInfo {
                device: Some(device),
                bytes: Some((initial_bytes, dirty_bytes)),
                result: Ok(_),
                ..
            } => {
                let (device, _) = self.device(*device);
                device.precopy_info(event.time_ns, *initial_bytes, *dirty_bytes);
            }
            _ => {}
        }
    }
}

/// What an event says of the process that it happened in.
fn sign(body: &Body) -> ProcessSign {
    match body {
        Body::Close { .. }
        | Body::NodeClose {
            node: Node::Container { .. } | Node::Iommufd { .. },
        } => ProcessSign::Ends,
        // An interrupt may come on top of a process that ends.
        Body::Unmap { .. }
        | Body::Release { .. }
        | Body::NodeClose { .. }
        | Body::Signal { .. }
        | Body::Consumed { .. }
        | Body::Owner { .. }
        | Body::Unknown { .. }
        | Body::Lost { .. } => ProcessSign::None,
        _ => ProcessSign::Lives,
    }
}
