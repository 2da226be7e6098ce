//! Outputs of the correlation: cycles, state changes, states, interrupts, mappings.

use super::{Device, MOST_CHANGES, Trapping, covers};
use crate::check::Duty;
use crate::event::{DeviceState, Errno};
use crate::model::{
    AckForm, Cycle, Interrupt, IrqChange, IrqName, IrqVerb, Mapped, MappedHow, Reason,
    ReleasedSource, Stage, StateInterval, Transition,
};
use vfio_bindings::bindings::vfio::{VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE};

/// When a cycle began, ns; 0 where that was not observed.
pub(in crate::check) fn cycle_ns(cycle: &Cycle) -> u64 {
    cycle.stages.ns(Stage::Trigger).unwrap_or(0)
}

/// Whether the region may be mapped in fewer places than before.
fn was_trapped(cycle: &Cycle) -> bool {
    let (Some(before), Some(after)) = (&cycle.before, &cycle.after) else {
        return false;
    };
    let mut areas = before.areas.iter();
    areas.any(|area| !covers(&after.areas, *area))
}

/// Whether a change from one state to another begins a transfer of data.
fn begins_transfer(from: DeviceState, to: DeviceState) -> bool {
    use DeviceState::{PreCopy, PreCopyP2p, Resuming, StopCopy};
    let copying = |state| matches!(state, PreCopy | PreCopyP2p | StopCopy);
    match to {
        Resuming => from != Resuming,
        PreCopy | PreCopyP2p | StopCopy => !copying(from),
        _ => false,
    }
}

impl Device {
    pub(super) fn cycle(&mut self, cycle: &Cycle) {
        if cycle.inferred.is_some() {
            return;
        }
        self.exercise(Duty::RegionInMask);
        let has = |stage| cycle.stages.has(stage);
        if cycle.complete() && cycle.before.is_some() && cycle.after.is_some() {
            self.exercise(Duty::NamedRegionChanged);
        }
        if has(Stage::Ack) {
            self.acked(cycle);
            if has(Stage::Requery) {
                self.exercise(Duty::QueriesAgain);
            }
            if has(Stage::Unmap) {
                self.exercise(Duty::UnmapsBeforeAck);
            }
        }
        let Some(change) = cycle.transition else {
            return;
        };
        if cycle.complete() && was_trapped(cycle) {
            let early = cycle.released_source == Some(ReleasedSource::AckReturn);
            let trapping = self.trapping(change.id);
            match trapping.succeeded {
                Some(true) => self.waited(cycle.region, early),
                // It gave up waiting.
                Some(false) => {}
                None => {
                    trapping.waiting.insert(cycle.region, early);
                }
            }
        }
        let user_gone = matches!(
            cycle.reason,
            Some(Reason::IrqDisabled | Reason::EventfdClosed | Reason::ProcessEnded)
        );
        if user_gone {
            self.without_user.insert(change.id);
            if self.without_user.len() > MOST_CHANGES {
                self.without_user.pop_first();
            }
        }
    }

    /// What is known of a state change that trapped regions.
    fn trapping(&mut self, change: u64) -> &mut Trapping {
        if self.trapping.len() >= MOST_CHANGES && !self.trapping.contains_key(&change) {
            self.trapping.pop_first();
        }
        self.trapping.entry(change).or_default()
    }

    /// A state change that trapped a region succeeded; `early`: before the region's ack.
    fn waited(&mut self, region: u32, early: bool) {
        self.exercise(Duty::ChangeWaitsForAcks);
        if early {
            let text = "the state change returned before the region's ack".to_owned();
            self.breaks(Duty::ChangeWaitsForAcks, Some(region), text);
        }
    }

    fn acked(&mut self, cycle: &Cycle) {
        self.exercise(Duty::SignalAfterAck);
        self.exercise(Duty::AcksEveryTrigger);
        let leaves_counter = match cycle.ack.form {
            AckForm::Write => cycle.ack.value == Some(0),
            AckForm::Unmask => true,
            AckForm::None => false,
        };
        if leaves_counter {
            self.exercise(Duty::AckLeavesCounter);
        }
    }

    pub(super) fn transition(&mut self, transition: &Transition) {
        let Some(result) = transition.result else {
            return;
        };
        if transition.from.is_some() {
            self.exercise(Duty::AllowedChange);
            self.exercise(Duty::ImpossibleRefused);
        }
        let waited = transition.waited_ns.is_some();
        let trapping = self.trapping(transition.id);
        trapping.succeeded = Some(result.is_ok());
        let waiting = std::mem::take(&mut trapping.waiting);
        if result.is_ok() {
            for (region, early) in waiting {
                self.waited(region, early);
            }
        }
        if waited {
            self.exercise(Duty::WaitIsBounded);
        }
        let without_user = self.without_user.remove(&transition.id);
        match result {
            Ok(()) => self.changed(transition, waited),
            Err(errno) => self.not_changed(waited, errno, without_user),
        }
    }

    fn changed(&mut self, transition: &Transition, waited: bool) {
        if waited {
            self.exercise(Duty::AcksEndTheWait);
            self.exercise(Duty::AnswersElsewhere);
        }
        let (Some(from), Some(to)) = (transition.from, transition.to) else {
            return;
        };
        if from == DeviceState::Resuming {
            self.exercise(Duty::LoadsWhatWasSaved);
        }
        if begins_transfer(from, to) {
            self.exercise(Duty::DataFdReturned);
            if transition.data_fd.is_none() {
                let text = format!("the change from {from} to {to} returned no data fd");
                self.breaks(Duty::DataFdReturned, None, text);
            }
        }
    }

