//! What holds for every sequence.

use remap_common::uapi::VFIO_DEVICE_FEATURE;

use proptest::prelude::*;

use super::*;
use crate::event::{DmaKind, FaultOutcome, UNKNOWN_INDEX, ZapCause};

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Bitmap), Just(Encoding::Vectors)]
}

/// A step of a scene: some make sense, some do not.
fn steps() -> impl Strategy<Value = Vec<(u8, u32, u64)>> {
    prop::collection::vec((0_u8..42, 0_u32..6, 0_u64..20), 0..80)
}

fn states() -> [DeviceState; 6] {
    [
        DeviceState::Running,
        DeviceState::PreCopy,
        DeviceState::Legacy(3),
        DeviceState::StopCopy,
        DeviceState::Stop,
        DeviceState::Resuming,
    ]
}

/// What mainline does in place of the remap IRQ.
fn mainline(scene: &mut Scene, (kind, at, value): (u8, u32, u64)) {
    let state = states()[at as usize % 6];
    let errno = Err(Errno::EIO);
    let causes = [
        ZapCause::Unknown,
        ZapCause::StateWrite,
        mainline::MEMORY_OFF,
        ZapCause::Ioctl {
            request: VFIO_DEVICE_FEATURE,
            feature: Some(at),
        },
    ];
    let outcomes = [
        FaultOutcome::Populated { bytes: Some(PAGE) },
        FaultOutcome::Populated { bytes: None },
        FaultOutcome::Refused,
        FaultOutcome::RefusedForDma,
        FaultOutcome::Fallback,
    ];
    let context = value % 4;
    match kind {
        0 => scene.enable_on(at, &[context, 9, 10], Ok(0)),
        1 => scene.enable_on(at, &[context, 9, 10], errno),
        2 => scene.signal_on(at, context as u32, context),
        3 => scene.read_on(at, context as u32, context, value),
        4 => scene.consume_on(at, context as u32, context),
        5 => scene.flags(value),
        6 => scene.get_state(state),
        7 => scene.change(state, if value > 9 { Ok(0) } else { errno }),
        8 => scene.data(value * 100, at > 3, Ok(value.cast_signed() * 10)),
        9 => scene.data(value * 100, at > 3, Err(Errno::ENOMSG)),
        10 => scene.zap((at, at + value as u32), causes[value as usize % 4]),
        11 | 12 => scene.fault(at, value * PAGE, outcomes[value as usize % outcomes.len()]),
        13 => scene.dma(DmaKind::Map, value * PAGE, at),
        14 => scene.dma(DmaKind::Unmap, value * PAGE, at),
        15 => scene.call(DRIVER, Call::HotReset, Ok(0), Answer::None),
        16 => scene.open(),
        _ => {
            let body = Body::Context {
                context: ContextKey(50),
                target: Scene::on(UNKNOWN_INDEX, 0),
                fd: None,
                origin: Origin::SignalledInside,
            };
            scene.push(DRIVER, body);
            scene.signal_on(UNKNOWN_INDEX, 0, 50);
            scene.read_on(UNKNOWN_INDEX, 0, 50, 1);
        }
    }
}

fn step(scene: &mut Scene, (kind, at, value): (u8, u32, u64)) {
    let state = states()[at as usize % 6];
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
        16 => scene.exit_as(tid, state, scene.now, Err(Errno::ETIMEDOUT)),
        17 => scene.exit_as(tid, state, scene.now, Err(Errno::ENODEV)),
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
        23 => scene.now = scene.now.saturating_sub(value * 1000),
        kind => mainline(scene, (kind - 24, at, value)),
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
            Body::Signal { addend, target, .. } if described && target.index == INDEX => {
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

/// Some records are lost, and the word of it may come later than what followed.
fn lose(scene: &mut Scene, losses: Vec<(prop::sample::Index, usize, usize)>) {
    for (at, count, late) in losses {
        let at = at.index(scene.events.len());
        let end = (at + count).min(scene.events.len());
        let told = (end + late).min(scene.events.len());
        let last = scene.events[told - 1].clone();
        let body = Body::Lost { count: 1 };
        scene.events.insert(told, Event { body, ..last });
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
        let mut scene = Scene::new(encoding);
        scene.map_all(&[0, 1]);
        for next in steps {
            step(&mut scene, next);
        }
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

    /// Whatever happens, it is counted once, and what it adds up to is what happened.
    #[test]
    fn sums_hold(encoding in encodings(), steps in steps()) {
        let mut scene = Scene::new(encoding);
        scene.map_all(&[0, 1]);
        for next in steps {
            step(&mut scene, next);
        }
        let count = |wanted: fn(&Body) -> u64| -> u64 {
            scene.events.iter().map(|event| wanted(&event.body)).sum()
        };
        let stats = scene.stats();
        let devices = || stats.devices.values();
        let signals = devices().flat_map(|device| device.irqs.values()).map(IrqStats::signals);
        prop_assert_eq!(signals.sum::<u64>(), count(|body| {
            u64::from(matches!(body, Body::Signal { .. }))
        }));
        let bytes = devices().map(|device| device.migration.activity().data.bytes());
        prop_assert_eq!(bytes.sum::<u64>(), count(|body| match body {
            Body::Data { result: Ok(moved), .. } => moved.cast_unsigned(),
            _ => 0,
        }));
        let regions = devices().flat_map(|device| device.regions.values());
        let faults = count(|body| u64::from(matches!(body, Body::Fault { .. })));
        prop_assert_eq!(regions.map(|region| region.mapping.faults()).sum::<u64>(), faults);
        let inside = devices().map(|device| device.migration.activity().faults);
        let again = count(|body| {
            u64::from(matches!(body, Body::Fault { outcome: FaultOutcome::Fallback, .. }))
        });
        prop_assert!(inside.sum::<u64>() >= faults - again);
        let played = scene.play();
        let steps: u64 = played.zaps().iter().map(|zap| zap.steps).sum();
        prop_assert_eq!(steps, count(|body| u64::from(matches!(body, Body::Zap { .. }))));
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
        for stay in played.stays() {
            prop_assert!(stay.activity.data.busy_ns <= stay.until_ns);
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
        losses in losses(),
    ) {
        let mut scene = healthy(encoding, &rounds);
        lose(&mut scene, losses);
        let played = scene.play();
        prop_assert_eq!(played.rules(), Vec::<&str>::new());
        prop_assert_eq!(played.cycles().len(), named(&scene));
    }

    #[test]
    fn healthy_mainline_is_no_finding(rounds in 0_usize..6) {
        prop_assert_eq!(healthy_mainline(rounds).play().rules(), Vec::<&str>::new());
    }

    #[test]
    fn a_loss_accuses_nobody_of_what_mainline_does(rounds in 1_usize..6, losses in losses()) {
        let mut scene = healthy_mainline(rounds);
        lose(&mut scene, losses);
        prop_assert_eq!(scene.play().rules(), Vec::<&str>::new());
    }
}
