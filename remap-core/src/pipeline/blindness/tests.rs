//! What is made of a time in which hooks did not fire.

use crate::account::Account;
use crate::correlate::Options;
use crate::correlate::tests::Scene;
use crate::model::{Blind, BlindCause, BlindHooks};
use crate::parse::irq::Encoding;
use crate::pipeline::{Filter, Pipeline, VmNames};
use crate::sink::json::Json;

fn empty(out: &mut Vec<u8>) -> Pipeline<Json<&mut Vec<u8>>> {
    let names: VmNames = Box::new(|_| None);
    let filter = Filter::default();
    Pipeline::new(Options::default(), filter, names, false, Json::new(out))
}

/// A cycle whose requery was not seen because hooks did not fire: no finding, and it is incomplete.
#[test]
fn nothing_is_concluded_from_a_time_without_hooks() {
    let run = |blind: bool| {
        let mut scene = Scene::new(Encoding::Bitmap);
        scene.map_all(&[1]);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        let since_ns = scene.now;
        scene.wait(1000);
        // The requery is missing.
        scene.ack(&[1]);
        scene.wait(500_000_000);
        let until_ns = scene.now;
        let mut out = Vec::new();
        let mut pipeline = empty(&mut out);
        let early = scene
            .events
            .iter()
            .filter(|event| event.time_ns <= since_ns);
        early.for_each(|event| pipeline.observed(event.clone()));
        pipeline.advance(since_ns).unwrap();
        let span = |until_ns| Blind {
            since_ns,
            until_ns,
            hooks: BlindHooks::Kprobe,
            cause: BlindCause::KprobesDisarmed,
        };
        if blind {
            pipeline.blind(span(None)).unwrap();
        }
        let late = scene.events.iter().filter(|event| event.time_ns > since_ns);
        late.for_each(|event| pipeline.observed(event.clone()));
        pipeline.advance(until_ns).unwrap();
        if blind {
            pipeline.blind(span(Some(until_ns))).unwrap();
        }
        let summary = pipeline.finish(until_ns, &Account::default()).unwrap();
        assert_eq!(summary.blind.len(), usize::from(blind));
        assert_eq!(
            summary.blind_ns(),
            if blind { until_ns - since_ns } else { 0 }
        );
        (
            summary.stats.findings().len(),
            String::from_utf8(out).unwrap(),
        )
    };
    let (findings, _) = run(false);
    assert_eq!(findings, 1, "the same without the switch is a finding");
    let (findings, lines) = run(true);
    assert_eq!(findings, 0, "{lines}");
    assert!(lines.contains("records_lost"), "{lines}");
    assert_eq!(lines.matches(r#"{"type":"blind""#).count(), 2, "{lines}");
}

/// It lasts until the trace ends.
#[test]
fn a_blind_end_is_in_the_summary() {
    let mut out = Vec::new();
    let mut pipeline = empty(&mut out);
    let blind = Blind {
        since_ns: 5,
        until_ns: None,
        hooks: BlindHooks::All,
        cause: BlindCause::Unknown,
    };
    pipeline.blind(blind.clone()).unwrap();
    let summary = pipeline.finish(25, &Account::default()).unwrap();
    let ended = Blind {
        until_ns: Some(25),
        ..blind
    };
    assert_eq!(summary.blind, [ended]);
    assert_eq!(summary.blind_ns(), 20);
}
