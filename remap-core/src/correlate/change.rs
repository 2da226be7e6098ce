//! State changes: from the entry of the call to its return.

use std::collections::BTreeSet;

use super::activity::Tally;
use super::device::{Device, FailedChange, Known};
use super::fsm::{self, Route};
use super::ioctl::Exit;
use super::report::Desk;
use super::rule::{data_left, impossible, is_timeout};
use super::stay::OpenStay;
use super::transition::{Change, LEGACY_MIGRATION_REGION};
use crate::event::{Answer, DeviceState, Errno, Event, Origin};
use crate::model::{Inferred, ReleasedSource, Stage};

/// How soon before its return a call that timed out names what it gives back, ns, at most; and
/// the share of its duration that this is, one part in so many.
const GIVE_BACK: (u64, u64) = (10_000_000, 20);

/// Whether a state change that timed out cannot have waited for a trigger: it came right before
/// the return, so the driver had given up.
fn gave_up_before(change: &Change, trigger_ns: u64) -> bool {
    let Some((end_ns, Err(errno))) = change.end else {
        return false;
    };
    let (most, share) = GIVE_BACK;
    let left = end_ns.saturating_sub(trigger_ns);
    let duration = end_ns.saturating_sub(change.begin_ns);
    is_timeout(errno) && left < most && left < duration / share
}

impl Device {
    pub(super) fn state_write_enter(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        word: Option<u32>,
    ) {
        self.guess_migration_region(desk, event, region, word);
        if self.is_migration_region(region) {
            self.begin_change(desk, event, word.map(DeviceState::Legacy), true);
        }
    }

    pub(super) fn state_write_exit(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        word: Option<u32>,
        exit: &Exit<'_>,
    ) {
        if self.is_migration_region(region) {
            self.end_change(desk, event, word.map(DeviceState::Legacy), true, exit);
        }
        self.zapped(event.task.tid);
    }

    fn is_migration_region(&self, region: u32) -> bool {
        let facts = self.regions.get(&region);
        facts.is_some_and(|facts| facts.kind == Some(LEGACY_MIGRATION_REGION))
    }

    /// Whoever has described the regions before the trace does not do so again: of a device that was
    /// open then, the region to whose start a word of the protocol is written is taken for that of
    /// migration.
    fn guess_migration_region(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        word: Option<u32>,
    ) {
        let valid = word.and_then(|word| DeviceState::Legacy(word).is_valid_word());
        let facts = self.regions.entry(region).or_default();
        if !self.found || valid != Some(true) || facts.view.is_some() || facts.kind.is_some() {
            return;
        }
        facts.kind = Some(LEGACY_MIGRATION_REGION);
        desk.inferred(Inferred {
            device: self.name.clone(),
            time_ns: event.time_ns,
            origin: Origin::StateWritten,
            text: format!(
                "region {region}, which nobody has described in this trace, is taken for that of the \
                 legacy migration: a device_state was written to its start"
            ),
            task: event.task.clone(),
        });
    }

    /// What the state machine says of a change.
    pub(super) fn route(&self, from: Option<DeviceState>, to: Option<DeviceState>) -> Route {
        match (from, to) {
            (Some(from), Some(to)) => fsm::route(from, to, self.flags),
            _ => Route::Unknown,
        }
    }

    pub(super) fn begin_change(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        to: Option<DeviceState>,
        legacy: bool,
    ) {
        // A thread is in one call at a time: the return of the last one was not seen.
        let tid = event.task.tid;
        if let Some(at) = self
            .changes
            .iter()
            .position(|change| change.task.tid == tid)
        {
            let change = self.changes.remove(at);
            desk.transition(change.finish(&self.name, &[]));
        }
        self.last_change_ns = Some(event.time_ns);
        let from = self.state.get(legacy);
        let path = match self.route(from, to) {
            Route::Through(path) => path,
            _ => Vec::new(),
        };
        self.changes.push(Change {
            id: desk.next_change(),
            from,
            to,
            begin_ns: event.time_ns,
            task: event.task.clone(),
            end: None,
            lossy: false,
            blamed: false,
            waits: Vec::new(),
            path,
            data_fd: None,
            inside: Tally::default(),
        });
    }

