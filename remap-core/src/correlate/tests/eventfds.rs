//! The eventfds of a remap IRQ: set, replaced, removed and read.

use super::faults::{mapped, timeout};
use super::mainline::SECOND;
use super::*;

const PRE_COPY: DeviceState = DeviceState::PreCopy;
const NONE: [&str; 0] = [];

/// A `SET_IRQS` looks up an eventfd for the bitmap; returns when that call began.
fn look_up(scene: &mut Scene, context: u64) -> u64 {
    let begin_ns = scene.now + 500;
    let target = target(0, Role::Trigger);
    scene.context(SERVICE, ContextKey(context), target, Origin::Seen);
    begin_ns
}

/// That call returns.
fn set(scene: &mut Scene, begun_ns: u64) {
    scene.set_irqs(IrqAction::Trigger, 0, 1, IrqData::Eventfd(vec![10]));
    if let Some(Body::Exit(exit)) = scene.events.last_mut().map(|event| &mut event.body) {
        exit.begin_ns = begun_ns;
    }
}

/// What `play` adds is about the eventfd `context`.
fn of(scene: &mut Scene, key: u64, play: impl Fn(&mut Scene)) {
    let first = scene.events.len();
    play(scene);
    for event in &mut scene.events[first..] {
        match &mut event.body {
            Body::Signal(Signal { context, .. })
            | Body::Read(Read { context, .. })
            | Body::Release { context, .. } => *context = ContextKey(key),
            _ => {}
        }
    }
}

/// A state change fails because the device has no remap IRQ that is enabled, as the driver sees it.
fn refuse(scene: &mut Scene) -> Vec<&'static str> {
    let begin_ns = scene.enter(PRE_COPY);
    scene.exit(PRE_COPY, begin_ns, Err(Errno::ENODEV));
    scene.play().rules()
}

#[test]
fn a_new_eventfd_counts_from_zero() {
    // Its first signal may come before the call that sets it returns.
    for early in [false, true] {
        let mut scene = mapped(Encoding::Bitmap);
        scene.trigger(&[0]);
        let begun_ns = look_up(&mut scene, 77);
        if early {
            of(&mut scene, 77, |scene| scene.trigger(&[1]));
            set(&mut scene, begun_ns);
        } else {
            set(&mut scene, begun_ns);
            of(&mut scene, 77, |scene| scene.trigger(&[1]));
        }
        of(&mut scene, 77, |scene| scene.wake(&[1]));
        scene.trap(&[1]);
        scene.ack(&[1]);
        scene.wait(SECOND / 2);
        let played = scene.play();
        assert_eq!(played.rules(), NONE, "{early}");
        let cycles = played.cycles();
        let ended: Vec<(u32, Outcome)> = cycles.iter().map(|c| (c.region, c.outcome)).collect();
        assert_eq!(ended, [(0, Outcome::Aborted), (1, Outcome::Remapped)]);
    }
}

#[test]
fn the_old_eventfd_counts_until_the_call_returns() {
    // The last one is the same eventfd again: it keeps its counter.
    for next in [77, 0] {
        let mut scene = mapped(Encoding::Bitmap);
        scene.trigger(&[0]);
        let begun_ns = look_up(&mut scene, next);
        scene.trigger(&[1]);
        scene.wake(&[0, 1]);
        scene.trap(&[0, 1]);
        scene.ack(&[0, 1]);
        set(&mut scene, begun_ns);
        of(&mut scene, next, |scene| scene.trigger(&[2]));
        of(&mut scene, next, |scene| scene.wake(&[2]));
        scene.trap(&[2]);
        scene.ack(&[2]);
        scene.wait(SECOND / 2);
        let played = scene.play();
        assert_eq!(played.rules(), NONE, "{next}");
        assert_eq!(played.outcomes(), [Outcome::Remapped; 3], "{next}");
    }
}

#[test]
fn a_closed_eventfd_is_another_one_at_the_same_address() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.trigger(&[0]);
    let (context, target) = (ContextKey(0), target(0, Role::Trigger));
    scene.push(SERVICE, Body::Release { context, target });
    let begun_ns = look_up(&mut scene, 0);
    set(&mut scene, begun_ns);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    scene.wait(SECOND / 2);
    let played = scene.play();
    assert_eq!(played.rules(), NONE);
    assert_eq!(played.outcomes(), [Outcome::Aborted, Outcome::Remapped]);
}

#[test]
fn a_call_that_fails_leaves_open_what_is_enabled() {
    let mut scene = mapped(Encoding::Bitmap);
    scene.disable();
    scene.enable_on(INDEX, &[77], Err(Errno::ENOMEM));
    assert_eq!(refuse(&mut scene), NONE);
    let mut scene = mapped(Encoding::Bitmap);
    scene.enable_on(INDEX, &[77], Err(Errno::ENOMEM));
    let begin_ns = scene.enter(PRE_COPY);
    timeout(&mut scene, begin_ns);
    assert_eq!(scene.play().rules(), NONE);
}

