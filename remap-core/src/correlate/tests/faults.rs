//! Violations: each cause gives its finding and no other.

use super::*;

pub(super) fn mapped(encoding: Encoding) -> Scene {
    let mut scene = Scene::new(encoding);
    scene.map_all(&[0, 1, 2]);
    scene
}

pub(super) fn timeout(scene: &mut Scene, begin_ns: u64) {
    scene.wait(2_000_000_000);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ETIMEDOUT));
    scene.wait(200_000_000);
}

#[test]
fn a_bitmap_signalled_twice_is_aliased() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[2]);
    scene.query(region(2, &whole()));
    scene.ack(&[]);
    timeout(&mut scene, begin_ns);
    let played = scene.play();
    assert_eq!(played.rules(), ["aliased-trigger"]);
    assert_eq!(played.findings()[0].region, Some(1));
    assert_eq!(played.cycles().len(), 2);
}

#[test]
fn signalled_again_before_the_ack() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.trigger(&[1]);
        scene.trap(&[1]);
        scene.ack(&[1]);
        scene.wake(&[1]);
        scene.query(region(1, &[]));
        scene.ack(&[1]);
        scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
        let played = scene.play();
        assert_eq!(played.rules(), ["trigger-before-ack"], "{encoding:?}");
        assert_eq!(played.cycles().len(), 2);
    }
}

#[test]
fn signalled_again_while_masked_and_coalesced() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.rules(), ["trigger-before-ack"]);
}

#[test]
fn a_signal_that_the_ack_let_go_is_no_fault() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.set_irqs(IrqAction::Unmask, 1, 1, IrqData::None);
    let mut unmask = scene.events.pop().unwrap();
    scene.trigger(&[1]);
    unmask.time_ns = scene.now + 100;
    scene.events.push(unmask);
    scene.wake(&[1]);
    scene.untrap(&[1]);
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
}

#[test]
fn a_name_that_is_not_in_the_mask() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1, 7]);
        scene.wake(&[1, 7]);
        scene.trap(&[1]);
        scene.call(
            SERVICE,
            Call::GetRegionInfo { index: 7 },
            Err(Errno::EINVAL),
            Answer::None,
        );
        scene.ack(&[1, 7]);
        scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
        let played = scene.play();
        assert_eq!(played.rules(), ["outside-mask"], "{encoding:?}");
        assert_eq!(played.findings()[0].region, Some(7));
        let outcomes = played.outcomes();
        assert!(outcomes.contains(&Outcome::Remapped) && outcomes.contains(&Outcome::Incomplete));
    }
}

#[test]
fn a_region_that_does_not_exist() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.irq_info(None);
    scene.trigger(&[7]);
    scene.wake(&[7]);
    scene.call(
        SERVICE,
        Call::GetRegionInfo { index: 7 },
        Err(Errno::EINVAL),
        Answer::None,
    );
    scene.ack(&[7]);
    assert_eq!(scene.play().rules(), ["outside-mask"]);
}

#[test]
fn a_name_without_a_change() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1, 2]);
        scene.wake(&[1, 2]);
        scene.trap(&[1]);
        scene.query(region(2, &whole()));
        scene.ack(&[1, 2]);
        scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
        let played = scene.play();
        assert_eq!(played.rules(), ["named-unchanged"]);
        assert_eq!(played.findings()[0].region, Some(2));
        assert_eq!(played.outcomes(), [Outcome::Remapped, Outcome::Unchanged]);
    }
}

#[test]
fn two_changes_at_once_are_not_called_unchanged() {
    let mut scene = mapped(Encoding::Vectors);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let begin_ns = scene.enter(DeviceState::Running);
    scene.trigger(&[1]);
    scene.exit(DeviceState::Running, begin_ns, Ok(0));
    // The next change begins before the user has answered.
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.wake(&[1]);
    scene.query(region(1, &[]));
    scene.ack(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &[]));
    scene.ack(&[1]);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(
        played.outcomes(),
        [Outcome::Remapped, Outcome::Unchanged, Outcome::Unchanged]
    );
}

#[test]
fn an_ack_before_the_requery() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.ack(&[1]);
        timeout(&mut scene, begin_ns);
        assert_eq!(scene.play().rules(), ["ack-before-requery"]);
    }
}

