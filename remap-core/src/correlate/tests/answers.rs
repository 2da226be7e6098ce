//! The answers of user space: late ones, missing ones, and those of other threads and processes.

use super::eventfds::{answered, set_fds};
use super::faults::{mapped, timeout};
use super::mainline::SECOND;
use super::*;

const PRE_COPY: DeviceState = DeviceState::PreCopy;
const NONE: [&str; 0] = [];

/// The findings until `ns` after the last event, while the trace runs on.
fn so_far(scene: &Scene, ns: u64) -> Played {
    let mut correlator = Correlator::new(Options::default());
    let events = scene.events.iter();
    let mut outputs: Vec<Output> = events.flat_map(|event| correlator.push(event)).collect();
    outputs.extend(correlator.advance(scene.now + ns));
    Played(outputs)
}

#[test]
fn a_trigger_that_no_thread_ever_reads_is_not_acknowledged() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(PRE_COPY);
    scene.trigger(&[1]);
    timeout(&mut scene, begin_ns);
    // A later reader may show that it was a deadlock.
    assert_eq!(so_far(&scene, SECOND / 2).rules(), NONE);
    // A finding is held until a late loss would have been reported.
    scene.wait(SECOND);
    scene.query(region(3, &whole()));
    let settled = so_far(&scene, SECOND);
    assert_eq!(settled.rules(), ["missing-ack"]);
    assert_eq!(scene.play().rules(), ["missing-ack"]);
}

#[test]
fn a_map_may_come_after_the_ack_for_a_while() {
    let mut scene = mapped(Encoding::Vectors);
    scene.migration(&[1]);
    // All but the last map.
    let map = scene.events.len() - 2;
    assert!(matches!(scene.events[map].body, Body::Map(_)));
    scene.events.remove(map);
    let settle_ns = Options::default().settle_ns;
    assert_eq!(so_far(&scene, settle_ns - 1).cycles().len(), 1);
    // The cycle is complete then, and is held as long again.
    let mut late = scene;
    late.wait(settle_ns - 1000);
    late.query(region(3, &whole()));
    let played = so_far(&late, settle_ns);
    assert_eq!(played.outcomes(), [Outcome::Remapped, Outcome::Incomplete]);
    assert_eq!(played.cycles()[1].missing, [Stage::Map]);
}

#[test]
fn an_older_trigger_without_an_ack_explains_a_timeout() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    let begin_ns = scene.enter(PRE_COPY);
    timeout(&mut scene, begin_ns);
    let played = scene.play();
    assert_eq!(played.rules(), ["missing-ack"]);
    assert_eq!(played.findings()[0].region, Some(1));
}

/// What `play` adds happens on the next IRQ index, with other eventfds.
fn second_irq(scene: &mut Scene, play: impl Fn(&mut Scene)) {
    let first = scene.events.len();
    play(scene);
    for event in &mut scene.events[first..] {
        match &mut event.body {
            Body::Context(Context {
                context, target, ..
            })
            | Body::Signal(Signal {
                context, target, ..
            })
            | Body::Read(Read {
                context, target, ..
            }) => {
                context.0 += 100;
                target.index += 1;
            }
            Body::Exit(Exit { call, answer, .. }) => {
                if let Call::GetIrqInfo { index } | Call::SetIrqs { index, .. } = call {
                    *index += 1;
                }
                if let Answer::Irq(info) = answer {
                    info.index += 1;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn each_irq_with_forgotten_triggers_is_one_finding() {
    let mut scene = mapped(Encoding::Vectors);
    second_irq(&mut scene, |scene| {
        scene.irq_info(Some(0b1111));
        scene.enable();
    });
    scene.trigger(&[0, 1]);
    scene.wake(&[0, 1]);
    second_irq(&mut scene, |scene| {
        scene.trigger(&[2]);
        scene.wake(&[2]);
    });
    scene.wait(5 * SECOND);
    let played = scene.play();
    let findings = played.findings();
    let found: Vec<(&str, Option<u32>)> = findings
        .iter()
        .map(|finding| (finding.rule().name(), finding.region))
        .collect();
    assert_eq!(found, [("missing-ack", None), ("missing-ack", Some(2))]);
}

#[test]
fn a_misread_explains_only_the_triggers_that_it_got() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.trigger(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[2]);
    scene.wait(5 * SECOND);
    let played = scene.play();
    let mut rules = played.rules();
    rules.sort_unstable();
    assert_eq!(rules, ["aliased-trigger", "missing-ack"]);
}

#[test]
fn a_signal_that_came_too_soon_is_one_finding_about_its_region() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trigger(&[1]);
    scene.trap(&[1]);
    // Another region of the same IRQ has a violation of its own.
    scene.trigger(&[2]);
    scene.wake(&[2]);
    scene.trap(&[2]);
    scene.ack(&[1]);
    scene.wait(5 * SECOND);
    let played = scene.play();
    let findings = played.findings();
    let found: Vec<(&str, Option<u32>)> = findings
        .iter()
        .map(|finding| (finding.rule().name(), finding.region))
        .collect();
    assert_eq!(
        found,
        [("trigger-before-ack", Some(1)), ("missing-ack", Some(2))]
    );
}

#[test]
fn so_many_triggers_of_a_region_are_open() {
    let mut scene = mapped(Encoding::Vectors);
    for _ in 0..67 {
        scene.trigger(&[1]);
    }
    let played = so_far(&scene, 0);
    let cycles = played.cycles();
    let dropped: Vec<u64> = cycles.iter().map(|cycle| cycle.trigger_id).collect();
    assert_eq!(dropped, [1, 2, 3]);
    assert!(
        cycles
            .iter()
            .all(|cycle| cycle.reason == Some(Reason::SignalledAgain))
    );
}

#[test]
fn the_second_region_of_a_change_is_waited_for_too() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(PRE_COPY);
    answered(&mut scene, 0);
    scene.wait(SECOND / 2);
    let before_ns = scene.now;
    scene.trigger(&[1]);
    scene.wait(10_000);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    let waited_ns = scene.now - before_ns;
    scene.exit(PRE_COPY, begin_ns, Ok(0));
    let played = scene.play();
    assert!(played.transitions()[0].waited_ns > Some(waited_ns));
    assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
}

#[test]
fn a_region_is_compared_with_its_description_after_the_last_trigger() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        answered(&mut scene, 1);
        // Named again, and nothing has changed.
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.query(region(1, &[]));
        scene.ack(&[1]);
        let played = scene.play();
        assert_eq!(played.rules(), ["named-unchanged"]);
        assert_eq!(played.outcomes(), [Outcome::Remapped, Outcome::Unchanged]);
    }
}

