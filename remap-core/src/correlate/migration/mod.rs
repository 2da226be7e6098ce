//! The migration state of a device: its changes, and the time in each state.

mod arrive;
mod change;
mod feature;
mod fsm;
mod interval;
mod loss;
mod state;

use super::call::Returned;
use super::change::{InFlightChange, ReturnedChange, Wait};
use super::moment::Moment;
use super::report::Reporter;
use super::rules::{ChangeFacts, data_left, is_timeout, state_unknown};
use super::span::Tally;
use crate::event::{Answer, DeviceState, Errno, MigrationData, PrecopyInfo, Task};
use crate::model::{Activity, Output};
pub(super) use change::Change;
use fsm::Route;
pub(crate) use fsm::is_one_arc;
use interval::{IntervalEnd, OpenInterval};
pub(super) use state::{Feature, Protocol};
use state::{Known, Suspect};

/// A state change that failed, where the state since is not known.
#[derive(Clone, Copy, Debug)]
struct FailedChange {
    to: Option<DeviceState>,
    errno: Errno,
    end_ns: u64,
}

/// STOP_COPY was left for STOP with data unread.
#[derive(Clone, Copy, Debug)]
struct DataLeft {
    ns: u64,
    /// What had been read, bytes.
    read_bytes: u64,
}

/// A state change that begins.
pub(super) struct Begun {
    pub(super) change: InFlightChange,
    /// The change before it of the same thread, whose return was not seen.
    pub(super) abandoned: Option<u64>,
}

/// The migration of one device.
#[derive(Debug, Default)]
pub(super) struct Migration {
    /// `VFIO_MIGRATION_*` flags.
    flags: Option<u64>,
    /// `None` until a state was seen.
    protocol: Option<Protocol>,
    state: Known,
    /// Where the last report of it is in doubt.
    suspect: Option<Suspect>,
    /// The time in the present state, as far as that is known.
    interval: Option<OpenInterval>,
    /// What happened while the state was not known.
    unknown: Tally,
    /// Changes in flight.
    in_flight: Vec<Change>,
    /// Changes that returned, until they settle, and when that is.
    returned: Vec<(u64, Change)>,
    failed: Option<FailedChange>,
    data_left: Option<DataLeft>,
}

impl Migration {
    /// How much is stored ([`super::room`]): each event may look at all changes.
    pub(super) fn room(&self) -> usize {
        let returned = self.returned.iter().map(|(_, change)| change);
        let changes = self.in_flight.iter().chain(returned).map(Change::room);
        let interval = self
            .interval
            .as_ref()
            .map_or(0, |interval| interval.tally.room());
        changes.sum::<usize>() + interval + self.unknown.room()
    }

    /// Whether nothing waits to be decided.
    pub(super) fn is_quiet(&self) -> bool {
        self.returned.is_empty()
    }

    /// A driver was bound: another one, or the same one loaded anew, may have other features.
    pub(super) fn bound(&mut self) {
        self.flags = None;
        self.protocol = None;
    }

    /// A file of the device was made: one that was closed begins anew.
    pub(super) fn opened(&mut self, at: Moment<'_>) {
        if let (Known::Running, None, Some(state)) = (self.state, &self.interval, self.state()) {
            self.enter(OpenInterval::entered(state, at, None));
        }
    }

    /// The state, as far as it is known.
    pub(super) fn state(&self) -> Option<DeviceState> {
        self.protocol.and_then(|protocol| self.state.get(protocol))
    }

    /// The last change in flight.
    pub(super) fn change_in_flight(&self) -> Option<&Change> {
        self.in_flight.last()
    }

    /// The state change that `task` acts for: its own; or for a kernel worker, which signals what the
    /// driver had to delay until an earlier ack, the change that waits.
    pub(super) fn change_of(&self, task: &Task) -> Option<InFlightChange> {
        let own = self
            .position(task.tid)
            .and_then(|at| self.in_flight.get(at));
        let worker = task.comm.starts_with("kworker/");
        let last = || self.in_flight.last().filter(|_| worker);
        let change = own.or_else(last)?;
        Some(InFlightChange {
            reference: change.reference(),
            lossy: change.lossy,
        })
    }

    fn position(&self, tid: u32) -> Option<usize> {
        let mut changes = self.in_flight.iter();
        changes.position(|change| change.task.tid == tid)
    }

