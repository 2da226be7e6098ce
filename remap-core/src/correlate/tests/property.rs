//! Properties that hold for every sequence.

use proptest::prelude::*;

use super::step::steps;
use super::*;
use crate::event::{DmaKind, Exit, Fault, FaultOutcome, MigrationData, Signal};

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Bitmap), Just(Encoding::Vectors)]
}

/// How many cycles the signals of a scene must give.
fn named(scene: &Scene) -> usize {
    let mut described = false;
    let mut count = 0;
    for event in &scene.events {
        match &event.body {
            Body::Exit(Exit {
                answer: Answer::Irq(_),
                ..
            }) => described = true,
            Body::Close { .. } => described = false,
            Body::Signal(Signal { addend, target, .. }) if described && target.index == INDEX => {
                count += match scene.encoding {
                    Encoding::Bitmap => addend.count_ones() as usize,
                    Encoding::Vectors => 1,
                };
            }
            _ => {}
        }
    }
    count
}

/// Regions of a healthy scene, round by round, and how threads take turns.
fn rounds() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let regions = prop::sample::subsequence(vec![0_u32, 1, 2, 3], 1..=4).prop_shuffle();
    prop::collection::vec(regions, 1..6)
}

/// What a healthy stock device and a healthy migration do.
fn healthy_mainline(rounds: usize) -> Scene {
    let mut scene = Scene::stock("a-vendor");
    scene.enable_on(2, &[20, 21], Ok(0));
    scene.map_all(&[0, 1]);
    scene.flags(0b111);
    scene.get_state(DeviceState::Running);
    for round in 0..rounds {
        scene.signal_on(2, 0, 20);
        scene.read_on(2, 0, 20, 1);
        scene.dma(DmaKind::Map, 0, 0);
        scene.zap((0, 5), mainline::MEMORY_OFF);
        scene.populate(0, round as u64 % 4);
        scene.dma(DmaKind::Unmap, 0, 0);
        scene.change(DeviceState::PreCopy, Ok(0));
        scene.data(500, false, Ok(100));
        scene.change(DeviceState::StopCopy, Ok(0));
        scene.data(500, false, Ok(100));
        scene.data(500, false, Ok(0));
        scene.change(DeviceState::Stop, Ok(0));
        scene.change(DeviceState::Running, Ok(0));
    }
    scene.unmap(0, whole()[0]);
    scene.close(rounds % 2 == 1);
    scene.wait(2_000_000_000);
    scene
}

/// Some records are lost, and the report of the loss may come after later records.
fn lose(scene: &mut Scene, losses: Vec<(prop::sample::Index, usize, usize)>) {
    for (at, count, late) in losses {
        let at = at.index(scene.events.len());
        let end = (at + count).min(scene.events.len());
        let reported = (end + late).min(scene.events.len());
        let last = scene.events[reported - 1].clone();
        let body = Body::Lost(Lost::any(1));
        scene.events.insert(reported, Event { body, ..last });
        scene.events.drain(at..end);
    }
}

fn losses() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, usize)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9, 0_usize..9), 1..4)
}

/// Cycles as they should be: the user does each region's work in the order of `regions`.
fn healthy(encoding: Encoding, rounds: &[Vec<u32>]) -> Scene {
    let mut scene = Scene::new(encoding);
    scene.map_all(&[0, 1, 2, 3]);
    for regions in rounds {
        scene.migration(regions);
    }
    scene
}