    pub(super) fn end_change(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        to: Option<DeviceState>,
        legacy: bool,
        exit: &Exit<'_>,
    ) {
        let (now, tid) = (event.time_ns, event.task.tid);
        let at = self
            .changes
            .iter()
            .position(|change| change.task.tid == tid);
        let mut change = match at {
            Some(at) => self.changes.remove(at),
            // Its entry was lost, or is from before the trace.
            None => Change {
                id: desk.next_change(),
                from: None,
                to,
                begin_ns: exit.begin_ns,
                task: event.task.clone(),
                end: None,
                lossy: true,
                blamed: false,
                waits: Vec::new(),
                path: Vec::new(),
                data_fd: None,
                inside: Tally::default(),
            },
        };
        change.lossy |= exit.lossy;
        let result = exit.result.map(|_| ());
        change.end = Some((now, result));
        if let Answer::State { data_fd, .. } = exit.answer {
            change.data_fd = *data_fd;
        }
        self.leave(desk, &change, legacy);
        self.state = match (result, exit.answer) {
            (Ok(()), Answer::State { state, .. }) => Known::State(*state),
            (Ok(()), _) => change.to.map_or(Known::Unknown, Known::State),
            // The old state, or one on the way, or the error state: only a query tells.
            (Err(_), _) => Known::Unknown,
        };
        if legacy && change.to.is_none() {
            change.to = to;
        }
        self.arrive(&change, (now, result));
        let mut named = BTreeSet::new();
        for at in 0..self.cycles.len() {
            let cycle = &mut self.cycles[at];
            let trigger = cycle.stages.get(Stage::Trigger);
            let orphan = cycle.transition.is_none()
                && cycle.trigger_ns >= change.begin_ns
                && trigger.is_some_and(|stamp| stamp.task.tid == tid);
            if orphan {
                cycle.transition = Some(change.reference());
                cycle.awaited = true;
            }
            if cycle.awaited_by(change.id) && gave_up_before(&change, cycle.trigger_ns) {
                cycle.give_back();
                self.observed(desk, at, Stage::Released);
                continue;
            }
            if !cycle.awaited_by(change.id) {
                continue;
            }
            cycle.change_end = Some((now, result));
            named.insert(cycle.region);
            if result.is_ok() && cycle.acked() && !cycle.released() {
                cycle.stages.set(Stage::Released, now, &event.task);
                cycle.released_source = Some(ReleasedSource::StateChange);
                self.observed(desk, at, Stage::Released);
            }
        }
        if result.is_err() {
            // They are given back, and named once more: now, or after an ack that is late.
            for cycle in self.cycles.iter().filter(|cycle| !cycle.awaited) {
                named.remove(&cycle.region);
            }
            for region in named {
                self.regions.entry(region).or_default().given_back = true;
            }
        }
        self.closing.push((desk.settled(now), change));
        self.sweep(desk, now);
        self.settle(desk, now);
    }

    /// A state change returned: what is said of the state that was left.
    fn leave(&mut self, desk: &mut Desk, change: &Change, legacy: bool) {
        self.legacy = Some(legacy);
        let (Some((now, result)), false) = (change.end, change.lossy) else {
            self.end_stay(desk, change.begin_ns, false);
            return;
        };
        let done = result.is_ok();
        let left = self.stay.as_ref().filter(|stay| {
            let copied = stay.state == DeviceState::StopCopy;
            done && copied && change.to == Some(DeviceState::Stop)
        });
        let unfinished = left.and_then(OpenStay::unfinished);
        match change.to {
            _ if !done => {}
            // The migration was given up, and the device goes on.
            Some(DeviceState::Running | DeviceState::PreCopy) => self.data_left = None,
            Some(DeviceState::RunningP2p | DeviceState::PreCopyP2p) => {}
            _ => self.tell_data_left(desk),
        }
        if let Some(bytes) = unfinished {
            self.data_left = Some((now, bytes));
        }
        if done {
            let route = self.route(change.from, change.to);
            if let Some(verdict) = impossible(change.from, change.to, &route) {
                self.raise(desk, now, &[], verdict);
            }
        }
        self.end_stay(desk, change.begin_ns, done);
    }

    /// STOP_COPY was left with data unread, and the device has not gone on since.
    pub(super) fn tell_data_left(&mut self, desk: &mut Desk) {
        if let Some((ns, bytes)) = self.data_left.take() {
            self.raise(desk, ns, &[], data_left(bytes));
        }
    }

    /// And of the state that it is in now.
    fn arrive(&mut self, change: &Change, (now, result): (u64, Result<(), Errno>)) {
        match (result, self.state) {
            (Ok(()), Known::State(state)) => {
                self.failed = None;
                self.begin_stay((state, now), true, change.data_fd, &change.task);
            }
            (Ok(()), _) => self.failed = None,
            (Err(errno), _) => {
                self.failed = Some(FailedChange {
                    to: change.to,
                    errno,
                    end_ns: now,
                });
            }
        }
    }
}
