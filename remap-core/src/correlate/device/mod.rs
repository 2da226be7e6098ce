//! One device: its identity and its trackers.
//!
//! Each tracker owns its state. An event is passed to those that it concerns. The order matters if
//! one tracker needs the state of another before the event; it gets that as an argument.

mod calls;
mod decide;

use super::areas::RegionAreas;
use super::call::{Calls, LookedUp};
use super::identity::Identity;
use super::irq::{Interrupts, Taker};
use super::mapping::Mappings;
use super::migration::Migration;
use super::moment::Moment;
use super::queue::OutputQueue;
use super::region::Regions;
use super::remap::{Acknowledged, Remap, TriggerFacts};
use super::report::Reporter;
use super::rules::Verdict;
use super::user::Users;
use crate::event::{
    Consumed, Context, ContextKey, DeviceFile, DeviceSeen, DmaKind, Errno, Fault, FaultOutcome,
    Map, Origin, Place, Read, Role, Signal, Target, UNKNOWN_INDEX, Write, ZapStep,
};
use crate::model::{Cause, CauseKind, IrqName, Opened, Output};
use crate::parse::region::Area;

/// One device. What concerns one tracker alone, `dispatch` passes to it directly.
#[derive(Debug, Default)]
pub(super) struct Device {
    identity: Identity,
    users: Users,
    /// When records about it that can have been anything were last lost.
    lost_ns: Option<u64>,
    calls: Calls,
    pub(super) interrupts: Interrupts,
    regions: Regions,
    pub(super) mappings: Mappings,
    pub(super) migration: Migration,
    remap: Remap,
    /// When it was last used, by a count of events.
    pub(super) used: u64,
}

impl Device {
    /// It is seen for the first time, or since it was closed.
    pub(super) fn seen(&mut self, queue: &mut OutputQueue, seen: &DeviceSeen) {
        self.identity.closed = false;
        self.identity.found = seen.origin == Origin::Found;
        self.identity.name.clone_from(&seen.name);
        self.identity.driver.clone_from(&seen.driver);
        self.migration.bound();
        let stats = queue.stats_mut().device(&seen.name);
        stats.driver.clone_from(&seen.driver);
    }