#[test]
fn a_timeout_without_a_remap_irq_has_another_cause() {
    let mut scene = Scene::stock("vfio-pci");
    let begin_ns = scene.enter(PRE_COPY);
    timeout(&mut scene, begin_ns);
    assert_eq!(scene.play().rules(), NONE);
}

/// An IRQ with these sub-indexes in its mask, before it is enabled.
fn described(mask: u64) -> Scene {
    let mut scene = Scene::stock("vfio-pci");
    scene.encoding = Encoding::Vectors;
    scene.irq_info(Some(mask));
    scene
}

/// Sets the fds of these sub-indexes, and no look-up is observed.
pub(super) fn set_fds(scene: &mut Scene, start: u32, fds: &[i32]) {
    let count = fds.len() as u32;
    let data = IrqData::Eventfd(fds.to_vec());
    scene.set_irqs(IrqAction::Trigger, start, count, data);
}

#[test]
fn every_sub_index_of_the_mask_needs_an_eventfd() {
    let cases: [(u64, u32, &[i32], &[&str]); 6] = [
        (0b0010, 1, &[10], &NONE),
        (0b0010, 0, &[10], &["not-enabled"]),
        (0b0011, 0, &[10], &["not-enabled"]),
        (0b0011, 0, &[10, 11], &NONE),
        (0b0011, 0, &[10, -1], &["not-enabled"]),
        // 0 is an fd as good as any other.
        (0b0011, 0, &[0, 11], &NONE),
    ];
    for (mask, start, fds, rules) in cases {
        let mut scene = described(mask);
        set_fds(&mut scene, start, fds);
        assert_eq!(refuse(&mut scene), rules, "{mask:#b}: {start} {fds:?}");
    }
}

#[test]
fn a_sub_index_that_loses_its_eventfd_is_not_enabled() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1, 2]);
    set_fds(&mut scene, 2, &[-1]);
    let begin_ns = scene.enter(PRE_COPY);
    scene.exit(PRE_COPY, begin_ns, Err(Errno::ENODEV));
    let played = scene.play();
    assert_eq!(played.rules(), ["not-enabled"]);
    let cycles = played.cycles();
    let disabled = cycles.iter().find(|cycle| cycle.region == 2);
    let reason = disabled.and_then(|cycle| cycle.reason);
    assert_eq!(reason, Some(Reason::IrqDisabled));
}

#[test]
fn an_irq_may_have_been_enabled_before_the_trace() {
    for (found, rules) in [(4, &NONE[..]), (3, &["not-enabled"])] {
        for before in [false, true] {
            let mut scene = Scene::stock("vfio-pci");
            scene.encoding = Encoding::Vectors;
            if !before {
                scene.irq_info(Some(0b1111));
            }
            for sub in 0..found {
                let target = target(sub, Role::Trigger);
                scene.context(SERVICE, ContextKey(sub.into()), target, Origin::Found);
            }
            if before {
                scene.irq_info(Some(0b1111));
            }
            assert_eq!(refuse(&mut scene), rules, "{found} {before}");
        }
    }
}

#[test]
fn a_signal_by_user_space_disables_nothing() {
    let mut scene = mapped(Encoding::Vectors);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.set_irqs(IrqAction::Trigger, 1, 1, IrqData::None);
    scene.trap(&[1]);
    scene.ack(&[1]);
    assert_eq!(scene.play().outcomes(), [Outcome::Remapped]);
    assert_eq!(refuse(&mut scene), NONE);
}

/// A cycle that the user answers.
pub(super) fn answered(scene: &mut Scene, region: u32) {
    scene.trigger(&[region]);
    scene.wake(&[region]);
    scene.trap(&[region]);
    scene.ack(&[region]);
}

#[test]
fn a_new_eventfd_may_have_another_reader() {
    // Of the same eventfd the reader is known.
    for (context, rule) in [(77, "deadlock"), (0, "missing-ack")] {
        let mut scene = mapped(Encoding::Bitmap);
        answered(&mut scene, 0);
        let begun_ns = look_up(&mut scene, context);
        set(&mut scene, begun_ns);
        let begin_ns = scene.enter(PRE_COPY);
        of(&mut scene, context, |scene| scene.trigger(&[1]));
        timeout(&mut scene, begin_ns);
        of(&mut scene, context, |scene| scene.read_as(DRIVER, 0, 0b10));
        assert_eq!(scene.play().rules(), [rule]);
    }
}
