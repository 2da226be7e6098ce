//! What was seen, as a sentence for people: findings, reasons, closes, what is inferred.

use crate::event::{DeviceState, Origin};
use crate::model::{
    Cause, CauseKind, Closed, Cycle, DmaLoss, Evidence, FailedChange, Inferred, NoWay, Ns, Outside,
    Reason, Refused, Stage,
};
use crate::parse::irq::Encoding;

/// How many vectors are named.
const NAMED_VECTORS: usize = 8;

/// What was seen, for a finding.
pub(crate) fn finding(evidence: &Evidence) -> String {
    match evidence {
        Evidence::MissingAck { .. }
        | Evidence::NotEnabled { .. }
        | Evidence::Deadlock { .. }
        | Evidence::WaitTimeout { .. }
        | Evidence::NeverAsked { .. }
        | Evidence::RefusedChange { .. }
        | Evidence::ImpossibleChange { .. }
        | Evidence::ResumeFailed { .. } => change(evidence),
        Evidence::ErrorState { .. }
        | Evidence::UnexpectedState { .. }
        | Evidence::StateUnknown { .. }
        | Evidence::DataLeft { .. } => state(evidence),
        Evidence::SizeChanged { .. }
        | Evidence::StaleSparse
        | Evidence::MalformedRegionInfo { .. }
        | Evidence::MalformedIrqInfo { .. } => description(evidence),
        Evidence::NeverRead { .. }
        | Evidence::RequestIgnored { .. }
        | Evidence::AccessRefused { .. }
        | Evidence::DmaMapped { .. }
        | Evidence::NeverReturned { .. } => usage(evidence),
        _ => cycle(evidence),
    }
}

/// A trigger and its answer.
fn cycle(evidence: &Evidence) -> String {
    match evidence {
        Evidence::AliasedTrigger { value, or, signals } => format!(
            "a read got {value:#x}, but the OR of the {signals} signals since the last read is {or:#x}: \
             the counter is a sum"
        ),
        Evidence::SelfTrigger { value, or } => format!(
            "a read got {value:#x}, but the driver signalled {or:#x}: user space wrote the rest to the \
             eventfd itself"
        ),
        Evidence::TriggerBeforeAck {
            after_trigger_ns,
            before_ack_ns,
        } => format!(
            "the driver signalled the region again {} after the first signal and {} before the ack",
            Ns(*after_trigger_ns),
            Ns(*before_ack_ns)
        ),
        Evidence::OutsideMask {
            region,
            outside: Outside::Mask { bit, mask, base },
        } => format!(
            "the driver named region {region} (bit {bit}), but its mask {mask:#x} from region \
             {base} does not contain it"
        ),
        Evidence::OutsideMask {
            region,
            outside: Outside::Refused(errno),
        } => format!(
            "the driver named region {region}, but GET_REGION_INFO fails with {errno}: there is no \
             such region"
        ),
        Evidence::AckBeforeRequery { after_trigger_ns } => format!(
            "the ack came {} after the trigger, without a GET_REGION_INFO before it",
            Ns(*after_trigger_ns)
        ),
        Evidence::AckWithMapping { bytes, offset } => format!(
            "at the ack {bytes:#x} bytes from {offset:#x} on were still mapped, but the region no \
             longer allows it"
        ),
        Evidence::ForgottenTrigger {
            since_ns,
            read,
            encoding,
        } => {
            let what = match (encoding, read) {
                (Encoding::Bitmap, true) => "was read, and no write to the eventfd followed",
                (Encoding::Vectors, true) => "was read, and no unmask followed",
                (_, false) => "was neither read nor acknowledged",
            };
            format!(
                "the trigger {} before the trace's end {what}",
                Ns(*since_ns)
            )
        }
        _ => "the driver named the region, but its flags and areas have not changed".to_owned(),
    }
}

/// A region's or an IRQ's description.
fn description(evidence: &Evidence) -> String {
    match evidence {
        Evidence::SizeChanged { before, after } => {
            format!("the region's size changed from {before:#x} to {after:#x} bytes")
        }
        Evidence::MalformedRegionInfo { reason } => reason.clone(),
        Evidence::MalformedIrqInfo { index, reason } => format!("IRQ index {index}: {reason}"),
        _ => "the region has no mmap flag, but still a sparse mmap capability".to_owned(),
    }
}

