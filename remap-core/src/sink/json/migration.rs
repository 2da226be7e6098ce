//! State changes, and the time between them.

use serde::Serialize;

use super::result_name;
use crate::model::{Activity, DataStats, Precopy, Spent, StateInterval, Transition, TransitionRef};

#[derive(Serialize)]
pub(super) struct TransitionRefLine {
    id: u64,
    from: Option<String>,
    to: Option<String>,
    begin_ns: u64,
}

impl TransitionRefLine {
    pub(super) fn of(reference: &TransitionRef) -> Self {
        Self {
            id: reference.id,
            from: reference.from.map(|state| state.to_string()),
            to: reference.to.map(|state| state.to_string()),
            begin_ns: reference.begin_ns,
        }
    }
}

#[derive(Serialize)]
pub(super) struct DataLine {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    busy_ns: u64,
    ends: u64,
    drained: u64,
    failed: u64,
    errno: Option<String>,
}

impl DataLine {
    pub(super) fn of(data: &DataStats) -> Self {
        Self {
            reads: data.reads,
            read_bytes: data.read_bytes,
            writes: data.writes,
            written_bytes: data.written_bytes,
            first_ns: data.first_ns,
            last_ns: data.last_ns,
            busy_ns: data.busy_ns,
            ends: data.ends,
            drained: data.drained,
            failed: data.failed,
            errno: data.errno.map(|errno| errno.to_string()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ActivityLine {
    faults: u64,
    fault_ns: u64,
    zaps: u64,
    data: DataLine,
}

impl ActivityLine {
    pub(super) fn of(activity: &Activity) -> Self {
        Self {
            faults: activity.faults,
            fault_ns: activity.fault_ns,
            zaps: activity.zaps,
            data: DataLine::of(&activity.data),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SpentLine {
    remap_ns: u64,
    data_ns: u64,
    fault_ns: u64,
    other_ns: u64,
}

impl SpentLine {
    pub(super) fn of(spent: &Spent) -> Self {
        Self {
            remap_ns: spent.remap_ns,
            data_ns: spent.data_ns,
            fault_ns: spent.fault_ns,
            other_ns: spent.other_ns,
        }
    }
}

#[derive(Serialize)]
pub(super) struct PrecopyLine {
    count: u64,
    initial_bytes: u64,
    dirty_bytes: u64,
    last_ns: u64,
}

impl PrecopyLine {
    pub(super) fn of(precopy: &Precopy) -> Self {
        Self {
            count: precopy.count,
            initial_bytes: precopy.initial_bytes,
            dirty_bytes: precopy.dirty_bytes,
            last_ns: precopy.last_ns,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TransitionLine<'a> {
    device: &'a str,
    from: Option<String>,
    to: Option<String>,
    begin_ns: u64,
    end_ns: Option<u64>,
    result: Option<String>,
    waited_ns: Option<u64>,
    id: u64,
    pid: u32,
    tid: u32,
    comm: &'a str,
    path: Vec<String>,
    data_fd: Option<i32>,
    inside: ActivityLine,
    spent: Option<SpentLine>,
}

impl<'a> TransitionLine<'a> {
    pub(super) fn of(transition: &'a Transition) -> Self {
        Self {
            device: &transition.device,
            from: transition.from.map(|state| state.to_string()),
            to: transition.to.map(|state| state.to_string()),
            begin_ns: transition.begin_ns,
            end_ns: transition.end_ns,
            result: transition.result.map(result_name),
            waited_ns: transition.waited_ns,
            id: transition.id,
            pid: transition.task.pid,
            tid: transition.task.tid,
            comm: &transition.task.comm,
            path: transition.path.iter().map(ToString::to_string).collect(),
            data_fd: transition.data_fd,
            inside: ActivityLine::of(&transition.inside),
            spent: transition.spent.as_ref().map(SpentLine::of),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StayLine<'a> {
    device: &'a str,
    state: String,
    since_ns: u64,
    until_ns: u64,
    entered: bool,
    left: bool,
    data_fd: Option<i32>,
    activity: ActivityLine,
    precopy: Option<PrecopyLine>,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> StayLine<'a> {
    pub(super) fn of(stay: &'a StateInterval) -> Self {
        Self {
            device: &stay.device,
            state: stay.state.to_string(),
            since_ns: stay.since_ns,
            until_ns: stay.until_ns,
            entered: stay.entered,
            left: stay.left,
            data_fd: stay.data_fd,
            activity: ActivityLine::of(&stay.activity),
            precopy: stay.precopy.as_ref().map(PrecopyLine::of),
            pid: stay.task.pid,
            tid: stay.task.tid,
            comm: &stay.task.comm,
        }
    }
}
