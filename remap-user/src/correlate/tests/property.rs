//! What holds for every sequence.

use proptest::prelude::*;

use super::*;

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Bitmap), Just(Encoding::Vectors)]
}

/// A step of a scene: some make sense, some do not.
fn steps() -> impl Strategy<Value = Vec<(u8, u32, u64)>> {
    prop::collection::vec((0_u8..24, 0_u32..6, 0_u64..20), 0..80)
}

fn states() -> [DeviceState; 3] {
    [
        DeviceState::Running,
        DeviceState::PreCopy,
        DeviceState::Legacy(3),
    ]
}

fn step(scene: &mut Scene, (kind, at, value): (u8, u32, u64)) {
    let state = states()[at as usize % 3];
    let area = Area {
        offset: value * PAGE,
        size: u64::from(at) * PAGE,
    };
    let tid = SERVICE + at % 2;
    match kind {
        0..4 => scene.signal(at, value),
        4..6 => scene.read_as(tid, at, value),
        6 => scene.write(at, Role::Trigger, value),
        7 => scene.write(at, Role::Unmask, value),
        8..10 => scene.query(region(at, &[area])),
        10 => scene.query(region(at, &[])),
        11 => scene.map(at, area),
        12 => scene.unmap(at, area),
        13 => scene.set_irqs(IrqAction::Unmask, at, u32::MAX, IrqData::None),
        14 => drop(scene.enter_as(tid, state)),
        15 => scene.exit_as(tid, state, scene.now.saturating_sub(value * 1000), Ok(0)),
        16 => scene.exit_as(tid, state, scene.now, Err(Errno(110))),
        17 => scene.exit_as(tid, state, scene.now, Err(Errno(19))),
        18 => scene.push(
            tid,
            Body::Close {
                device: DEVICE,
                dying: None,
            },
        ),
        19 => scene.push(tid, Body::Lost { count: value }),
        20 => scene.disable(),
        21 => scene.irq_info(Some(value)),
        22 => scene.wait(value * 100_000_000),
        _ => scene.now = scene.now.saturating_sub(value * 1000),
    }
}

/// How many cycles the signals of a scene must give.
fn named(scene: &Scene) -> usize {
    let mut described = false;
    let mut count = 0;
    for event in &scene.events {
        match &event.body {
            Body::Exit {
                answer: Answer::Irq(_),
                ..
            } => described = true,
            Body::Close { .. } => described = false,
            Body::Signal { addend, .. } if described => {
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
        let mut scene = Scene::new(encoding);
        scene.map_all(&[0, 1]);
        for next in steps {
            step(&mut scene, next);
        }
        let played = scene.play();
        prop_assert_eq!(played.cycles().len(), named(&scene));
        for cycle in played.cycles() {
            prop_assert!(cycle.complete() || cycle.reason.is_some());
            if cycle.complete() {
                prop_assert!(cycle.missing.is_empty());
            }
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
                if let Body::Exit { begin_ns, .. } = &mut event.body {
                    *begin_ns = scene.now - 500;
                }
                scene.events.push(event);
            }
        }
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.outcomes(), vec![Outcome::Remapped; 8]);
    }

    /// Whatever is lost from a healthy trace, nobody is accused.
    #[test]
    fn a_loss_accuses_nobody(
        encoding in encodings(),
        rounds in rounds(),
        losses in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9, 0_usize..9), 1..4),
    ) {
        let mut scene = healthy(encoding, &rounds);
        for (at, count, late) in losses {
            let at = at.index(scene.events.len());
            let end = (at + count).min(scene.events.len());
            // The word of it may come later than what followed.
            let told = (end + late).min(scene.events.len());
            let last = scene.events[told - 1].clone();
            let lost = Event { body: Body::Lost { count: 1 }, ..last };
            scene.events.insert(told, lost);
            scene.events.drain(at..end);
        }
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.cycles().len(), named(&scene));
    }
}
