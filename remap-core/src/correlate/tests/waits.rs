//! State changes that wait without an answer, or not at all.

use super::faults::{mapped, timeout};
use super::*;

#[test]
fn ignored_acks_time_out() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[0, 1]);
        scene.wake(&[0, 1]);
        scene.trap(&[0, 1]);
        scene.ack(&[0, 1]);
        timeout(&mut scene, begin_ns);
        let played = scene.play();
        assert_eq!(played.rules(), ["wait-timeout"]);
        assert_eq!(played.outcomes(), [Outcome::Aborted; 2]);
        let transition = played.transitions()[0];
        assert_eq!(transition.result, Some(Err(Errno::ETIMEDOUT)));
        assert_eq!(played.cycles()[0].missing, [Stage::Released]);
    }
}

#[test]
fn a_user_that_never_acks() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[0, 1]);
        scene.wake(&[0, 1]);
        scene.trap(&[0, 1]);
        timeout(&mut scene, begin_ns);
        let played = scene.play();
        assert_eq!(played.rules(), ["missing-ack"]);
        assert!(played.texts()[0].contains("ETIMEDOUT"));
        assert_eq!(played.outcomes(), [Outcome::Unacked; 2]);
        let transition = played.transitions()[0];
        let trigger_ns = played.cycles()[0].stages.ns(Stage::Trigger).unwrap();
        let waited = transition.end_ns.unwrap() - trigger_ns;
        assert_eq!(transition.waited_ns, Some(waited));
    }
}

#[test]
fn the_only_reader_changes_the_state() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    let begin_ns = scene.enter_as(SERVICE, DeviceState::PreCopy);
    scene.trigger(&[1]);
    for event in scene.events.iter_mut().rev().take(1) {
        event.task = task(SERVICE);
    }
    scene.wait(2_000_000_000);
    scene.exit_as(
        SERVICE,
        DeviceState::PreCopy,
        begin_ns,
        Err(Errno::ETIMEDOUT),
    );
    let played = scene.play();
    assert_eq!(played.rules(), ["deadlock"]);
    assert_eq!(played.outcomes(), [Outcome::Remapped, Outcome::Unacked]);
}

#[test]
fn the_later_reader_decides_a_deadlock() {
    for (reader, rule) in [(DRIVER, "deadlock"), (SERVICE, "missing-ack")] {
        let mut scene = mapped(Encoding::Bitmap);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1]);
        timeout(&mut scene, begin_ns);
        scene.read_as(reader, 0, 0b10);
        let played = scene.play();
        assert_eq!(played.rules(), [rule]);
        assert_eq!(played.outcomes(), [Outcome::Unacked]);
    }
}

#[test]
fn a_deadlock_that_never_returns() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[1]);
    scene.read_as(DRIVER, 0, 0b10);
    scene.trap(&[1]);
    scene.ack(&[1]);
    scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wait(5_000_000_000);
    let played = scene.play();
    assert_eq!(played.rules(), ["deadlock"]);
    assert_eq!(played.outcomes(), [Outcome::Remapped, Outcome::Incomplete]);
    assert_eq!(played.transitions()[0].end_ns, None);
    assert_eq!(played.transitions()[0].waited_ns, None);
}

#[test]
fn a_trace_that_ends_early_reports_nothing() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.outcomes(), [Outcome::Incomplete]);
    assert_eq!(
        played.cycles()[0].missing,
        [Stage::Requery, Stage::Ack, Stage::Released]
    );
}

#[test]
fn a_trigger_forgotten_outside_of_state_changes() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.wait(5_000_000_000);
    let played = scene.play();
    assert_eq!(played.rules(), ["missing-ack"]);
    assert_eq!(played.outcomes(), [Outcome::Incomplete]);
}

#[test]
fn the_wait_lasts_until_the_forbidden_mapping_is_gone() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    let trigger_ns = scene.now;
    scene.wake(&[1]);
    scene.query(region(1, &[]));
    scene.ack(&[1]);
    scene.wait(50_000);
    scene.unmap(1, whole()[0]);
    let unmap_ns = scene.now;
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), ["ack-with-mapping"]);
    assert_eq!(
        played.transitions()[0].waited_ns,
        Some(unmap_ns - trigger_ns)
    );
}

#[test]
fn a_state_that_needs_the_irq() {
    let mut scene = mapped(Encoding::Vectors);
    scene.disable();
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ENODEV));
    let played = scene.play();
    assert_eq!(played.rules(), ["not-enabled"]);
    assert_eq!(played.findings()[0].region, None);
}

#[test]
fn enodev_for_another_reason() {
    let mut scene = mapped(Encoding::Vectors);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ENODEV));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_slow_driver_is_not_wrong() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.wait(3_000_000_000);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    scene.wait(3_000_000_000);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
}

#[test]
fn a_user_that_dies_in_the_wait() {
    let ends: [fn(&mut Scene, u64); 3] = [
        |scene, begin_ns| scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::EINTR)),
        |scene, _| {
            let body = Body::Release {
                context: ContextKey(0),
                target: target(0, Role::Trigger),
            };
            scene.push(SERVICE, body);
        },
        |scene, _| scene.disable(),
    ];
    for end in ends {
        let mut scene = mapped(Encoding::Bitmap);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        end(&mut scene, begin_ns);
        scene.push(
            SERVICE,
            Body::Close {
                device: DEVICE,
                dying: None,
            },
        );
        let played = scene.play();
        assert_eq!(played.outcomes(), [Outcome::Aborted]);
        assert!(played.cycles()[0].reason.is_some());
        assert_eq!(played.rules(), Vec::<&str>::new());
        assert_eq!(played.transitions().len(), 1);
    }
}
