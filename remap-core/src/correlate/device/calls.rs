//! Calls on a device: descriptions, enabling, features, resets and state changes.

use super::Device;
use crate::correlate::call::{Returned, Setting};
use crate::correlate::migration::{Feature, Protocol};
use crate::correlate::moment::Moment;
use crate::correlate::queue::OutputQueue;
use crate::correlate::region::Before;
use crate::correlate::remap::Requery;
use crate::correlate::report::Reporter;
use crate::event::{
    Answer, Call, DeviceState, Errno, Exit, InFlight, IrqAction, IrqData, Origin, StateWriteEnter,
    StateWriteExit,
};
use crate::model::{Inferred, Output};

impl Device {
    /// An ioctl begins.
    pub(in crate::correlate) fn enter(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        call: &Call,
    ) {
        self.in_flight_over(queue, at, None);
        self.calls.enter(at.task.tid, call);
        if let Call::Feature { data, .. } = call
            && call.changes_state()
        {
            self.begin_change(queue, at, data.state, Protocol::Feature);
        }
    }

    /// An ioctl returned.
    pub(in crate::correlate) fn exit(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        exit: &Exit,
        lossy: bool,
    ) {
        let Exit { call, answer, .. } = exit;
        let exit = &Returned {
            begin_ns: exit.begin_ns,
            result: exit.result,
            answer,
            lossy: lossy || self.lost_since(exit.begin_ns),
        };
        let succeeded = exit.result.is_ok();
        match call {
            Call::GetRegionInfo { index } => self.region_info(queue, at, *index, exit),
            Call::GetIrqInfo { index } => self.irq_info(queue, at, *index, exit),
            Call::SetIrqs {
                index,
                start,
                count,
                action,
                data,
            } => {
                let setting = Setting {
                    index: *index,
                    start: *start,
                    count: *count,
                    action: *action,
                    data,
                    eventfds: self.calls.looked_up(at.task.tid),
                };
                self.set_irqs(queue, at, &setting, exit);
            }
            Call::Feature { data, .. } if call.changes_state() => {
                self.end_change(queue, at, (data.state, Protocol::Feature), exit);
            }
            Call::Feature { feature, op, data } => {
                let feature = Feature {
                    number: *feature,
                    op: *op,
                    data: *data,
                };
                let out = &mut Reporter::new(&self.identity, queue);
                self.migration.feature(out, at, feature, exit);
            }
            Call::Reset | Call::HotReset if succeeded => {
                let out = &mut Reporter::new(&self.identity, queue);
                self.migration.reset(out, at, exit.begin_ns);
            }
            _ => {}
        }
        self.calls.exit(at.task.tid);
        self.mappings.call_returned(at.task.tid);
    }

    /// A call was found in flight that began before the trace.
    pub(in crate::correlate) fn in_flight(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        call: &InFlight,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.calls.found(out, at, call);
    }

    /// That call has ended; it was last seen at `seen_ns`.
    pub(in crate::correlate) fn in_flight_over(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        seen_ns: Option<u64>,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        if let Some(over) = self.calls.over(at, seen_ns) {
            if over.call.changes_state() {
                // Its result was not observed.
                self.migration.forget_state(out, at.ns);
            }
            out.emit(Output::InFlightCall(over));
        }
    }

    /// A write to the start of a device-specific region begins.
    pub(in crate::correlate) fn state_write_enter(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        write: &StateWriteEnter,
    ) {
        let region = write.region;
        self.in_flight_over(queue, at, None);
        let state = write.word.map(DeviceState::Legacy);
        // The user may have described the regions before the trace, and does not do so again.
        let valid = state.and_then(DeviceState::is_valid_word) == Some(true);
        if valid && self.identity.found && self.regions.infer_legacy_migration(region) {
            queue.emit(Output::Inferred(Inferred {
                device: self.identity.name.clone(),
                time_ns: at.ns,
                origin: Origin::StateWritten,
                region: Some(region),
                task: at.task.clone(),
            }));
        }
        if self.regions.is_legacy_migration(region) {
            self.begin_change(queue, at, state, Protocol::Legacy);
        }
    }

    /// That write returned.
    pub(in crate::correlate) fn state_write_exit(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        write: &StateWriteExit,
        lossy: bool,
    ) {
        if self.regions.is_legacy_migration(write.region) {
            let state = write.word.map(DeviceState::Legacy);
            let exit = &Returned {
                begin_ns: write.begin_ns,
                result: write.result,
                answer: &Answer::None,
                lossy: lossy || self.lost_since(write.begin_ns),
            };
            self.end_change(queue, at, (state, Protocol::Legacy), exit);
        }
        self.mappings.call_returned(at.task.tid);
    }

    fn begin_change(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        to: Option<DeviceState>,
        protocol: Protocol,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        let begun = self.migration.begin(out, at, to, protocol);
        if let Some(abandoned) = begun.abandoned {
            self.remap.change_over(abandoned);
        }
        self.remap.change_began(begun.change);
    }

    fn end_change(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        (to, protocol): (Option<DeviceState>, Protocol),
        exit: &Returned<'_>,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        let returned = self.migration.end(out, at, to, protocol, exit);
        let live = self.mappings.live();
        self.remap.change_returned(out, at, &returned, live);
        self.settle(queue, at.ns);
    }

    fn region_info(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        region: u32,
        exit: &Returned<'_>,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        let result: Result<&Answer, Errno> = exit.result.map(|_| exit.answer);
        if result.is_ok() {
            let before = self.regions.last(region);
            self.remap.claim(out, at, region, before);
        }
        let before = match result {
            Ok(answer) => self.regions.described(at.ns, region, answer),
            Err(_) => Before::default(),
        };
        let requery = Requery {
            region,
            begin_ns: exit.begin_ns,
            result,
            before,
        };
        let live = self.mappings.live();
        self.remap.described(out, at, &requery, live);
    }

    fn irq_info(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        index: u32,
        exit: &Returned<'_>,
    ) {
        let out = &mut Reporter::new(&self.identity, queue);
        let answer = exit.result.map(|_| exit.answer);
        let eventfds = self.interrupts.eventfds(index);
        self.remap.irq_info(out, at.ns, index, answer, &eventfds);
    }

    fn set_irqs(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        setting: &Setting<'_>,
        exit: &Returned<'_>,
    ) {
        let index = setting.index;
        let sets = setting.action == IrqAction::Trigger
            && (setting.count == 0 || matches!(setting.data, IrqData::Eventfd(_)));
        if exit.result.is_ok() && sets && self.remap.is_remap(index) {
            // A user that disables the IRQ after a timeout does not answer any more.
            self.decide_timeouts(queue, at.ns);
        }
        let name = self.irq_name(index);
        let out = &mut Reporter::new(&self.identity, queue);
        if exit.result.is_ok() {
            let before = self.interrupts.eventfds(index);
            let live = self.mappings.live();
            self.remap
                .set_irqs(out, at, (setting, exit.begin_ns), &before, live);
        } else {
            self.remap.set_irqs_failed(setting);
        }
        let returned = (exit.begin_ns, exit.success());
        self.interrupts.set_irqs(out, at, name, setting, returned);
    }
}
