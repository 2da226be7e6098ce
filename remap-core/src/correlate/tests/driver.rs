//! A driver that times out, delays signals and gives regions back.

use super::*;
use crate::event::{Exit, Map, Write};

const PRE_COPY: DeviceState = DeviceState::PreCopy;

/// The driver's work queue signals.
fn by_worker(scene: &mut Scene, regions: &[u32]) {
    let first = scene.events.len();
    scene.trigger(regions);
    for event in &mut scene.events[first..] {
        event.task = Task {
            pid: 7,
            tid: 7,
            comm: "kworker/0:1".into(),
        };
    }
}

fn fail(scene: &mut Scene, begin_ns: u64, errno: Errno) {
    scene.exit(PRE_COPY, begin_ns, Err(errno));
}

#[test]
fn a_driver_that_gives_up_gives_back() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0, 1]);
    let begin_ns = scene.enter(PRE_COPY);
    scene.trigger(&[0, 1]);
    scene.wake(&[0, 1]);
    scene.trap(&[0, 1]);
    scene.ack(&[0, 1]);
    scene.wait(2_000_000_000);
    let last_ns = scene.now;
    scene.trigger(&[0, 1]);
    fail(&mut scene, begin_ns, Errno::ETIMEDOUT);
    scene.wake(&[0, 1]);
    scene.untrap(&[0, 1]);
    scene.ack(&[0, 1]);
    let played = scene.play();
    assert_eq!(played.rules(), ["wait-timeout"]);
    let mut outcomes = played.outcomes();
    outcomes.sort();
    assert_eq!(outcomes[..2], [Outcome::Remapped; 2]);
    assert_eq!(outcomes[2..], [Outcome::Aborted; 2]);
    let remapped = played.cycles().into_iter().find(|cycle| cycle.complete());
    let source = remapped.and_then(|cycle| cycle.released_source);
    assert_eq!(source, Some(ReleasedSource::AckReturn));
    // The driver does not wait for regions that it gives back.
    assert!(played.transitions()[0].waited_ns < Some(last_ns - begin_ns));
}

#[test]
fn a_wait_for_an_ack_that_was_ignored_before() {
    for acked_inside in [false, true] {
        let mut scene = Scene::new(Encoding::Bitmap);
        scene.map_all(&[1]);
        // The driver ignores its ack, which has no visible effect.
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.trap(&[1]);
        scene.ack(&[1]);
        // The driver delays its signal until it times out.
        let begin_ns = scene.enter(PRE_COPY);
        scene.wait(2_000_000_000);
        scene.trigger(&[1]);
        if !acked_inside {
            fail(&mut scene, begin_ns, Errno::ETIMEDOUT);
        }
        scene.wake(&[1]);
        scene.untrap(&[1]);
        scene.ack(&[1]);
        if acked_inside {
            fail(&mut scene, begin_ns, Errno::ETIMEDOUT);
        }
        let played = scene.play();
        assert_eq!(played.rules(), ["wait-timeout"]);
        assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
    }
}

#[test]
fn a_late_user_gets_a_cycle_without_a_change() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = Scene::new(encoding);
        scene.map_all(&[1]);
        let begin_ns = scene.enter(PRE_COPY);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.wait(2_000_000_000);
        fail(&mut scene, begin_ns, Errno::ETIMEDOUT);
        scene.wait(200_000_000);
        scene.query(region(1, &whole()));
        scene.ack(&[1]);
        by_worker(&mut scene, &[1]);
        scene.wake(&[1]);
        scene.query(region(1, &whole()));
        scene.ack(&[1]);
        let played = scene.play();
        assert_eq!(played.rules(), ["missing-ack"]);
        assert_eq!(played.outcomes(), [Outcome::Unacked, Outcome::Unchanged]);
    }
}

