//! State changes that failed, that never return, or that cannot be.

use super::verdict::{Table, Verdict};
use crate::event::{DeviceState, Errno};
use crate::model::{Evidence, FailedChange, NoWay};
use crate::parse::irq::Encoding;

/// A state change that failed, or that still runs when the trace ends.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct ChangeFacts {
    pub(in crate::correlate) from: Option<DeviceState>,
    pub(in crate::correlate) to: Option<DeviceState>,
    /// Why it cannot be, if it cannot.
    pub(in crate::correlate) no_way: Option<NoWay>,
    /// `None`: it has not returned.
    pub(in crate::correlate) errno: Option<Errno>,
    pub(in crate::correlate) duration_ns: u64,
    pub(in crate::correlate) tid: u32,
    /// It lasted long enough to report that it hangs.
    pub(in crate::correlate) stuck: bool,
}

/// A trigger that a state change may have waited for.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct Awaited {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) encoding: Encoding,
    pub(in crate::correlate) woke: bool,
    pub(in crate::correlate) acked: bool,
    /// The threads that ever read its eventfd.
    pub(in crate::correlate) readers: Vec<u32>,
}

/// The same, and what the remap IRQ has to do with it.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct AtChangeEnd {
    pub(in crate::correlate) change: ChangeFacts,
    /// Whether the device has a remap IRQ, and whether it is enabled.
    pub(in crate::correlate) enabled: Option<bool>,
    /// The driver is a vendor's, which may have a remap IRQ, and user space has not asked for one
    /// with room for the answer. `None` where the driver is not known, or records were lost.
    pub(in crate::correlate) never_asked: Option<bool>,
    pub(in crate::correlate) awaited: Vec<Awaited>,
}

impl AtChangeEnd {
    fn timed_out(&self) -> bool {
        self.change.errno == Some(Errno::ETIMEDOUT)
    }

    /// It ended without an answer of its own: never, or because a signal ended it.
    fn hung(&self) -> bool {
        self.change.stuck && self.interrupted()
    }

    fn interrupted(&self) -> bool {
        matches!(
            self.change.errno,
            None | Some(Errno::EINTR | Errno::ERESTARTSYS)
        )
    }

    fn failed(&self) -> FailedChange {
        FailedChange {
            to: self.change.to,
            errno: self.change.errno,
            duration_ns: self.change.duration_ns,
        }
    }
}

/// The regions of these triggers, in order.
fn regions<'a>(awaited: impl IntoIterator<Item = &'a Awaited>) -> Vec<u32> {
    let mut regions: Vec<u32> = awaited.into_iter().map(|awaited| awaited.region).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
}

/// The region, if there is one only.
fn only(regions: &[u32]) -> Option<u32> {
    match regions {
        [region] => Some(*region),
        _ => None,
    }
}

pub(in crate::correlate) const AT_CHANGE_END: &Table<AtChangeEnd> = &[
    not_enabled,
    deadlock,
    missing_ack,
    wait_timeout,
    never_asked,
    refused,
    resume_failed,
];

fn not_enabled(at: &AtChangeEnd) -> Option<Verdict> {
    let holds = at.change.errno == Some(Errno::ENODEV) && at.enabled == Some(false);
    let change = at.failed();
    holds.then(|| Verdict::new(Evidence::NotEnabled { change }))
}

/// The thread that changes the state is the only one that reads the eventfd.
pub(in crate::correlate) fn deadlock(at: &AtChangeEnd) -> Option<Verdict> {
    if !at.timed_out() && !at.hung() {
        return None;
    }
    let tid = at.change.tid;
    let unread: Vec<&Awaited> = at.awaited.iter().filter(|awaited| !awaited.woke).collect();
    let stuck = |awaited: &&Awaited| awaited.readers == [tid];
    if unread.is_empty() || !unread.iter().all(stuck) {
        return None;
    }
    let regions = regions(unread);
    Some(Verdict {
        region: only(&regions),
        evidence: Evidence::Deadlock {
            change: at.failed(),
            tid,
            regions,
        },
    })
}

/// The driver waited for an ack that did not come.
pub(in crate::correlate) fn missing_ack(at: &AtChangeEnd) -> Option<Verdict> {
    let waited = match at.change.errno {
        Some(_) => at.timed_out(),
        None => at.change.stuck,
    };
    if !waited {
        return None;
    }
    let unacked: Vec<&Awaited> = at.awaited.iter().filter(|awaited| !awaited.acked).collect();
    let encoding = unacked.first()?.encoding;
    let read = unacked.iter().all(|awaited| awaited.woke);
    let regions = regions(unacked);
    Some(Verdict {
        region: only(&regions),
        evidence: Evidence::MissingAck {
            change: at.failed(),
            regions,
            read,
            encoding,
        },
    })
}

fn wait_timeout(at: &AtChangeEnd) -> Option<Verdict> {
    if !at.timed_out() || (at.awaited.is_empty() && at.enabled != Some(true)) {
        return None;
    }
    let regions = regions(&at.awaited);
    Some(Verdict {
        region: only(&regions),
        evidence: Evidence::WaitTimeout {
            change: at.failed(),
            regions,
        },
    })
}

fn never_asked(at: &AtChangeEnd) -> Option<Verdict> {
    let holds = at.change.errno == Some(Errno::ENODEV) && at.never_asked == Some(true);
    let change = at.failed();
    holds.then(|| Verdict::new(Evidence::NeverAsked { change }))
}

fn refused(at: &AtChangeEnd) -> Option<Verdict> {
    let refused = at.change.errno == Some(Errno::EINVAL);
    let no_way = at.change.no_way.filter(|_| refused)?;
    Some(Verdict::new(Evidence::RefusedChange {
        change: at.failed(),
        from: at.change.from?,
        no_way,
    }))
}

fn resume_failed(at: &AtChangeEnd) -> Option<Verdict> {
    let holds = at.change.from == Some(DeviceState::Resuming) && !at.interrupted();
    let change = at.failed();
    holds.then(|| Verdict::new(Evidence::ResumeFailed { change }))
}

/// A change that succeeded although it cannot be.
pub(in crate::correlate) fn impossible_change(
    from: DeviceState,
    to: DeviceState,
    no_way: NoWay,
) -> Verdict {
    Verdict::new(Evidence::ImpossibleChange { from, to, no_way })
}

/// Whether `errno` is a time-out of the driver's wait.
pub(in crate::correlate) fn is_timeout(errno: Errno) -> bool {
    errno == Errno::ETIMEDOUT
}