    fn not_changed(&mut self, waited: bool, errno: Errno, without_user: bool) {
        if !waited {
            return;
        }
        if errno == Errno::ECANCELED {
            self.exercise(Duty::UserGoneEndsTheWait);
        } else if errno == Errno::ETIMEDOUT && without_user {
            let text = "the user was gone, and the state change failed with ETIMEDOUT".to_owned();
            self.breaks(Duty::UserGoneEndsTheWait, None, text);
        }
    }

    pub(super) fn interval(&mut self, interval: &StateInterval) {
        if interval.state == DeviceState::StopCopy && interval.activity.data.ends > 0 {
            self.exercise(Duty::ReadsDataToTheEnd);
        }
    }

    pub(super) fn irq_change(&mut self, change: &IrqChange) {
        let is_remap = change.name == IrqName::Remap;
        match (change.verb, change.result) {
            (IrqVerb::Trigger, result) if is_remap => {
                self.exercise(Duty::LoopbackRefused);
                let result = match result {
                    Err(Errno::EINVAL) => return,
                    Ok(()) => "succeeded".to_owned(),
                    Err(errno) => format!("failed with {errno}"),
                };
                let text = format!(
                    "a SET_IRQS that signals IRQ index {} {result}",
                    change.index
                );
                self.breaks(Duty::LoopbackRefused, None, text);
            }
            (IrqVerb::Enable, result) => {
                if is_remap && result.is_ok() {
                    self.exercise(Duty::EnablesIrq);
                }
                let duty = (Duty::EventfdSupported, VFIO_IRQ_INFO_EVENTFD);
                self.supported(change, duty);
            }
            (IrqVerb::Mask | IrqVerb::Unmask, _) => {
                let duty = (Duty::MaskingSupported, VFIO_IRQ_INFO_MASKABLE);
                self.supported(change, duty);
            }
            _ => {}
        }
    }

    /// A call of which the IRQ's flags say that it is supported.
    fn supported(&mut self, change: &IrqChange, (duty, flag): (Duty, u32)) {
        let irq = self.irqs.get(&change.index);
        if irq.is_none_or(|irq| irq.flags & flag == 0) {
            return;
        }
        self.exercise(duty);
        if let Err(errno @ (Errno::ENOTTY | Errno::EOPNOTSUPP)) = change.result {
            let verb = change.verb.words();
            let text = format!("{verb} of IRQ index {} failed with {errno}", change.index);
            self.breaks(duty, None, text);
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: &Interrupt) {
        // An answer to a remap IRQ is another duty.
        if !matches!(interrupt.name, IrqName::Remap | IrqName::Inferred) {
            self.exercise(Duty::TakesInterrupts);
        }
    }

    pub(super) fn mapped(&mut self, mapped: &Mapped) {
        if mapped.how == MappedHow::DmaUnmap && mapped.result.is_ok() {
            self.exercise(Duty::RemovesDmaMappings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Task;
    use crate::model::{Ack, Activity, Outcome, Output, Stages, TransitionRef, View};
    use crate::parse::region::{Area, Areas};

    const CHANGE: u64 = 7;

    /// A cycle of a trapped region whose ack came after the return of the state change.
    fn late() -> Output {
        let view = |areas: &[Area]| {
            Some(View {
                flags: 0,
                areas: Areas::from(Some(areas.to_vec())),
            })
        };
        let page = Area {
            offset: 0,
            size: 4096,
        };
        Output::Cycle(Box::new(Cycle {
            device: String::new(),
            irq_index: Some(5),
            inferred: None,
            encoding: None,
            region: 2,
            trigger_id: 1,
            outcome: Outcome::Remapped,
            missing: Vec::new(),
            reason: None,
            stages: Stages::default(),
            released_source: Some(ReleasedSource::AckReturn),
            ack: Ack::default(),
            ack_return_ns: None,
            before: view(&[page]),
            after: view(&[]),
            transition: Some(TransitionRef {
                id: CHANGE,
                from: None,
                to: None,
                begin_ns: 0,
            }),
        }))
    }

    fn ended(result: Result<(), Errno>) -> Output {
        Output::Transition(Box::new(Transition {
            id: CHANGE,
            device: String::new(),
            from: None,
            to: None,
            begin_ns: 0,
            end_ns: Some(1),
            result: Some(result),
            waited_ns: Some(1),
            path: Vec::new(),
            data_fd: None,
            inside: Activity::default(),
            spent: None,
            task: Task {
                pid: 1,
                tid: 1,
                comm: String::new(),
            },
        }))
    }

    /// Whether the duty was exercised, and whether it was broken.
    fn judged(outputs: &[Output]) -> (bool, bool) {
        let mut device = Device::default();
        let seen: Vec<_> = outputs
            .iter()
            .flat_map(|output| device.output(output))
            .filter(|seen| seen.duty == Duty::ChangeWaitsForAcks)
            .collect();
        let broken = seen.iter().any(|seen| seen.broken.is_some());
        (!seen.is_empty(), broken)
    }

    #[test]
    fn a_change_that_succeeded_before_an_ack_did_not_wait() {
        assert_eq!(judged(&[ended(Ok(())), late()]), (true, true));
        assert_eq!(judged(&[late(), ended(Ok(()))]), (true, true));
    }

    #[test]
    fn a_change_that_gave_up_waiting_is_not_reported() {
        let failed = || ended(Err(Errno::ETIMEDOUT));
        assert_eq!(judged(&[failed(), late()]), (false, false));
        assert_eq!(judged(&[late(), failed()]), (false, false));
        assert_eq!(judged(&[late()]), (false, false), "not known yet");
    }
}