    /// A state change begins.
    pub(super) fn begin(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        to: Option<DeviceState>,
        protocol: Protocol,
    ) -> Begun {
        self.suspect = None;
        // A thread is in one call at a time.
        let before = self.position(at.task.tid);
        let before = before.map(|before| self.in_flight.remove(before));
        let abandoned = before.map(|change| {
            let id = change.id;
            self.emit(out, change, &[]);
            id
        });
        let from = self.state.get(protocol);
        let path = match self.route(from, to) {
            Route::Through(path) => path,
            _ => Vec::new(),
        };
        let change = Change {
            from,
            path,
            ..Change::new(out.ids().next_change(), to, at)
        };
        let reference = change.reference();
        self.in_flight.push(change);
        Begun {
            change: InFlightChange {
                reference,
                lossy: false,
            },
            abandoned,
        }
    }

    /// A state change returned: it is decided once it has [settled](Self::settled).
    pub(super) fn end(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        to: Option<DeviceState>,
        protocol: Protocol,
        exit: &Returned<'_>,
    ) -> ReturnedChange {
        let result = exit.success();
        let own = self.position(at.task.tid);
        let mut change = match own {
            Some(own) => self.in_flight.remove(own),
            // Its entry was lost, or was before the trace.
            None => Change {
                begin_ns: exit.begin_ns,
                lossy: true,
                ..Change::new(out.ids().next_change(), to, at)
            },
        };
        change.lossy |= exit.lossy;
        change.end = Some((at.ns, result));
        if let Answer::State { data_fd, .. } = exit.answer {
            change.data_fd = *data_fd;
        }
        self.protocol = Some(protocol);
        self.leave(out, &change, (at.ns, result.is_ok()));
        self.state = match (result, exit.answer) {
            (Ok(()), Answer::State { state, .. }) => Known::State(*state),
            (Ok(()), _) => change.to.map_or(Known::Unknown, Known::State),
            // It may be the old state, one on the path, or ERROR: only a query shows.
            (Err(_), _) => Known::Unknown,
        };
        change.to = change.to.or(to);
        self.arrive(&change, at, result);
        let returned = ReturnedChange {
            reference: change.reference(),
            tid: change.task.tid,
            end_ns: at.ns,
            result,
        };
        self.returned.push((out.settled(at.ns), change));
        returned
    }

    /// Removes and returns the changes that returned, and have settled by `now` or wait for no
    /// trigger. `is_awaited`: whether the change with this number waits for one.
    pub(super) fn settled(&mut self, now: u64, is_awaited: impl Fn(u64) -> bool) -> Vec<Change> {
        let settled = |due_ns: u64, change: &Change| due_ns <= now || !is_awaited(change.id);
        self.take(|due_ns, change| settled(due_ns, change))
    }

    /// Removes and returns the changes that timed out.
    pub(super) fn timed_out(&mut self) -> Vec<Change> {
        self.take(|_, change| change.errno().is_some_and(is_timeout))
    }

    /// Removes and returns every change that returned.
    pub(super) fn take_returned(&mut self) -> Vec<Change> {
        self.take(|_, _| true)
    }

