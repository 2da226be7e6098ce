//! Eventfds that are only inferred to be the device's.

use std::collections::BTreeMap;

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

/// How many cycles come of it if region 1 is queried at the end.
fn cycles(play: impl Fn(&mut Scene)) -> usize {
    let mut scene = Scene::stock("a-vendor");
    infer(&mut scene);
    signal(&mut scene, 0b10);
    play(&mut scene);
    scene.query(region(1, &whole()));
    scene.play().cycles().len()
}

#[test]
fn only_who_has_read_the_signal_answers_it() {
    assert_eq!(cycles(|scene| read(scene, 0b10)), 1);
    assert_eq!(cycles(|_| {}), 0);
    // Another process has read it.
    let other = |scene: &mut Scene| {
        read(scene, 0b10);
        scene.events.last_mut().unwrap().task.pid = 7;
    };
    assert_eq!(cycles(other), 0);
    // The read failed.
    let failed = |scene: &mut Scene| {
        read(scene, 0b10);
        if let Some(Body::Read(read)) = scene.events.last_mut().map(|event| &mut event.body) {
            (read.value, read.result) = (None, Err(Errno::EAGAIN));
        }
    };
    assert_eq!(cycles(failed), 0);
    // It was closed.
    let closed = |scene: &mut Scene| {
        read(scene, 0b10);
        let (context, target) = (CONTEXT, unknown());
        scene.push(SERVICE, Body::Release { context, target });
    };
    assert_eq!(cycles(closed), 0);
}

#[test]
fn a_second_query_is_no_second_answer() {
    let twice = |scene: &mut Scene| {
        read(scene, 0b10);
        scene.query(region(1, &whole()));
    };
    assert_eq!(cycles(twice), 1);
}

#[test]
fn user_space_has_the_remap_irq_if_an_eventfd_is_inferred() {
    let mut scene = Scene::stock("a-vendor");
    infer(&mut scene);
    scene.change(DeviceState::PreCopy, Err(Errno::ENODEV));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn an_eventfd_keeps_the_region_that_it_once_named() {
    const OTHER: ContextKey = ContextKey(98);
    let mut scene = Scene::stock("a-vendor");
    let other = |scene: &mut Scene, play: fn(&mut Scene)| {
        play(scene);
        match scene.events.last_mut().map(|event| &mut event.body) {
            Some(
                Body::Context(Context { context, .. })
                | Body::Signal(Signal { context, .. })
                | Body::Read(Read { context, .. }),
            ) => *context = OTHER,
            body => panic!("{body:?}"),
        }
    };
    let answer = |scene: &mut Scene, index| {
        scene.query(region(index, &whole()));
        scene.set_irqs(IrqAction::Unmask, index, 1, IrqData::None);
    };
    infer(&mut scene);
    signal(&mut scene, 1);
    read(&mut scene, 1);
    answer(&mut scene, 0);
    // Both are signalled and read, this one first.
    other(&mut scene, infer);
    signal(&mut scene, 1);
    other(&mut scene, |scene| signal(scene, 1));
    read(&mut scene, 1);
    other(&mut scene, |scene| read(scene, 1));
    answer(&mut scene, 2);
    answer(&mut scene, 0);
    let played = scene.play();
    let cycles = played.cycles();
    let named = cycles.iter().map(|cycle| (cycle.trigger_id, cycle.region));
    let named: BTreeMap<u64, u32> = named.collect();
    assert_eq!(named, [(1, 0), (2, 0), (3, 2)].into());
}
