//! Correct behaviour: complete cycles and no finding.

use super::*;
use crate::event::{Exit, Signal, StateWriteEnter, StateWriteExit};

const BOTH: [Encoding; 2] = [Encoding::Bitmap, Encoding::Vectors];

#[test]
fn a_migration_is_four_complete_cycles() {
    for encoding in BOTH {
        let mut scene = Scene::new(encoding);
        scene.map_all(&[0, 2]);
        scene.migration(&[0, 2]);
        let played = scene.play();
        assert_eq!(played.rules(), Vec::<&str>::new(), "{encoding:?}");
        assert_eq!(played.outcomes(), [Outcome::Remapped; 4], "{encoding:?}");
        for cycle in &played.cycles()[..2] {
            assert_eq!(cycle.missing, []);
            assert!(cycle.stages.has(Stage::Unmap) && !cycle.stages.has(Stage::Map));
            assert_eq!(cycle.released_source, Some(ReleasedSource::StateChange));
            assert_eq!(cycle.owner().map(|task| task.tid), Some(SERVICE));
        }
        for cycle in &played.cycles()[2..] {
            assert!(cycle.stages.has(Stage::Map) && !cycle.stages.has(Stage::Unmap));
            assert_eq!(cycle.released_source, Some(ReleasedSource::AckReturn));
        }
    }
}

#[test]
fn bits_of_one_trigger_share_its_id() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0, 2]);
    scene.migration(&[0, 2]);
    let played = scene.play();
    let ids: Vec<(u64, u32)> = played
        .cycles()
        .iter()
        .map(|cycle| (cycle.trigger_id, cycle.region))
        .collect();
    assert_eq!(ids, [(1, 0), (1, 2), (2, 0), (2, 2)]);
}

#[test]
fn a_transition_says_what_it_waited() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0]);
    scene.migration(&[0]);
    let played = scene.play();
    let transitions = played.transitions();
    let [entering, leaving] = transitions.as_slice() else {
        panic!("two state changes give two transitions");
    };
    assert_eq!(
        (entering.from, entering.to),
        (None, Some(DeviceState::PreCopy))
    );
    assert_eq!(leaving.from, Some(DeviceState::PreCopy));
    let cycle = played.cycles()[0];
    let waited = cycle.stages.ns(Stage::Ack).unwrap() - cycle.stages.ns(Stage::Trigger).unwrap();
    assert_eq!(entering.waited_ns, Some(waited));
    assert_eq!(
        leaving.waited_ns,
        Some(0),
        "its trigger was answered after it returned"
    );
    assert_eq!(entering.result, Some(Ok(())));
}

#[test]
fn an_ack_is_recorded_after_the_return_that_it_caused() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0]);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.write(0, Role::Trigger, 0);
    let mut ack = scene.events.pop().unwrap();
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    ack.time_ns = scene.now + 1000;
    scene.events.push(ack);
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
    let cycle = played.cycles()[0];
    assert_eq!(cycle.released_source, Some(ReleasedSource::StateChange));
    assert!(cycle.stages.ns(Stage::Ack) < cycle.stages.ns(Stage::Released));
    assert!(played.transitions()[0].waited_ns > Some(0));
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn sub_areas_that_stay_need_nothing() {
    let mut scene = Scene::new(Encoding::Vectors);
    let (low, high) = (
        Area {
            offset: 0,
            size: PAGE,
        },
        Area {
            offset: 2 * PAGE,
            size: 2 * PAGE,
        },
    );
    scene.query(region(1, &whole()));
    scene.map(1, low);
    scene.map(1, high);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    // The page between them is trapped: it never was mapped.
    scene.query(region(1, &[low, high]));
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn a_whole_mapping_is_replaced_by_its_allowed_parts() {
    let mut scene = Scene::new(Encoding::Vectors);
    let low = Area {
        offset: 0,
        size: PAGE,
    };
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &[low]));
    scene.unmap(1, whole()[0]);
    scene.map(1, low);
    scene.ack(&[1]);
    let played = scene.play();
    let cycle = played.cycles()[0];
    assert_eq!(cycle.outcome, Outcome::Remapped);
    assert!(cycle.stages.has(Stage::Unmap) && cycle.stages.has(Stage::Map));
}

#[test]
fn a_map_may_follow_the_ack() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0]);
    scene.unmap(0, whole()[0]);
    scene.query(region(0, &[]));
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.query(region(0, &whole()));
    scene.ack(&[0]);
    scene.map(0, whole()[0]);
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
    let stages = &played.cycles()[0].stages;
    assert!(stages.ns(Stage::Map) > stages.ns(Stage::Ack));
}

#[test]
fn a_region_that_was_never_mapped_needs_no_map() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.query(region(0, &[]));
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.query(region(0, &whole()));
    scene.ack(&[0]);
    assert_eq!(scene.play().outcomes(), [Outcome::Remapped]);
}

/// An encoding, the form of its ack, and the expected report.
type Form = (Encoding, fn(&mut Scene), AckForm, Option<u64>);