#[test]
fn a_user_that_gives_up_after_a_timeout_does_not_hide_it() {
    let ends: [fn(&mut Scene); 3] = [
        Scene::disable,
        |scene| set_fds(scene, 1, &[-1]),
        |scene| {
            let (context, target) = (ContextKey(1), target(1, Role::Trigger));
            scene.push(SERVICE, Body::Release { context, target });
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut scene = mapped(Encoding::Vectors);
        let begin_ns = scene.enter(PRE_COPY);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.wait(2 * SECOND);
        scene.exit(PRE_COPY, begin_ns, Err(Errno::ETIMEDOUT));
        end(&mut scene);
        let played = scene.play();
        assert_eq!(played.rules(), ["missing-ack"], "{n}");
        assert_eq!(played.outcomes(), [Outcome::Unacked], "{n}");
    }
}

/// What `play` adds is done by another process.
fn elsewhere(scene: &mut Scene, play: impl Fn(&mut Scene)) {
    let first = scene.events.len();
    play(scene);
    for event in &mut scene.events[first..] {
        event.task.pid = 7;
    }
}

fn refuse_map(scene: &mut Scene, region: u32) {
    scene.map(region, whole()[0]);
    if let Some(Body::Map(map)) = scene.events.last_mut().map(|event| &mut event.body) {
        map.result = Err(Errno::EBUSY);
    }
}

/// Regions may be mapped again, and the user only queries; `then` stands for its map.
fn unmapped(then: impl Fn(&mut Scene)) -> Outcome {
    let mut scene = mapped(Encoding::Vectors);
    scene.migration(&[1]);
    // All but the map and the ack.
    scene.events.truncate(scene.events.len() - 2);
    then(&mut scene);
    scene.ack(&[1]);
    scene.wait(SECOND);
    scene.play().outcomes()[1]
}

#[test]
fn only_the_users_own_refusal_explains_a_missing_map() {
    assert_eq!(unmapped(|_| {}), Outcome::Incomplete);
    assert_eq!(unmapped(|scene| refuse_map(scene, 1)), Outcome::Remapped);
    let other = unmapped(|scene| elsewhere(scene, |scene| refuse_map(scene, 1)));
    assert_eq!(other, Outcome::Incomplete);
    let map = |scene: &mut Scene| scene.map(1, whole()[0]);
    assert_eq!(unmapped(map), Outcome::Remapped);
}

#[test]
fn the_first_map_after_the_ack_is_the_stage() {
    let mut scene = mapped(Encoding::Vectors);
    scene.migration(&[1]);
    // The ack comes before the map, and the cycle waits for another region's map of its own.
    let half = |n: u64| Area {
        offset: n * SIZE / 2,
        size: SIZE / 2,
    };
    scene.events.truncate(scene.events.len() - 2);
    scene.ack(&[1]);
    scene.map(1, half(0));
    let map_ns = scene.now;
    scene.map(1, half(1));
    let played = scene.play();
    assert_eq!(played.cycles()[1].stages.ns(Stage::Map), Some(map_ns));
}

#[test]
fn a_map_by_another_process_is_no_stage() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &whole()[..]));
    elsewhere(&mut scene, |scene| scene.map(1, whole()[0]));
    scene.ack(&[1]);
    assert!(!scene.play().cycles()[0].stages.has(Stage::Map));
}

#[test]
fn a_query_after_the_unmap_is_not_the_requery() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &[]));
    let requery_ns = scene.now;
    scene.unmap(1, whole()[0]);
    scene.query(region(1, &[]));
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(
        played.cycles()[0].stages.ns(Stage::Requery),
        Some(requery_ns)
    );
}

#[test]
fn an_explained_trigger_explains_the_timeout_also_once_it_is_cut_off() {
    let mut scene = mapped(Encoding::Vectors);
    let begin_ns = scene.enter(PRE_COPY);
    // Outside of the mask.
    scene.trigger(&[7]);
    scene.disable();
    timeout(&mut scene, begin_ns);
    assert_eq!(scene.play().rules(), ["outside-mask"]);
}

#[test]
fn a_region_that_is_given_back_late_may_be_named_without_a_change() {
    let mut scene = mapped(Encoding::Vectors);
    let begin_ns = scene.enter(PRE_COPY);
    scene.trigger(&[0, 1]);
    scene.wake(&[0, 1]);
    scene.wait(2 * SECOND);
    // Region 0 is given back at once, region 1 after its late ack.
    scene.trigger(&[0]);
    scene.exit(PRE_COPY, begin_ns, Err(Errno::ETIMEDOUT));
    scene.wait(SECOND / 5);
    scene.wake(&[0]);
    for index in [0, 1] {
        scene.query(region(index, &whole()));
        scene.ack(&[index]);
    }
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &whole()));
    scene.ack(&[1]);
    assert_eq!(scene.play().rules(), ["missing-ack"]);
}
