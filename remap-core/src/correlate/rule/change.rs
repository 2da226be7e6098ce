//! State changes that failed, that never return, or that cannot be.

use super::{Found, Table, found};
use crate::correlate::fsm::Route;
use crate::event::{DeviceState, Errno};
use crate::model::{Ns, Rule};
use crate::parse::irq::Encoding;

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

/// A state change failed, or still runs when the trace ends.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct AtChangeEnd {
    pub(in crate::correlate) from: Option<DeviceState>,
    pub(in crate::correlate) to: Option<DeviceState>,
    /// What the state machine says of it.
    pub(in crate::correlate) route: Route,
    /// `None`: it has not returned.
    pub(in crate::correlate) errno: Option<Errno>,
    pub(in crate::correlate) duration_ns: u64,
    pub(in crate::correlate) tid: u32,
    /// It lasted long enough to say that it hangs.
    pub(in crate::correlate) stuck: bool,
    /// Whether the device has a remap IRQ, and whether it is enabled.
    pub(in crate::correlate) enabled: Option<bool>,
    /// The driver is a vendor's, which may have a remap IRQ, and nobody has asked for one with
    /// room for the answer. `None` where the driver is not known, or records were lost.
    pub(in crate::correlate) never_asked: Option<bool>,
    pub(in crate::correlate) awaited: Vec<Awaited>,
}

impl AtChangeEnd {
    fn timed_out(&self) -> bool {
        self.errno == Some(Errno::ETIMEDOUT)
    }

    /// It ended without an answer of its own: never, or because somebody ended it.
    fn hung(&self) -> bool {
        self.stuck && matches!(self.errno, None | Some(Errno::EINTR | Errno::ERESTARTSYS))
    }

    fn what(&self) -> String {
        let to = match self.to {
            Some(state) => format!("the change to {state}"),
            None => "the state change".to_owned(),
        };
        match self.errno {
            Some(errno) => format!("{to} failed with {} after {}", errno, Ns(self.duration_ns)),
            None => format!("{to} has not returned for {}", Ns(self.duration_ns)),
        }
    }
}

/// The region, if all of `awaited` name the same.
fn only_region<'a>(awaited: impl IntoIterator<Item = &'a Awaited>) -> Option<u32> {
    let mut regions = awaited.into_iter().map(|awaited| awaited.region);
    let first = regions.next()?;
    regions.all(|region| region == first).then_some(first)
}

fn list<'a>(awaited: impl IntoIterator<Item = &'a Awaited>) -> String {
    let mut regions: Vec<u32> = awaited.into_iter().map(|awaited| awaited.region).collect();
    regions.sort_unstable();
    regions.dedup();
    let names: Vec<String> = regions.iter().map(u32::to_string).collect();
    let noun = if names.len() == 1 {
        "region"
    } else {
        "regions"
    };
    format!("{noun} {}", names.join(", "))
}

pub(in crate::correlate) const AT_CHANGE_END: &Table<AtChangeEnd> = &[
    (Rule::NotEnabled, not_enabled),
    (Rule::Deadlock, deadlock),
    (Rule::MissingAck, missing_ack),
    (Rule::WaitTimeout, wait_timeout),
    (Rule::NeverAsked, never_asked),
    (Rule::ImpossibleChange, refused),
    (Rule::ResumeFailed, resume_failed),
];

fn not_enabled(at: &AtChangeEnd) -> Option<Found> {
    if at.errno != Some(Errno::ENODEV) || at.enabled != Some(false) {
        return None;
    }
    let text = format!("{}, and the remap IRQ is not enabled", at.what());
    found(None, text)
}

pub(in crate::correlate) fn deadlock(at: &AtChangeEnd) -> Option<Found> {
    if !at.timed_out() && !at.hung() {
        return None;
    }
    let unread: Vec<&Awaited> = at.awaited.iter().filter(|awaited| !awaited.woke).collect();
    let stuck = |awaited: &&Awaited| awaited.readers == [at.tid];
    if unread.is_empty() || !unread.iter().all(stuck) {
        return None;
    }
    let text = format!(
        "{}: its thread {} is the only one that reads the eventfd, and could not read the trigger \
         of {}",
        at.what(),
        at.tid,
        list(unread.iter().copied())
    );
    found(only_region(unread.iter().copied()), text)
}

pub(in crate::correlate) fn missing_ack(at: &AtChangeEnd) -> Option<Found> {
    let interrupted = at.errno.is_some() && !at.timed_out();
    if interrupted || (at.errno.is_none() && !at.stuck) {
        return None;
    }
    let unacked: Vec<&Awaited> = at.awaited.iter().filter(|awaited| !awaited.acked).collect();
    let first = unacked.first()?;
    let woke = if unacked.iter().all(|awaited| awaited.woke) {
        "was read and never acknowledged"
    } else {
        "was neither read nor acknowledged"
    };
    let form = match first.encoding {
        Encoding::Bitmap => "a write to the eventfd",
        Encoding::Vectors => "an unmask",
    };
    let text = format!(
        "{}: the trigger of {} {woke} ({form} is due)",
        at.what(),
        list(unacked.iter().copied()),
    );
    found(only_region(unacked.iter().copied()), text)
}

fn wait_timeout(at: &AtChangeEnd) -> Option<Found> {
    if !at.timed_out() || (at.awaited.is_empty() && at.enabled != Some(true)) {
        return None;
    }
    let text = if at.awaited.is_empty() {
        format!("{}, and there was no trigger inside", at.what())
    } else {
        format!(
            "{}, although the trigger of {} was acknowledged in time",
            at.what(),
            list(&at.awaited)
        )
    };
    found(only_region(&at.awaited), text)
}

fn never_asked(at: &AtChangeEnd) -> Option<Found> {
    if at.errno != Some(Errno::ENODEV) || at.never_asked != Some(true) {
        return None;
    }
    let text = format!(
        "{}, and nobody has asked the driver for an IRQ beyond those of vfio-pci in this trace: \
         whether it has a remap IRQ, and waits for it to be enabled, is not known",
        at.what()
    );
    found(None, text)
}

/// Why a change cannot be, if it cannot.
fn no_way(route: &Route) -> Option<String> {
    match route {
        Route::Blocked => Some("the state machine has no way there".to_owned()),
        Route::Unsupported(state) => Some(format!(
            "the device's migration flags do not include {state}"
        )),
        Route::Through(_) | Route::Unknown => None,
    }
}

fn refused(at: &AtChangeEnd) -> Option<Found> {
    let why = no_way(&at.route).filter(|_| at.errno == Some(Errno::EINVAL))?;
    let from = at.from?;
    found(None, format!("{} in {from}: {why}", at.what()))
}

fn resume_failed(at: &AtChangeEnd) -> Option<Found> {
    let ended = matches!(at.errno, None | Some(Errno::EINTR | Errno::ERESTARTSYS));
    if at.from != Some(DeviceState::Resuming) || ended {
        return None;
    }
    let text = format!(
        "{}: the device did not take the state that was loaded",
        at.what()
    );
    found(None, text)
}

/// A change that succeeded although it cannot be.
pub(in crate::correlate) fn impossible(
    from: Option<DeviceState>,
    to: Option<DeviceState>,
    route: &Route,
) -> Option<(Rule, Found)> {
    let (from, to, why) = (from?, to?, no_way(route)?);
    let text = format!("the change from {from} to {to} succeeded, and {why}");
    Some((Rule::ImpossibleChange, found(None, text)?))
}

/// Whether `errno` is a time-out of the driver's wait.
pub(in crate::correlate) fn is_timeout(errno: Errno) -> bool {
    errno == Errno::ETIMEDOUT
}