#[test]
fn each_form_of_ack_is_reported() {
    let forms: [Form; 5] = [
        (
            Encoding::Bitmap,
            |scene| scene.write(0, Role::Trigger, 0),
            AckForm::Write,
            Some(0),
        ),
        (
            Encoding::Bitmap,
            |scene| scene.write(0, Role::Trigger, 1),
            AckForm::Write,
            Some(1),
        ),
        (
            Encoding::Vectors,
            |scene| scene.write(1, Role::Unmask, 1),
            AckForm::Unmask,
            Some(1),
        ),
        (
            Encoding::Vectors,
            |scene| scene.set_irqs(IrqAction::Unmask, 1, 1, IrqData::None),
            AckForm::Unmask,
            None,
        ),
        (
            Encoding::Vectors,
            |scene| scene.set_irqs(IrqAction::Unmask, 0, 2, IrqData::Bool(vec![false, true])),
            AckForm::Unmask,
            None,
        ),
    ];
    for (encoding, send, form, value) in forms {
        let mut scene = Scene::new(encoding);
        scene.map_all(&[1]);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.trap(&[1]);
        send(&mut scene);
        let played = scene.play();
        assert_eq!(played.cycles()[0].ack, Ack { form, value });
        assert_eq!(played.outcomes(), [Outcome::Remapped]);
        assert_eq!(played.rules(), Vec::<&str>::new());
    }
}

#[test]
fn vectors_that_do_not_mask_themselves_may_coalesce() {
    let mut scene = Scene::new(Encoding::Vectors);
    let irq_info = scene
        .events
        .iter_mut()
        .find_map(|event| match &mut event.body {
            Body::Exit(Exit {
                answer: Answer::Irq(info),
                ..
            }) => Some(info),
            _ => None,
        });
    irq_info.unwrap().flags = 0b001;
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn the_legacy_word_is_a_transition() {
    let mut scene = Scene::new(Encoding::Bitmap);
    let mut migration = region(9, &[]);
    migration.kind = Some((3, 1));
    scene.query(migration);
    scene.map_all(&[0]);
    let (device, region) = (DEVICE, 9);
    scene.push(
        DRIVER,
        Body::StateWriteEnter(StateWriteEnter {
            device,
            region,
            word: Some(3),
        }),
    );
    let begin_ns = scene.now;
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.ack(&[0]);
    let exit = |region| {
        Body::StateWriteExit(StateWriteExit {
            device,
            region,
            word: Some(3),
            begin_ns,
            result: Ok(4),
        })
    };
    scene.push(DRIVER, exit(9));
    // Another device-specific region: no state.
    scene.push(DRIVER, exit(10));
    let played = scene.play();
    let transitions = played.transitions();
    assert_eq!(transitions.len(), 1);
    assert_eq!(transitions[0].to, Some(DeviceState::Legacy(3)));
    assert!(transitions[0].waited_ns > Some(0));
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
}

#[test]
fn other_interrupts_are_counted_and_no_cycles() {
    let mut scene = Scene::new(Encoding::Bitmap);
    let mut other = target(0, Role::Trigger);
    other.index = 2;
    for _ in 0..3 {
        let body = Body::Signal(Signal {
            context: ContextKey(77),
            target: other,
            addend: 1,
            count: None,
            inside: None,
            in_task: Some(false),
        });
        scene.push(DRIVER, body);
    }
    let mut correlator = Correlator::new(Options::default());
    for event in &scene.events {
        assert_eq!(correlator.push(event), []);
    }
    assert_eq!(correlator.stats().devices[NAME].irqs[&2].signals(), 3);
}

#[test]
fn after_a_reset_the_device_runs_and_a_query_shows_its_state() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.call(DRIVER, Call::Reset, Ok(0), Answer::None);
    let begin_ns = scene.enter(DeviceState::Stop);
    scene.exit(DeviceState::Stop, begin_ns, Err(Errno::EIO));
    let begin_ns = scene.enter(DeviceState::Stop);
    scene.exit(DeviceState::Stop, begin_ns, Ok(0));
    let played = scene.play();
    let from: Vec<Option<DeviceState>> = played
        .transitions()
        .iter()
        .map(|transition| transition.from)
        .collect();
    assert_eq!(from, [Some(DeviceState::Running), None]);
    assert_eq!(played.transitions()[0].waited_ns, None);
}

#[test]
fn stages_go_out_as_they_come() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0]);
    scene.migration(&[0]);
    let mut correlator = Correlator::new(Options {
        stages: true,
        ..Options::default()
    });
    let stages: Vec<Stage> = scene
        .events
        .iter()
        .flat_map(|event| correlator.push(event))
        .filter_map(|output| match output {
            Output::Stage(line) => Some(line.stage),
            _ => None,
        })
        .collect();
    let entering = [
        Stage::Trigger,
        Stage::Wake,
        Stage::Requery,
        Stage::Unmap,
        Stage::Ack,
        Stage::Released,
    ];
    assert_eq!(stages[..6], entering);
    assert_eq!(stages.len(), 12);
}
