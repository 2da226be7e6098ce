//! Eventfds that are only inferred to be the device's.

use super::*;
use crate::event::{Context, Read, Signal, UNKNOWN_INDEX, Write};

const CONTEXT: ContextKey = ContextKey(99);

fn unknown() -> Target {
    Scene::on(UNKNOWN_INDEX, 0)
}

fn infer(scene: &mut Scene) {
    scene.context(DRIVER, CONTEXT, unknown(), Origin::SignalledInside);
}

fn signal(scene: &mut Scene, addend: u64) {
    let body = Body::Signal(Signal {
        context: CONTEXT,
        target: unknown(),
        addend,
        count: Some(0),
        inside: Some(DEVICE),
        in_task: Some(true),
    });
    scene.push(DRIVER, body);
}

fn read(scene: &mut Scene, value: u64) {
    let body = Body::Read(Read {
        context: CONTEXT,
        target: unknown(),
        value: Some(value),
        result: Ok(8),
    });
    scene.push(SERVICE, body);
}

fn write(scene: &mut Scene) {
    let body = Body::Write(Write {
        context: CONTEXT,
        target: unknown(),
        begin_ns: scene.now + 500,
        value: Some(0),
        result: Ok(8),
    });
    scene.push(SERVICE, body);
}

#[test]
fn a_remap_that_was_set_up_before_the_trace() {
    for addend in [0b10, 1] {
        let mut scene = Scene::stock("a-vendor");
        scene.map_all(&[1]);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        infer(&mut scene);
        signal(&mut scene, addend);
        read(&mut scene, addend);
        scene.trap(&[1]);
        match addend {
            1 => scene.set_irqs(IrqAction::Unmask, 1, 1, IrqData::None),
            _ => write(&mut scene),
        }
        scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
        let played = scene.play();
        assert_eq!(played.rules(), Vec::<&str>::new());
        let [cycle] = played.cycles()[..] else {
            panic!("{:?}", played.cycles());
        };
        assert_eq!((cycle.region, cycle.outcome), (1, Outcome::Remapped));
        assert_eq!(cycle.inferred, Some(Origin::SignalledInside));
        assert_eq!((cycle.irq_index, cycle.encoding), (None, None));
        let change = played.transitions()[0];
        assert_eq!(cycle.transition.map(|change| change.id), Some(change.id));
        assert!(change.waited_ns > Some(0));
        assert!(matches!(&played.0[0], Output::Inferred(inferred)
            if inferred.origin == Origin::SignalledInside));
    }
}

#[test]
fn plain_signals_are_distinguished_by_the_queried_region() {
    const OTHER: ContextKey = ContextKey(98);
    let mut scene = Scene::stock("a-vendor");
    scene.map_all(&[0, 2]);
    let other = |scene: &mut Scene, play: fn(&mut Scene)| {
        let first = scene.events.len();
        play(scene);
        for event in &mut scene.events[first..] {
            match &mut event.body {
                Body::Context(Context { context, .. })
                | Body::Signal(Signal { context, .. })
                | Body::Read(Read { context, .. }) => *context = OTHER,
                _ => {}
            }
        }
    };
    infer(&mut scene);
    other(&mut scene, infer);
    signal(&mut scene, 1);
    other(&mut scene, |scene| signal(scene, 1));
    read(&mut scene, 1);
    other(&mut scene, |scene| read(scene, 1));
    // Twice each: first for the size of the answer.
    scene.query(region(0, &[]));
    scene.trap(&[0]);
    scene.query(region(2, &[]));
    scene.trap(&[2]);
    scene.set_irqs(IrqAction::Unmask, 2, 1, IrqData::None);
    scene.set_irqs(IrqAction::Unmask, 0, 1, IrqData::None);
    let played = scene.play();
    let cycles: Vec<(u32, u64, Outcome)> = played
        .cycles()
        .iter()
        .map(|cycle| (cycle.region, cycle.trigger_id, cycle.outcome))
        .collect();
    assert_eq!(
        cycles,
        [(2, 2, Outcome::Remapped), (0, 1, Outcome::Remapped)]
    );
}

#[test]
fn a_region_that_the_counter_does_not_name_is_no_answer() {
    let mut scene = Scene::stock("a-vendor");
    infer(&mut scene);
    signal(&mut scene, 0b10);
    read(&mut scene, 0b10);
    scene.query(region(2, &whole()));
    assert_eq!(scene.play().cycles(), Vec::<&Cycle>::new());
}

#[test]
fn inferred_eventfds_lead_to_no_finding() {
    let mut scene = Scene::stock("a-vendor");
    scene.map_all(&[1]);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    infer(&mut scene);
    signal(&mut scene, 0b10);
    read(&mut scene, 0b10);
    scene.query(region(1, &[]));
    write(&mut scene);
    scene.wait(2_000_000_000);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ETIMEDOUT));
    scene.get_state(DeviceState::Running);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}