    /// Removes and returns every change in flight.
    pub(super) fn take_in_flight(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.in_flight)
    }

    fn take(&mut self, wanted: impl Fn(u64, &Change) -> bool) -> Vec<Change> {
        let taken = self
            .returned
            .extract_if(.., |(due_ns, change)| wanted(*due_ns, change));
        taken.map(|(_, change)| change).collect()
    }

    /// The facts for the rules about a change that failed, or that has not returned by `now`.
    pub(super) fn facts(&self, out: &Reporter<'_>, now: u64, change: &Change) -> ChangeFacts {
        let now = change.end.map_or(now, |(end_ns, _)| end_ns);
        let duration_ns = now.saturating_sub(change.begin_ns);
        ChangeFacts {
            from: change.from,
            to: change.to,
            no_way: self.route(change.from, change.to).no_way(),
            errno: change.errno(),
            duration_ns,
            tid: change.task.tid,
            stuck: duration_ns >= out.options().stuck_ns,
        }
    }

    /// A finding explains the last change that failed. The unknown state after it gets no finding
    /// of its own.
    pub(super) fn failure_explained(&mut self) {
        self.failed = None;
    }

    /// A change has ended. `waits`: the times in which it can have waited for user space.
    pub(super) fn emit(&self, out: &mut Reporter<'_>, change: Change, waits: &[Wait]) {
        let transition = change.finish(out.name(), waits);
        out.emit(Output::Transition(Box::new(transition)));
    }

    /// A reset that began at `begin_ns` succeeded: the device runs.
    pub(super) fn reset(&mut self, out: &mut Reporter<'_>, at: Moment<'_>, begin_ns: u64) {
        self.report_data_left(out);
        self.end_interval(out, begin_ns, IntervalEnd::Left);
        self.state = Known::Running;
        self.failed = None;
        if let Some(state) = self.state() {
            self.enter(OpenInterval::entered(state, at, None));
        }
    }

    /// The state is not known any more.
    pub(super) fn forget_state(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.end_interval(out, now, IntervalEnd::Unknown);
        self.state = Known::Unknown;
    }

    /// The device was closed. Its changes are decided.
    pub(super) fn close(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.report_data_left(out);
        self.end_interval(out, now, IntervalEnd::Left);
        self.count_unknown(out);
        *self = Self {
            flags: self.flags,
            protocol: self.protocol,
            state: Known::Running,
            ..Self::default()
        };
    }

    /// The trace ends: reports problems that have lasted too long to be caused by the end itself.
    pub(super) fn judge(&mut self, out: &mut Reporter<'_>, now: u64) {
        let stuck_ns = out.options().stuck_ns;
        let stuck = |ns: u64| now.saturating_sub(ns) >= stuck_ns;
        if self.data_left.is_some_and(|left| stuck(left.ns)) {
            self.report_data_left(out);
        }
        if let Some(failed) = self.failed.take().filter(|failed| stuck(failed.end_ns)) {
            let since_ns = now.saturating_sub(failed.end_ns);
            out.finding(now, state_unknown(failed.to, failed.errno, since_ns));
        }
    }

    /// The trace ended. Its changes are decided.
    pub(super) fn finish(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.end_interval(out, now, IntervalEnd::Unknown);
        self.count_unknown(out);
    }

    /// A fault returned. One that the kernel retries (`again`) at a smaller order is not counted.
    pub(super) fn fault(&mut self, now: u64, begin_ns: u64, again: bool) {
        for change in &mut self.in_flight {
            let begin_ns = begin_ns.max(change.begin_ns);
            change.inside.fault(begin_ns, now, again);
        }
        if self.in_flight.is_empty() {
            self.tally().fault(begin_ns, now, again);
        }
    }

    /// A zap began.
    pub(super) fn zap(&mut self) {
        for change in &mut self.in_flight {
            change.inside.zap();
        }
        if self.in_flight.is_empty() {
            self.tally().zap();
        }
    }

    /// A read or a write of migration data returned.
    pub(super) fn data(&mut self, now: u64, moved: &MigrationData) {
        match self.in_flight.last_mut() {
            Some(change) => {
                let begin_ns = moved.begin_ns.max(change.begin_ns);
                change
                    .inside
                    .moved(now, &MigrationData { begin_ns, ..*moved });
            }
            None => self.tally().moved(now, moved),
        }
    }

    /// `VFIO_MIG_GET_PRECOPY_INFO` returned.
    pub(super) fn precopy_info(&mut self, now: u64, info: &PrecopyInfo) {
        let bytes = info.initial_bytes.zip(info.dirty_bytes);
        if let (Some(interval), Some((initial_bytes, dirty_bytes)), Ok(_)) =
            (&mut self.interval, bytes, info.result)
        {
            interval.precopy_info(now, initial_bytes, dirty_bytes);
        }
    }

    /// Activity while no change is in flight belongs to the interval.
    fn tally(&mut self) -> &mut Tally {
        match &mut self.interval {
            Some(interval) => &mut interval.tally,
            None => &mut self.unknown,
        }
    }

    fn route(&self, from: Option<DeviceState>, to: Option<DeviceState>) -> Route {
        match (from, to) {
            (Some(from), Some(to)) => fsm::route(from, to, self.flags),
            _ => Route::Unknown,
        }
    }

    /// The device is in another state, which also shows its migration protocol.
    fn enter(&mut self, interval: OpenInterval) {
        self.protocol = Some(Protocol::of(interval.state));
        self.interval = Some(interval);
    }

    fn end_interval(&mut self, out: &mut Reporter<'_>, until_ns: u64, end: IntervalEnd) {
        if let Some(interval) = self.interval.take() {
            let interval = interval.finish(out.name(), until_ns, end);
            out.emit(Output::StateInterval(Box::new(interval)));
        }
    }

    /// STOP_COPY was left with data unread, and the device has not run since.
    pub(super) fn report_data_left(&mut self, out: &mut Reporter<'_>) {
        if let Some(left) = self.data_left.take() {
            out.finding(left.ns, data_left(left.read_bytes));
        }
    }

    /// Adds up the activity while the state was not known.
    fn count_unknown(&mut self, out: &mut Reporter<'_>) {
        let unknown = std::mem::take(&mut self.unknown).activity();
        if unknown != Activity::default() {
            out.stats().migration.unknown.add(&unknown);
        }
    }
}