/// A state change that failed, or that cannot be.
fn change(evidence: &Evidence) -> String {
    match evidence {
        Evidence::NotEnabled { change } => {
            format!("{}, and the remap IRQ is not enabled", failed(change))
        }
        Evidence::Deadlock {
            change,
            tid,
            regions,
        } => format!(
            "{}: its thread {tid} is the only reader of the eventfd, so it could not read the \
             trigger of {}",
            failed(change),
            list(regions)
        ),
        Evidence::MissingAck {
            change,
            regions,
            read,
            encoding,
        } => format!(
            "{}: the trigger of {} {} ({} is due)",
            failed(change),
            list(regions),
            match read {
                true => "was read and never acknowledged",
                false => "was neither read nor acknowledged",
            },
            match encoding {
                Encoding::Bitmap => "a write to the eventfd",
                Encoding::Vectors => "an unmask",
            },
        ),
        Evidence::WaitTimeout { change, regions } if regions.is_empty() => {
            format!("{}, and no trigger was signalled during it", failed(change))
        }
        Evidence::WaitTimeout { change, regions } => format!(
            "{}, although the trigger of {} was acknowledged in time",
            failed(change),
            list(regions)
        ),
        Evidence::NeverAsked { change } => format!(
            "{}, and user space has not looked for a remap IRQ in this trace: the driver may have one \
             that must be enabled first",
            failed(change)
        ),
        Evidence::RefusedChange {
            change,
            from,
            no_way,
        } => format!("{} in {from}: {}", failed(change), why(*no_way)),
        Evidence::ImpossibleChange { from, to, no_way } => format!(
            "the change from {from} to {to} succeeded, although {}",
            why(*no_way)
        ),
        Evidence::ResumeFailed { change } => format!(
            "{}: the device did not accept the loaded state",
            failed(change)
        ),
        _ => String::new(),
    }
}

/// A migration state that is not what it should be, and data that was left.
fn state(evidence: &Evidence) -> String {
    match evidence {
        Evidence::ErrorState { after } => {
            let after = after.map_or(String::new(), |state| format!(" after {state}"));
            format!("the device is in ERROR{after}: only a reset ends that state")
        }
        Evidence::UnexpectedState { state, expected } => format!(
            "the device reports {state}, but {expected} was the last state that was set, and no reset \
             was observed since"
        ),
        Evidence::StateUnknown {
            to,
            errno,
            since_ns,
        } => format!(
            "{} failed with {errno} {} before the trace's end, and user space has not queried the \
             state, changed it or reset the device since",
            to_state(*to),
            Ns(*since_ns)
        ),
        Evidence::DataLeft { read_bytes } => format!(
            "the device went from STOP_COPY to STOP after {read_bytes} bytes of data had been read, \
             without a read that returned 0, the end of the data"
        ),
        _ => String::new(),
    }
}

/// Interrupts that are not read, accesses that are refused, mappings for DMA, calls that last.
fn usage(evidence: &Evidence) -> String {
    match evidence {
        Evidence::NeverRead {
            irq,
            vectors,
            since_ns,
        } => {
            let named = vectors.iter().take(NAMED_VECTORS);
            let mut names: Vec<String> = named.map(u32::to_string).collect();
            if vectors.len() > NAMED_VECTORS {
                names.push(format!("{} more", vectors.len() - NAMED_VECTORS));
            }
            format!(
                "{} {}: signalled {} before the trace's end, and neither user space nor the kernel \
                 has read it since",
                irq.name(),
                names.join(", "),
                Ns(*since_ns)
            )
        }
        Evidence::RequestIgnored { since_ns } => format!(
            "the kernel asked for the device back {} before the trace's end (REQ), but the device was \
             not closed",
            Ns(*since_ns)
        ),
        Evidence::AccessRefused { offset, why } => {
            format!("an access at {offset:#x} got SIGBUS {}", refused(*why))
        }
        Evidence::DmaMapped {
            bytes,
            offset,
            loss,
        } => {
            let how = match loss {
                DmaLoss::Unmapped => "were unmapped",
                DmaLoss::Trapped => "are trapped",
            };
            format!("{bytes:#x} bytes from {offset:#x} on {how}, but they are still mapped for DMA")
        }
        Evidence::NeverReturned { call, since_ns } => {
            let waits = call.whereabouts().map_or_else(String::new, |place| {
                format!("; it waited in {place} when remap found it")
            });
            format!(
                "{} by {} {} was in flight when the trace began, and has not returned in the {} \
                 since{waits}",
                call.what(),
                call.task.comm,
                call.task.tid,
                Ns(*since_ns)
            )
        }
        _ => String::new(),
    }
}

