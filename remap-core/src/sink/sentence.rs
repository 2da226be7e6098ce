//! What was seen, as a sentence for people: findings, reasons, closes, what is inferred.

use crate::event::{DeviceState, Origin};
use crate::model::rule::every_rule;
use crate::model::{
    Blind, Cause, CauseKind, Closed, Cycle, DmaLoss, Evidence, FailedChange, Inferred, NoWay, Ns,
    Outside, Reason, Refused, Stage,
};
use crate::parse::irq::Encoding;

/// Whose memory was read: what a single answer shows may have been written by another thread.
const HELD: &str = "the caller's memory held";

/// How many vectors are named.
const NAMED_VECTORS: usize = 8;

macro_rules! sentences {
    ($(
        $(#[$doc:meta])*
        rule $rule:ident {
            advice: $advice:literal,
            $(needs: [$($needed:ident),*],)?
            $(unreliable_without: [$($wanted:ident),*],)?
            $(
                $(case: $case:literal,)?
                evidence: $evidence:ident $({
                    $($(#[$about:meta])* $field:ident: $type:ty,)*
                })?,
                sentence: $sentence:expr,
            )+
        }
    )*) => {
        /// What was seen, for a finding: the sentence of its row in the table of rules.
        pub(crate) fn finding(evidence: &Evidence) -> String {
            match evidence {
                $($(Evidence::$evidence $({ $($field),* })? => $sentence,)+)*
            }
        }
    };
}
every_rule!(sentences);

fn first_vectors(vectors: &[u32]) -> String {
    let named = vectors.iter().take(NAMED_VECTORS);
    let mut names: Vec<String> = named.map(u32::to_string).collect();
    if vectors.len() > NAMED_VECTORS {
        names.push(format!("{} more", vectors.len() - NAMED_VECTORS));
    }
    names.join(", ")
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

/// Which hooks do not fire, and why.
pub(crate) fn blind(blind: &Blind) -> String {
    let (hooks, cause) = (blind.hooks.words(), blind.cause.words());
    match blind.duration() {
        None => format!("{hooks} do not fire: {cause}; what happens now is not traced"),
        Some(ns) => format!(
            "{hooks} did not fire for up to {}: {cause}; what happened then is not known",
            Ns(ns)
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Task;

    fn task() -> Task {
        Task {
            pid: 7,
            tid: 8,
            comm: "vmm".to_owned(),
        }
    }

    #[test]
    fn only_the_first_vectors_are_named() {
        let vectors: Vec<u32> = (0..=NAMED_VECTORS as u32).collect();
        let (_, all) = vectors.split_last().unwrap();
        assert!(!first_vectors(all).contains("more"));
        assert!(first_vectors(&vectors).ends_with(", 1 more"));
    }

    #[test]
    fn what_a_close_loses_depends_on_the_state() {
        let end = |state| {
            closed(&Closed {
                device: "0000:01:00.0".to_owned(),
                time_ns: 1,
                dying: None,
                state,
                inside: None,
                unanswered: vec![1, 2],
                task: task(),
            })
        };
        let lost = "closed by vmm 7 in ERROR, with the trigger of region 1 unanswered and 1 more: the next open \
                    resets it";
        assert_eq!(end(Some(DeviceState::Error)), lost);
        assert!(end(Some(DeviceState::Resuming)).ends_with(": the loaded data is lost"));
        assert!(end(None).ends_with("and 1 more"));
    }

    #[test]
    fn an_inferred_eventfd_is_named_with_its_sign() {
        let from = |origin| {
            inferred(&Inferred {
                device: "0000:01:00.0".to_owned(),
                time_ns: 1,
                origin,
                region: None,
                task: task(),
            })
        };
        assert!(from(Origin::ReadBeforeRequery).contains("its reader then queried"));
        assert!(from(Origin::SignalledInside).contains("a thread signalled it"));
    }
}