#[test]
fn an_ack_with_a_forbidden_mapping() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let mut scene = mapped(encoding);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[1]);
        scene.wake(&[1]);
        scene.query(region(1, &[]));
        scene.ack(&[1]);
        timeout(&mut scene, begin_ns);
        let played = scene.play();
        assert_eq!(played.rules(), ["ack-with-mapping"]);
        assert!(played.texts()[0].contains("0x4000 bytes"));
    }
}

#[test]
fn an_own_write_that_is_read_back() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.write(0, Role::Trigger, 1);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    scene.read_as(SERVICE, 0, 1);
    scene.query(region(0, &whole()));
    scene.write(0, Role::Trigger, 0);
    let played = scene.play();
    assert_eq!(played.rules(), ["self-trigger"]);
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
}

#[test]
fn an_own_write_that_answers_the_next_trigger_unread() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.write(0, Role::Trigger, 1);
    scene.read_as(SERVICE, 0, 1);
    scene.trigger(&[1]);
    scene.write(0, Role::Trigger, 0);
    let played = scene.play();
    assert_eq!(played.rules(), ["self-trigger"]);
}

#[test]
fn a_stale_sparse_capability() {
    let mut scene = mapped(Encoding::Bitmap);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    let mut stale = region(1, &[]);
    stale.stale_sparse = true;
    scene.query(stale.clone());
    scene.query(stale);
    scene.unmap(1, whole()[0]);
    scene.ack(&[1]);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), ["stale-sparse"]);
    assert_eq!(played.outcomes(), [Outcome::Remapped]);
}

#[test]
fn a_size_that_changes_and_changes_back() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    let mut larger = region(1, &[]);
    larger.size *= 2;
    scene.query(larger.clone());
    scene.unmap(1, whole()[0]);
    scene.ack(&[1]);
    scene.query(region(1, &[]));
    for _ in 0..3 {
        scene.query(larger.clone());
    }
    let played = scene.play();
    assert_eq!(played.rules(), ["size-changed"; 3]);
    let texts = played.texts();
    assert!(texts[0].contains("held a size of 0x8000 bytes; it was 0x4000 at first"));
    assert!(texts[2].contains("0x4000 to 0x8000"), "{texts:?}");
}

/// Another thread writes to the caller's memory between the kernel's answer and its return.
#[test]
fn a_scribbled_answer_is_not_the_drivers() {
    let mut scene = mapped(Encoding::Bitmap);
    for n in 0..4 {
        let scribbled = Answer::Malformed {
            reason: "the argsz of 8 bytes is too short".into(),
            digest: n,
        };
        scene.call(SERVICE, Call::GetRegionInfo { index: 1 }, Ok(0), scribbled);
        let mut size = region(2, &[]);
        size.size *= 2 + n;
        scene.query(size);
    }
    let played = scene.play();
    assert!(!played.rules().is_empty());
    for text in played.texts() {
        assert!(text.contains("the caller's memory held"), "{text}");
    }
}

#[test]
fn malformed_answers() {
    let mut scene = mapped(Encoding::Bitmap);
    let reason = || Answer::Malformed {
        reason: "the capability chain loops back to offset 32".into(),
        digest: 1,
    };
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.call(SERVICE, Call::GetRegionInfo { index: 1 }, Ok(0), reason());
    scene.ack(&[1]);
    for _ in 0..3 {
        scene.call(SERVICE, Call::GetRegionInfo { index: 1 }, Ok(0), reason());
    }
    scene.call(SERVICE, Call::GetIrqInfo { index: 6 }, Ok(0), reason());
    let played = scene.play();
    assert_eq!(
        played.rules(),
        [
            "malformed-region-info",
            "malformed-region-info",
            "malformed-irq-info"
        ]
    );
    let texts = played.texts();
    assert!(texts[0].starts_with("after GET_REGION_INFO the caller's memory held"));
    assert!(
        texts[1].starts_with("the driver answered twice"),
        "{texts:?}"
    );
    assert!(texts[2].contains("after GET_IRQ_INFO the caller's memory held"));
}

#[test]
fn a_value_that_nothing_explains() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[1]);
    scene.read_as(SERVICE, 0, 0b1000);
    scene.wait(200_000_000);
    scene.query(region(1, &[]));
    let played = scene.play();
    assert_eq!(played.rules(), ["aliased-trigger"]);
}

#[test]
fn only_the_process_that_woke_answers() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    let first = scene.events.len();
    scene.query(region(1, &[]));
    for event in &mut scene.events[first..] {
        event.task.pid = 7;
    }
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.rules(), ["ack-before-requery"]);
    assert!(!played.cycles()[0].stages.has(Stage::Requery));
}