proptest! {
    #[test]
    fn no_sequence_panics_and_each_bit_is_one_cycle(encoding in encodings(), steps in steps()) {
        let scene = Scene::of_steps(encoding, steps);
        let played = scene.play();
        let mut cycles = played.cycles();
        cycles.retain(|cycle| cycle.inferred.is_none());
        prop_assert_eq!(cycles.len(), named(&scene));
        for cycle in played.cycles() {
            prop_assert!(cycle.complete() || cycle.reason.is_some());
            if cycle.complete() {
                prop_assert!(cycle.missing.is_empty());
            }
        }
    }

    /// Every event is counted once, and the sums match the events.
    #[test]
    fn sums_hold(encoding in encodings(), steps in steps()) {
        let scene = Scene::of_steps(encoding, steps);
        let count = |wanted: fn(&Body) -> u64| -> u64 {
            scene.events.iter().map(|event| wanted(&event.body)).sum()
        };
        let stats = scene.stats();
        let devices = || stats.devices.values();
        let signals = devices().flat_map(|device| device.irqs.values()).map(IrqStats::signals);
        prop_assert_eq!(signals.sum::<u64>(), count(|body| {
            u64::from(matches!(body, Body::Signal(_)))
        }));
        let bytes = devices().map(|device| device.migration.activity().data.bytes());
        prop_assert_eq!(bytes.sum::<u64>(), count(|body| match body {
            Body::Data(MigrationData { result: Ok(moved), .. }) => moved.cast_unsigned(),
            _ => 0,
        }));
        let regions = devices().flat_map(|device| device.regions.values());
        let faults = count(|body| u64::from(matches!(body, Body::Fault(_))));
        prop_assert_eq!(regions.map(|region| region.mapping.faults()).sum::<u64>(), faults);
        let inside = devices().map(|device| device.migration.activity().faults);
        let again = count(|body| {
            u64::from(matches!(body, Body::Fault(Fault { outcome: FaultOutcome::Fallback, .. })))
        });
        prop_assert!(inside.sum::<u64>() >= faults - again);
        let played = scene.play();
        let steps: u64 = played.zaps().iter().map(|zap| zap.steps).sum();
        prop_assert_eq!(steps, count(|body| u64::from(matches!(body, Body::Zap(_)))));
        for irq in devices().flat_map(|device| device.irqs.values()) {
            for vector in irq.vectors.values() {
                prop_assert!(vector.coalesced + vector.unread <= vector.signals);
                prop_assert!(vector.software <= vector.signals);
            }
        }
        for change in played.transitions() {
            if let Some(spent) = change.spent {
                prop_assert_eq!(Some(spent.total()), change.duration());
            }
        }
        for interval in played.intervals() {
            prop_assert!(interval.activity.data.busy_ns <= interval.duration());
            prop_assert!(interval.activity.fault_ns <= interval.duration());
        }
    }

    #[test]
    fn healthy_rounds_are_complete(encoding in encodings(), rounds in rounds()) {
        let played = healthy(encoding, &rounds).play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        let count: usize = rounds.iter().map(|regions| 2 * regions.len()).sum();
        prop_assert_eq!(played.outcomes(), vec![Outcome::Remapped; count]);
    }

    /// Vectors are independent: their users' threads may take turns in any way.
    #[test]
    fn interleaved_vectors_are_complete(turns in prop::collection::vec(0_usize..4, 0..40)) {
        let mut lanes: Vec<std::collections::VecDeque<Event>> = (0..4)
            .map(|index| {
                let mut scene = Scene::new(Encoding::Vectors);
                scene.events.clear();
                scene.map_all(&[index]);
                scene.trigger(&[index]);
                scene.wake(&[index]);
                scene.trap(&[index]);
                scene.ack(&[index]);
                scene.trigger(&[index]);
                scene.wake(&[index]);
                scene.untrap(&[index]);
                scene.ack(&[index]);
                scene.events.into()
            })
            .collect();
        let mut scene = Scene::new(Encoding::Vectors);
        for lane in turns.into_iter().chain((0..4).cycle().take(200)) {
            if let Some(mut event) = lanes[lane].pop_front() {
                scene.now += 1000;
                event.time_ns = scene.now;
                if let Body::Exit(Exit { begin_ns, .. }) = &mut event.body {
                    *begin_ns = scene.now - 500;
                }
                scene.events.push(event);
            }
        }
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.outcomes(), vec![Outcome::Remapped; 8]);
    }

    /// Losses in a healthy trace lead to no finding.
    #[test]
    fn a_loss_leads_to_no_finding(
        encoding in encodings(),
        rounds in rounds(),
        losses in losses(),
    ) {
        let mut scene = healthy(encoding, &rounds);
        lose(&mut scene, losses);
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.cycles().len(), named(&scene));
    }

    /// A doubt about signals spoils no cycle, and records that were not lost lead to no finding.
    #[test]
    fn a_doubt_about_signals_spoils_nothing(
        encoding in encodings(),
        rounds in rounds(),
        doubts in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
    ) {
        let mut scene = healthy(encoding, &rounds);
        for at in doubts {
            let at = at.index(scene.events.len());
            let body = Body::Lost(Lost { records: LostKind::Signal, ..Lost::any(0) });
            let event = Event { body, ..scene.events[at].clone() };
            scene.events.insert(at, event);
        }
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        let count: usize = rounds.iter().map(|regions| 2 * regions.len()).sum();
        prop_assert_eq!(played.outcomes(), vec![Outcome::Remapped; count]);
    }

    /// Signals that are lost lead to no finding.
    #[test]
    fn a_lost_signal_leads_to_no_finding(
        encoding in encodings(),
        rounds in rounds(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let mut scene = healthy(encoding, &rounds);
        for at in lost {
            let signals = scene.events.iter().enumerate();
            let signals = signals.filter(|(_, event)| matches!(event.body, Body::Signal(_)));
            let signals: Vec<usize> = signals.map(|(at, _)| at).collect();
            let Some(at) = signals.get(at.index(signals.len().max(1))) else {
                continue;
            };
            let lost = Lost { records: LostKind::Signal, ..Lost::any(1) };
            scene.events[*at].body = Body::Lost(lost);
        }
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.outcomes(), vec![Outcome::Remapped; named(&scene)]);
    }

    #[test]
    fn healthy_mainline_is_no_finding(rounds in 0_usize..6) {
        prop_assert_eq!(healthy_mainline(rounds).play().rules(), Vec::<&str>::new());
    }

    #[test]
    fn a_loss_leads_to_no_finding_about_mainline(rounds in 1_usize..6, losses in losses()) {
        let mut scene = healthy_mainline(rounds);
        lose(&mut scene, losses);
        prop_assert_eq!(scene.play().rules(), Vec::<&str>::new());
    }
}
