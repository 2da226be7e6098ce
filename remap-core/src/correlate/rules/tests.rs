//! Each rule's conditions, one fact changed at a time.

use super::cycle::{AT_ACK, AT_READ, AtAck, AtRead, Misread};
use super::description::{AT_QUERY, AtQuery};
use super::device_state::{AT_STATE, AtState};
use super::state_change::{AT_CHANGE_END, AtChangeEnd, Awaited, ChangeFacts};
use super::usage::{AtRefusal, access_refused};
use super::verdict::{Table, judge};
use crate::correlate::tests::{region, whole};
use crate::event::{Answer, DeviceState, Errno};
use crate::model::{Cause, CauseKind, Evidence, NoWay, Refused};
use crate::parse::irq::Encoding;

/// The name of the rule that holds, and the region that it names.
type Judged = Option<(&'static str, Option<u32>)>;

fn judged<Facts>(table: &Table<Facts>, facts: &Facts) -> Judged {
    judge(table, facts).map(|verdict| (verdict.rule().name(), verdict.region))
}

fn awaited(region: u32, readers: &[u32]) -> Awaited {
    Awaited {
        region,
        encoding: Encoding::Bitmap,
        woke: false,
        acked: false,
        readers: readers.to_vec(),
    }
}

/// A change by thread 1 that timed out with an unanswered trigger, which only that thread reads.
fn timed_out() -> AtChangeEnd {
    AtChangeEnd {
        change: ChangeFacts {
            from: Some(DeviceState::Running),
            to: Some(DeviceState::PreCopy),
            no_way: None,
            errno: Some(Errno::ETIMEDOUT),
            duration_ns: 7,
            tid: 1,
            stuck: false,
        },
        enabled: Some(true),
        never_asked: Some(false),
        awaited: vec![awaited(3, &[1])],
    }
}

#[test]
fn a_change_that_failed() {
    type Change = fn(&mut AtChangeEnd);
    let cases: &[(Change, Judged)] = &[
        (|_| {}, Some(("deadlock", Some(3)))),
        (|at| at.change.errno = None, None),
        (
            |at| (at.change.errno, at.change.stuck) = (None, true),
            Some(("deadlock", Some(3))),
        ),
        (|at| at.change.errno = Some(Errno::EINTR), None),
        (
            |at| (at.change.errno, at.change.stuck) = (Some(Errno::EINTR), true),
            Some(("deadlock", Some(3))),
        ),
        (
            |at| (at.change.errno, at.change.stuck) = (Some(Errno::ERESTARTSYS), true),
            Some(("deadlock", Some(3))),
        ),
        (
            |at| (at.change.errno, at.change.stuck) = (Some(Errno::EIO), true),
            None,
        ),
        (
            |at| at.awaited[0].readers = vec![1, 2],
            Some(("missing-ack", Some(3))),
        ),
        (
            |at| at.awaited[0].woke = true,
            Some(("missing-ack", Some(3))),
        ),
        (
            |at| at.awaited.push(awaited(2, &[2])),
            Some(("missing-ack", None)),
        ),
        (
            |at| at.awaited.push(awaited(3, &[1])),
            Some(("deadlock", Some(3))),
        ),
        (
            |at| {
                at.awaited[0].readers.clear();
                (at.change.errno, at.change.stuck) = (None, true);
            },
            Some(("missing-ack", Some(3))),
        ),
        (
            |at| {
                at.awaited[0].readers.clear();
                (at.change.errno, at.change.stuck) = (Some(Errno::EINTR), true);
            },
            None,
        ),
        (
            |at| (at.awaited[0].woke, at.awaited[0].acked) = (true, true),
            Some(("wait-timeout", Some(3))),
        ),
        (|at| at.awaited.clear(), Some(("wait-timeout", None))),
        (
            |at| {
                at.awaited.clear();
                at.enabled = None;
            },
            None,
        ),
        (
            |at| (at.change.errno, at.enabled) = (Some(Errno::ENODEV), Some(false)),
            Some(("not-enabled", None)),
        ),
        (|at| at.enabled = Some(false), Some(("deadlock", Some(3)))),
        (|at| at.change.errno = Some(Errno::ENODEV), None),
        (
            |at| (at.change.errno, at.never_asked) = (Some(Errno::ENODEV), Some(true)),
            Some(("never-asked", None)),
        ),
        (|at| at.change.errno = Some(Errno::EINVAL), None),
        (
            |at| (at.change.errno, at.change.no_way) = (Some(Errno::EINVAL), Some(NoWay::Blocked)),
            Some(("impossible-change", None)),
        ),
        (
            |at| (at.change.errno, at.change.no_way) = (Some(Errno::EIO), Some(NoWay::Blocked)),
            None,
        ),
        (
            |at| {
                (at.change.errno, at.change.from) = (Some(Errno::EIO), Some(DeviceState::Resuming));
            },
            Some(("resume-failed", None)),
        ),
        (
            |at| {
                (at.change.errno, at.change.from) =
                    (Some(Errno::EINTR), Some(DeviceState::Resuming));
            },
            None,
        ),
    ];
    for (n, (change, expected)) in cases.iter().enumerate() {
        let mut facts = timed_out();
        change(&mut facts);
        assert_eq!(judged(AT_CHANGE_END, &facts), *expected, "case {n}");
    }
}

#[test]
fn regions_of_a_verdict_are_sorted_and_named_once() {
    let mut facts = timed_out();
    facts.awaited = [3, 2, 3].map(|region| awaited(region, &[1])).to_vec();
    let evidence = judge(AT_CHANGE_END, &facts).map(|verdict| verdict.evidence);
    assert!(
        matches!(&evidence, Some(Evidence::Deadlock { regions, tid: 1, .. }) if *regions == [2, 3]),
        "{evidence:?}"
    );
}

#[test]
fn a_value_that_the_signals_do_not_add_up_to() {
    // Value, what it should be, whether user space wrote itself; the region.
    let cases = [
        (0b1000, 0b100, false, Some(12)),
        (0b1000, 0, false, Some(13)),
        (0b1100, 0b100, true, Some(13)),
        (0b100, 0b100, true, None),
    ];
    for (value, or, own, region) in cases {
        let ids = vec![1, 2];
        let misread = Misread { value, or, ids };
        let rule = if own {
            "self-trigger"
        } else {
            "aliased-trigger"
        };
        let facts = AtRead {
            misread,
            own,
            base: 10,
        };
        assert_eq!(judged(AT_READ, &facts), Some((rule, region)));
    }
}

#[test]
fn an_ack_and_what_came_before_it() {
    // Signalled again, held back, requery; the evidence. Trigger at 10, ack at 100.
    let early = Some(Evidence::TriggerBeforeAck {
        after_trigger_ns: 30,
        before_ack_ns: 60,
    });
    let at_once = Some(Evidence::TriggerBeforeAck {
        after_trigger_ns: 90,
        before_ack_ns: 0,
    });
    let unasked = Some(Evidence::AckBeforeRequery {
        after_trigger_ns: 90,
    });
    let cases = [
        (Some(40), true, Some(50), early),
        (Some(100), true, Some(50), at_once),
        (Some(101), true, Some(50), None),
        (Some(40), false, Some(50), None),
        (None, true, Some(100), None),
        (None, true, Some(101), unasked.clone()),
        (None, true, None, unasked),
    ];
    for (again_ns, holds_back, requery_ns, expected) in cases {
        let mut facts = AtAck {
            region: 4,
            ack_ns: 100,
            trigger_ns: 10,
            again_ns,
            holds_back,
            requery_ns,
            forbidden: Vec::new(),
        };
        let verdict = judge(AT_ACK, &facts);
        assert_eq!(verdict.map(|verdict| verdict.evidence), expected);
        facts.forbidden = whole();
        let rule = expected.map_or("ack-with-mapping", |evidence| evidence.rule().name());
        assert_eq!(judged(AT_ACK, &facts), Some((rule, Some(4))));
    }
}

#[test]
fn a_description_that_is_wrong() {
    let stale = |stale_sparse| {
        let description = region(4, &whole());
        Ok(Answer::Region(crate::parse::region::Region {
            stale_sparse,
            ..description
        }))
    };
    let size = region(4, &[]).size;
    // The answer, the first size, whether it was stale before, whether a cycle waits; the rule.
    let cases = [
        (stale(false), Some(size), false, true, None),
        (
            stale(false),
            Some(size + 1),
            false,
            true,
            Some("size-changed"),
        ),
        (stale(false), None, false, true, None),
        (stale(true), None, false, true, Some("stale-sparse")),
        (stale(true), None, true, true, None),
        (Err(Errno::EINVAL), None, false, true, Some("outside-mask")),
        (Err(Errno::EINVAL), None, false, false, None),
        (
            Ok(Answer::Malformed {
                reason: "short".into(),
                digest: 0,
            }),
            None,
            false,
            false,
            Some("malformed-region-info"),
        ),
    ];
    for (result, size, was_stale, awaited, rule) in cases {
        let facts = AtQuery {
            region: 4,
            result,
            size,
            was_stale,
            awaited,
            confirmed: false,
        };
        assert_eq!(judged(AT_QUERY, &facts), rule.map(|rule| (rule, Some(4))));
    }
}

#[test]
fn a_state_that_is_wrong() {
    use DeviceState::{Error, Running, Stop};
    // The state, what was expected, whether it was reported before; the rule.
    let cases = [
        (Running, None, false, None),
        (Running, Some(Running), false, None),
        (Running, Some(Stop), false, Some("unexpected-state")),
        (Error, Some(Running), false, Some("error-state")),
        (Error, None, true, None),
        (Error, Some(Error), true, None),
    ];
    for (state, expected, known, rule) in cases {
        let facts = AtState {
            state,
            expected,
            known,
        };
        assert_eq!(judged(AT_STATE, &facts), rule.map(|rule| (rule, None)));
    }
}

#[test]
fn why_an_access_was_refused() {
    let cause = Cause::from(CauseKind::Unknown);
    let zapped = Refused::Zapped { cause, since_ns: 5 };
    let cases = [
        (Some((cause, 5)), true, zapped),
        (None, true, Refused::Trapped),
        (None, false, Refused::Unexplained),
    ];
    for (zap, trapped, why) in cases {
        let facts = AtRefusal {
            region: 4,
            offset: 9,
            zap,
            trapped,
        };
        let expected = Evidence::AccessRefused { offset: 9, why };
        assert_eq!(access_refused(&facts).evidence, expected);
    }
}
