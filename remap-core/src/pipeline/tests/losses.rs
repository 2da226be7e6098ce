//! Losses: where they are put, and what they spoil.

use super::*;
use crate::event::LostKind;
use crate::model::Outcome;
use crate::sink::line::Line;

#[test]
fn a_loss_is_put_before_what_waits() {
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    pipeline.advance(10 * SLACK_NS).unwrap();
    // One that cannot be decoded, one that comes too late.
    pipeline.record(&[0; 3]);
    let mut late = event(5, device(1));
    late.time_ns = 20 * SLACK_NS;
    pipeline.observed(late.clone());
    pipeline.advance(30 * SLACK_NS).unwrap();
    late.time_ns = 1;
    pipeline.observed(late);
    pipeline.advance(60 * SLACK_NS).unwrap();
    drop(pipeline);
    let counts: Vec<u64> = losses(out).iter().map(|lost| lost.count).collect();
    assert_eq!(counts, [1, 1]);
}

/// The losses among the events that were written.
fn losses(out: Vec<u8>) -> Vec<Lost> {
    let lines = String::from_utf8(out).unwrap();
    let bodies = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lost = bodies.filter_map(|body| match body {
        Body::Lost(lost) => Some(lost),
        _ => None,
    });
    lost.collect()
}

pub(super) fn loss(device: Option<u64>, (from_ns, until_ns): (u64, u64)) -> Loss {
    Loss {
        count: 1,
        records: LostKind::Other,
        device,
        from_ns,
        until_ns,
    }
}

/// The outcomes of the cycles of two migrations, if records are lost since the first begins.
fn outcomes(lost: impl Fn(u64) -> Vec<Loss>) -> Vec<Outcome> {
    let mut scene = Played::new(Encoding::Bitmap);
    scene.map_all(&[1]);
    let begin_ns = scene.now;
    scene.migration(&[1]);
    scene.migration(&[1]);
    let mut out = Vec::new();
    let (options, filter) = (Options::default(), Filter::default());
    let names: VmNames = Box::new(|_| None);
    let mut pipeline = Pipeline::new(options, filter, names, false, Json::new(&mut out));
    pipeline.losses(lost(begin_ns));
    let end_ns = scene.now;
    for event in scene.events {
        pipeline.observed(event);
    }
    pipeline.finish(end_ns, &Account::default()).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let cycles = lines.filter_map(|line| match line {
        Line::Cycle { cycle, .. } => Some(cycle.outcome),
        _ => None,
    });
    cycles.collect()
}

#[test]
fn a_loss_spoils_the_cycles_of_its_time_and_device_only() {
    let own = |device| outcomes(|ns| vec![loss(device, (ns, ns + 2000))]);
    assert_eq!(outcomes(|_| Vec::new()), [Outcome::Remapped; 4]);
    assert_eq!(own(Some(99)), [Outcome::Remapped; 4]);
    for spoiled in [own(None), own(Some(tests::DEVICE.0))] {
        assert_eq!(spoiled[0], Outcome::Incomplete);
        assert_eq!(spoiled[1..], [Outcome::Remapped; 3]);
    }
    let all = outcomes(|ns| vec![loss(None, (ns, u64::MAX))]);
    assert_eq!(all, [Outcome::Incomplete; 4]);
}

#[test]
fn a_lost_signal_or_read_of_an_interrupt_is_no_stage_of_a_cycle() {
    for records in [
        LostKind::Signal,
        LostKind::Interrupt,
        LostKind::Consumed,
        LostKind::Fault,
        LostKind::Data,
    ] {
        let lost = Loss {
            records,
            ..loss(None, (0, u64::MAX))
        };
        let outcomes = outcomes(|_| vec![lost]);
        assert_eq!(outcomes, [Outcome::Remapped; 4], "{records:?}");
    }
}