    /// Whether it was closed, and is not open again.
    pub(super) fn is_closed(&self) -> bool {
        self.identity.closed
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A process uses the device.
    pub(super) fn used(&mut self, queue: &mut OutputQueue, at: Moment<'_>, vm: Option<&str>) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.users.used(out, at.task, vm);
    }

    /// A process runs another virtual machine than before.
    pub(super) fn owner_changed(&mut self, pid: u32) {
        self.users.forget(pid);
    }

    /// A file of the device was made.
    pub(super) fn opened(&mut self, queue: &mut OutputQueue, at: Moment<'_>, file: &DeviceFile) {
        self.migration.opened(at);
        queue.emit(Output::Opened(Opened {
            device: self.identity.name.clone(),
            time_ns: at.ns,
            node: file.node,
            fd: file.fd,
            task: at.task.clone(),
        }));
    }

    /// A finding that concerns no cycle.
    pub(super) fn finding(&self, queue: &mut OutputQueue, now: u64, verdict: Verdict) {
        Reporter::new(&self.identity, queue).finding(now, verdict);
    }

    /// What an IRQ index is.
    fn irq_name(&self, index: u32) -> IrqName {
        irq_name(&self.identity, &self.remap, index)
    }

    /// An eventfd was looked up inside a `SET_IRQS`, which may still fail; or it was found, or is
    /// inferred.
    pub(super) fn context(&mut self, queue: &mut OutputQueue, at: Moment<'_>, found: &Context) {
        let &Context {
            context,
            target,
            origin,
            ..
        } = found;
        let name = self.irq_name(target.index);
        let out = &mut Reporter::new(&self.identity, queue);
        match (origin, target.role) {
            (_, Role::Wakeup) => {}
            (Origin::Seen, _) => {
                let eventfd = LookedUp { target, context };
                self.calls.look_up(at.task.tid, eventfd);
                self.remap.looked_up(eventfd);
            }
            (Origin::Found, Role::Trigger) => {
                self.interrupts.found(out, (target, name), context);
                self.remap.found(target, context);
            }
            (Origin::Found, _) => {}
            (Origin::SignalledInside | Origin::ReadBeforeRequery | Origin::StateWritten, _) => {
                self.remap.infer(out, at, context, origin);
            }
        }
    }

    /// The kernel signals an eventfd.
    pub(super) fn signal(&mut self, queue: &mut OutputQueue, at: Moment<'_>, signal: &Signal) {
        let target = signal.target;
        let asked = self.calls.triggers(at.task.tid, target.index);
        let software = signal.in_task != Some(false) && asked;
        let name = self.irq_name(target.index);
        let out = &mut Reporter::new(&self.identity, queue);
        if target.role == Role::Wakeup {
            self.mappings.woken(at.ns);
        }
        self.interrupts.signal(out, at.ns, signal, (name, software));
        let facts = TriggerFacts {
            regions: &self.regions,
            live: self.mappings.live(),
            change: self.migration.change_of(at.task),
        };
        self.remap.signal(out, at, signal, &facts);
    }

    /// The kernel itself took the counter of an eventfd.
    pub(super) fn consumed(&mut self, queue: &mut OutputQueue, at: Moment<'_>, taken: &Consumed) {
        let irq = (taken.target, self.irq_name(taken.target.index));
        let out = &mut Reporter::new(&self.identity, queue);
        self.interrupts
            .taken(out, at, irq, taken.value, Taker::Kernel);
    }

    /// User space tried to read an eventfd.
    pub(super) fn read(&mut self, queue: &mut OutputQueue, at: Moment<'_>, read: &Read) {
        let (context, target) = (read.context, read.target);
        let value = read.result.map(|_| read.value);
        let irq = (target, self.irq_name(target.index));
        let out = &mut Reporter::new(&self.identity, queue);
        if let Ok(value) = value {
            self.interrupts.taken(out, at, irq, value, Taker::User);
        }
        self.remap.read(out, at, (context, target), value);
    }

    /// User space wrote an eventfd.
    pub(super) fn write(&mut self, queue: &mut OutputQueue, at: Moment<'_>, write: &Write) {
        if write.result.is_err() {
            return;
        }
        self.interrupts.written(write.target, write.value);
        let out = &mut Reporter::new(&self.identity, queue);
        let live = self.mappings.live();
        self.remap.write(out, at, write, live);
    }

    /// User space closed an eventfd for good.
    pub(super) fn eventfd_closed(
        &mut self,
        queue: &mut OutputQueue,
        now: u64,
        (context, target): (ContextKey, Target),
    ) {
        if target.role != Role::Trigger {
            return;
        }
        if self.remap.is_remap(target.index) {
            self.decide_timeouts(queue, now);
        }
        let irq = (target, self.irq_name(target.index));
        let out = &mut Reporter::new(&self.identity, queue);
        self.interrupts.released(out, irq, context);
        let live = self.mappings.live();
        self.remap.eventfd_closed(out, now, (context, target), live);
    }

    /// What was acknowledged since the last call.
    pub(super) fn acknowledged(&mut self) -> Vec<Acknowledged> {
        self.remap.acknowledged()
    }

    /// A part of a region is mapped.
    pub(super) fn map(&mut self, queue: &mut OutputQueue, at: Moment<'_>, map: &Map) {
        let &Map { place, origin, .. } = map;
        if let Err(errno) = map.result {
            return self.map_refused(queue, at, place, errno);
        }
        let out = &mut Reporter::new(&self.identity, queue);
        self.mappings.map(out, at, place, origin);
        // A mapping that existed before the trace is no answer.
        if origin == Origin::Seen {
            let live = self.mappings.live();
            self.remap.mapped(out, at, place.region, live);
        }
    }

    /// A mapping was refused.
    fn map_refused(&mut self, queue: &mut OutputQueue, at: Moment<'_>, place: Place, errno: Errno) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.mappings.map_refused(out, at, place, errno);
        let live = self.mappings.live();
        self.remap.map_refused(out, at, place.region, live);
    }

    /// A mapping, or a part of one, was removed.
    pub(super) fn unmap(&mut self, queue: &mut OutputQueue, at: Moment<'_>, place: Place) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.mappings.unmap(out, at, place);
        self.remap.unmapped(out, at, place);
    }

    /// The parts of regions that a process has mapped at `address..address + size`, and where each
    /// begins.
    pub(super) fn mapped_at(&self, pid: u32, address: u64, size: u64) -> Vec<(u32, Area, u64)> {
        self.mappings.live().at(pid, address, size)
    }

    /// A part of a region is mapped for DMA.
    pub(super) fn dma_mapped(&self, queue: &mut OutputQueue, at: Moment<'_>, place: Place) {
        let out = &mut Reporter::new(&self.identity, queue);
        Mappings::dma_mapped(out, at, place);
    }

    /// A part of a region is not mapped for DMA any more.
    pub(super) fn dma_unmapped(
        &self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        place: Place,
        kind: DmaKind,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        Mappings::dma_unmapped(out, at, place, kind);
    }

    /// A page fault in a region returned.
    pub(super) fn fault(&mut self, queue: &mut OutputQueue, at: Moment<'_>, fault: &Fault) {
        let out = &mut Reporter::new(&self.identity, queue);
        let again = fault.outcome == FaultOutcome::Fallback;
        self.migration.fault(at.ns, fault.begin_ns, again);
        let trapped = self.regions.is_trapped(fault.region, fault.offset);
        self.mappings.fault(out, at, fault, trapped);
    }

    /// A range is zapped. `dma`: the ranges that are mapped for DMA.
    pub(super) fn zap(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        step: &ZapStep,
        dma: &RegionAreas,
    ) {
        let cause = Cause::of(step.cause);
        let change = self.migration.change_of(at.task);
        let transition = change.map(|change| change.reference);
        let out = &mut Reporter::new(&self.identity, queue);
        if self.mappings.zap(out, at, step, dma, transition) {
            self.migration.zap();
        }
        // After a reset by the device's own user, the return of that call shows the state. After
        // any other reset only a query does.
        let own = change.is_some() || self.calls.contains(at.task.tid);
        if !own && (cause.kind.resets() || cause.kind == CauseKind::Unknown) {
            self.migration.forget_state(out, at.ns);
        }
    }

    /// Another device on its bus was reset; this one may have been reset too.
    pub(super) fn bus_reset(&mut self, queue: &mut OutputQueue, now: u64) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.migration.forget_state(out, now);
    }
}

/// What an IRQ index is.
fn irq_name(identity: &Identity, remap: &Remap, index: u32) -> IrqName {
    if index == UNKNOWN_INDEX {
        IrqName::Inferred
    } else if remap.is_remap(index) {
        IrqName::Remap
    } else if identity.is_pci() {
        IrqName::pci(index)
    } else {
        IrqName::Other
    }
}