fn refused(why: Refused) -> String {
    match why {
        Refused::Zapped {
            cause:
                Cause {
                    kind: CauseKind::Unknown,
                    ..
                },
            since_ns,
        } => format!("{} after a zap that no traced call caused", Ns(since_ns)),
        Refused::Zapped { cause, since_ns } => {
            format!("{} after a zap by {cause}", Ns(since_ns))
        }
        Refused::Trapped => "where its last description does not allow a mapping".to_owned(),
        Refused::Unexplained => "for a reason that was not observed".to_owned(),
    }
}

fn to_state(to: Option<DeviceState>) -> String {
    match to {
        Some(state) => format!("the change to {state}"),
        None => "the state change".to_owned(),
    }
}

fn failed(change: &FailedChange) -> String {
    let (to, duration) = (to_state(change.to), Ns(change.duration_ns));
    match change.errno {
        Some(errno) => format!("{to} failed with {errno} after {duration}"),
        None => format!("{to} has not returned for {duration}"),
    }
}

fn why(no_way: NoWay) -> String {
    match no_way {
        NoWay::Blocked => "the state machine has no path between them".to_owned(),
        NoWay::Unsupported(state) => {
            format!("the device's migration flags do not include {state}")
        }
    }
}

fn list(regions: &[u32]) -> String {
    let names: Vec<String> = regions.iter().map(u32::to_string).collect();
    let noun = match names.len() {
        1 => "region",
        _ => "regions",
    };
    format!("{noun} {}", names.join(", "))
}

/// Why a cycle is not complete.
pub(crate) fn reason(cycle: &Cycle) -> Option<String> {
    Some(match cycle.reason? {
        Reason::RecordsLost => "records lost".to_owned(),
        Reason::StagesMissing => not_observed(&cycle.missing),
        Reason::NotDescribedBefore => {
            "the region's description before the trigger was not observed".to_owned()
        }
        Reason::TraceEnded => format!("the trace ended: {}", not_observed(&cycle.missing)),
        Reason::ChangeFailed { errno } => format!("the state change failed with {errno}"),
        Reason::DeviceClosed => "the device was closed".to_owned(),
        Reason::ProcessEnded => "the process that used the device ended".to_owned(),
        Reason::IrqDisabled => "the IRQ was disabled".to_owned(),
        Reason::IrqEnabledAnew => "the IRQ was enabled again".to_owned(),
        Reason::EventfdClosed => "the eventfd was closed".to_owned(),
        Reason::SignalledAgain => "the region was signalled repeatedly, and no ack came".to_owned(),
    })
}

fn not_observed(missing: &[Stage]) -> String {
    let names: Vec<&str> = missing.iter().map(|stage| stage.name()).collect();
    match names.split_last() {
        None => "every stage was observed".to_owned(),
        Some((last, [])) => format!("{last} was not observed"),
        Some((last, rest)) => format!("{} and {last} were not observed", rest.join(", ")),
    }
}

/// The state of a device when it was closed.
pub(crate) fn closed(closed: &Closed) -> String {
    let task = &closed.task;
    let mut sentence = match closed.dying {
        Some(true) => format!("{} {} ended", task.comm, task.pid),
        _ => format!("closed by {} {}", task.comm, task.pid),
    };
    if let Some(state) = closed.state {
        sentence += &format!(" in {state}");
    }
    if let Some(change) = closed.inside {
        sentence += &match change.to {
            Some(to) => format!(", during the change to {to}"),
            None => ", during a state change".to_owned(),
        };
    }
    if let Some((first, rest)) = closed.unanswered.split_first() {
        sentence += &format!(", with the trigger of region {first} unanswered");
        if !rest.is_empty() {
            sentence += &format!(" and {} more", rest.len());
        }
    }
    let lost = match closed.state {
        Some(DeviceState::Resuming) => ": the loaded data is lost",
        Some(
            DeviceState::PreCopy
            | DeviceState::PreCopyP2p
            | DeviceState::StopCopy
            | DeviceState::Stop,
        ) => ": the migration ends, and the device's state is lost",
        Some(DeviceState::Error) => ": the next open resets it",
        _ => "",
    };
    sentence + lost
}

/// The event from which something is inferred.
pub(crate) fn inferred(inferred: &Inferred) -> String {
    let seen = match (inferred.origin, inferred.region) {
        (Origin::StateWritten, Some(region)) => {
            return format!(
                "region {region} is assumed to be the legacy migration region: a device_state was written \
                 to its start, and no call in this trace described it"
            );
        }
        (Origin::ReadBeforeRequery, _) => "its reader then queried a region that the value names",
        _ => "a thread signalled it during a call on the device",
    };
    format!(
        "an eventfd is assumed to be a remap IRQ, although no SET_IRQS in this trace named it: {seen}"
    )
}
