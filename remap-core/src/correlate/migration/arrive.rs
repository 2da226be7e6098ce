//! The return of a state change: effects on the old and on the new state.

use super::change::Change;
use super::interval::{IntervalEnd, OpenInterval};
use super::state::Known;
use super::{DataLeft, FailedChange, Migration};
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::correlate::rules::impossible_change;
use crate::event::{DeviceState, Errno};

impl Migration {
    /// A change returned: its effect on the old state.
    pub(super) fn leave(&mut self, out: &mut Reporter<'_>, change: &Change, returned: (u64, bool)) {
        let (now, done) = returned;
        if change.lossy {
            self.end_interval(out, change.begin_ns, IntervalEnd::Unknown);
            return;
        }
        let left = self.interval.as_ref().filter(|interval| {
            let copied = interval.state == DeviceState::StopCopy;
            done && copied && change.to == Some(DeviceState::Stop)
        });
        let unfinished = left.and_then(OpenInterval::unfinished);
        match change.to {
            _ if !done => {}
            // The migration was cancelled, and the device runs on.
            Some(DeviceState::Running | DeviceState::PreCopy) => self.data_left = None,
            Some(DeviceState::RunningP2p | DeviceState::PreCopyP2p) => {}
            _ => self.report_data_left(out),
        }
        if let Some(read_bytes) = unfinished {
            self.data_left = Some(DataLeft {
                ns: now,
                read_bytes,
            });
        }
        let no_way = self.route(change.from, change.to).no_way();
        if let (true, Some(from), Some(to), Some(no_way)) = (done, change.from, change.to, no_way) {
            out.finding(now, impossible_change(from, to, no_way));
        }
        let end = match done {
            true => IntervalEnd::Left,
            false => IntervalEnd::Unknown,
        };
        self.end_interval(out, change.begin_ns, end);
    }

    /// Its effect on the new state.
    pub(super) fn arrive(&mut self, change: &Change, at: Moment<'_>, result: Result<(), Errno>) {
        self.failed = result.err().map(|errno| FailedChange {
            to: change.to,
            errno,
            end_ns: at.ns,
        });
        if let (Ok(()), Known::State(state)) = (result, self.state) {
            self.enter(OpenInterval::entered(state, at, change.data_fd));
        }
    }
}