#[test]
fn a_signal_that_was_held_back_is_waited_for() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = Scene::new(encoding);
        scene.map_all(&[1]);
        scene.migration(&[1]);
        // Leaving is not acknowledged yet when the next entry begins.
        let leaving: Vec<Event> = scene.events.split_off(scene.events.len() - 4);
        let begin_ns = scene.enter(PRE_COPY);
        let mut late = scene.now;
        for mut event in leaving {
            late += 1000;
            event.time_ns = late;
            match &mut event.body {
                Body::Exit(Exit {
                    begin_ns, answer, ..
                }) => {
                    *begin_ns = late - 500;
                    if let Answer::Region(seen) = answer {
                        *seen = region(1, &[]);
                    }
                }
                Body::Write(Write { begin_ns, .. }) => *begin_ns = late - 500,
                Body::Map(Map { result, .. }) => *result = Err(Errno::EBUSY),
                _ => {}
            }
            scene.events.push(event);
        }
        scene.now = late;
        by_worker(&mut scene, &[1]);
        let trigger_ns = scene.now;
        scene.wake(&[1]);
        scene.query(region(1, &[]));
        scene.ack(&[1]);
        scene.exit(PRE_COPY, begin_ns, Ok(0));
        let played = scene.play();
        assert_eq!(played.rules(), Vec::<&str>::new());
        assert!(played.cycles().iter().all(|cycle| cycle.complete()));
        let last = played.cycles()[2];
        assert_eq!(last.stages.ns(Stage::Trigger), Some(trigger_ns));
        assert_eq!(last.released_source, Some(ReleasedSource::StateChange));
        assert!(played.transitions()[2].waited_ns > Some(0));
    }
}

#[test]
fn a_region_that_is_trapped_again_need_not_be_mapped() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.migration(&[1]);
    let mapping = scene
        .events
        .iter_mut()
        .rfind(|event| matches!(event.body, Body::Map(_)));
    if let Some(Event {
        body: Body::Map(Map { result, .. }),
        ..
    }) = mapping
    {
        *result = Err(Errno::EBUSY);
    }
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
    assert!(!played.cycles()[1].stages.has(Stage::Map));
}

#[test]
fn the_death_of_the_user_ends_the_wait() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[0, 1]);
    let begin_ns = scene.enter(PRE_COPY);
    scene.trigger(&[0, 1]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.ack(&[0]);
    fail(&mut scene, begin_ns, Errno::ECANCELED);
    scene.wait(200_000_000);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.outcomes(), [Outcome::Aborted; 2]);
    let reason = sentence::reason(played.cycles()[0]);
    assert_eq!(
        reason.as_deref(),
        Some("the state change failed with ECANCELED")
    );
}

#[test]
fn enabling_anew_ends_what_was_awaited() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    scene.enable();
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Aborted]);
    let reason = sentence::reason(played.cycles()[0]);
    assert_eq!(reason.as_deref(), Some("the IRQ was enabled again"));
}

#[test]
fn eventfds_that_were_not_captured_count_by_their_contexts() {
    let mut scene = Scene::new(Encoding::Vectors);
    for event in &mut scene.events {
        if let Body::Exit(Exit {
            call:
                Call::SetIrqs {
                    data: IrqData::Eventfd(fds),
                    ..
                },
            ..
        }) = &mut event.body
        {
            fds.truncate(2);
        }
    }
    let begin_ns = scene.enter(PRE_COPY);
    fail(&mut scene, begin_ns, Errno::ENODEV);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
    scene.disable();
    let begin_ns = scene.enter(PRE_COPY);
    fail(&mut scene, begin_ns, Errno::ENODEV);
    assert_eq!(scene.play().rules(), ["not-enabled"]);
}

#[test]
fn both_faults_of_one_device_are_found() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1, 2]);
    // Region 7 is never acknowledged, and that is explained.
    scene.trigger(&[7]);
    let begin_ns = scene.enter(PRE_COPY);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.wait(2_000_000_000);
    fail(&mut scene, begin_ns, Errno::ETIMEDOUT);
    let played = scene.play();
    assert_eq!(played.rules(), ["outside-mask", "missing-ack"]);
}
