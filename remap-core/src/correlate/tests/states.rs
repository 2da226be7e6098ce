//! Migration states: legal changes, the time in each, and the activity in them.

use super::mainline::SECOND;
use super::*;
use crate::event::{DeviceSeen, MigrationData, StateWriteEnter, StateWriteExit};
use DeviceState::{PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};

const ALL_FLAGS: u64 = 0b111;

/// A migration's source as QEMU does it.
fn source() -> Scene {
    let mut scene = Scene::stock("a-vendor");
    scene.flags(ALL_FLAGS);
    scene.get_state(Running);
    scene.change(PreCopy, Ok(0));
    scene.data(500, false, Ok(4096));
    scene.data(500, false, Err(Errno::ENOMSG));
    scene.change(PreCopyP2p, Ok(0));
    scene.change(StopCopy, Ok(0));
    scene.wait(SECOND);
    scene.data(500, false, Ok(8192));
    scene.data(500, false, Ok(0));
    scene.change(Stop, Ok(0));
    scene
}

#[test]
fn a_migration_is_stays_and_changes() {
    let played = source().play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let intervals = played.intervals();
    let states: Vec<DeviceState> = intervals.iter().map(|interval| interval.state).collect();
    assert_eq!(states, [Running, PreCopy, PreCopyP2p, StopCopy, Stop]);
    let (first, last) = (intervals[0], intervals[4]);
    assert!(!first.entered && first.left && last.entered && !last.left);
    let copy = intervals[3];
    assert!(copy.duration() >= SECOND);
    assert_eq!(copy.activity.data.read_bytes, 8192);
    assert_eq!(copy.activity.data.ends, 1);
    assert_eq!(intervals[1].activity.data.drained, 1);
    // Intervals and changes follow one another without a gap.
    for (interval, change) in intervals.iter().zip(played.transitions()) {
        assert_eq!(interval.until_ns, change.begin_ns);
    }
}

#[test]
fn the_path_of_a_change_is_reported() {
    let mut scene = Scene::stock("a-vendor");
    scene.flags(ALL_FLAGS);
    scene.get_state(Running);
    scene.change(StopCopy, Ok(0));
    assert_eq!(scene.play().transitions()[0].path, [RunningP2p, Stop]);
}

#[test]
fn what_cannot_be_and_is_done_or_refused() {
    for (result, text) in [
        (Ok(0), "succeeded"),
        (Err(Errno::EINVAL), "failed with EINVAL"),
    ] {
        let mut scene = Scene::stock("a-vendor");
        scene.get_state(StopCopy);
        scene.change(PreCopy, result);
        let played = scene.play();
        assert_eq!(played.rules(), ["impossible-change"], "{result:?}");
        assert!(played.texts()[0].contains(text));
    }
    let mut scene = Scene::stock("a-vendor");
    scene.flags(1);
    scene.get_state(Running);
    scene.change(PreCopy, Err(Errno::EINVAL));
    let played = scene.play();
    assert_eq!(played.rules(), ["impossible-change"]);
    assert!(played.texts()[0].contains("do not include PRE_COPY"));
}

#[test]
fn a_failure_that_the_state_machine_allows_is_not_impossible() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Err(Errno::EINVAL));
    scene.change(Running, Ok(0));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn data_that_was_not_loaded() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(Resuming, Ok(0));
    scene.data(500, true, Ok(100));
    scene.change(Running, Err(Errno::EIO));
    scene.wait(5 * SECOND);
    scene.get_state(Resuming);
    let played = scene.play();
    assert_eq!(played.rules(), ["resume-failed"]);
    assert_eq!(played.intervals()[1].activity.data.written_bytes, 100);
}

#[test]
fn an_error_state_is_confirmed_by_a_second_answer() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Err(Errno::EIO));
    for _ in 0..3 {
        scene.get_state(DeviceState::Error);
    }
    scene.call(DRIVER, Call::Reset, Ok(0), Answer::None);
    scene.get_state(Running);
    let played = scene.play();
    assert_eq!(played.rules(), ["error-state", "error-state"]);
    let texts = played.texts();
    assert!(texts[0].contains("the caller's memory held the state ERROR"));
    assert!(texts[1].starts_with("the device is in ERROR"), "{texts:?}");
    let last = played.intervals().into_iter().next_back().unwrap();
    assert_eq!((last.state, last.entered), (Running, true));
}

#[test]
fn a_state_that_was_not_set() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Ok(0));
    scene.get_state(Running);
    assert_eq!(scene.play().rules(), ["unexpected-state"]);
}

/// Another thread writes a state to the caller's memory: the next answer shows the real one.
#[test]
fn a_scribbled_state_is_not_the_drivers() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Ok(0));
    scene.get_state(Stop);
    scene.get_state(PreCopy);
    scene.change(Running, Ok(0));
    scene.get_state(Running);
    let played = scene.play();
    assert_eq!(played.rules(), ["unexpected-state"]);
    assert!(played.texts()[0].contains("the caller's memory held the state STOP"));
}

#[test]
fn a_reset_leads_back_to_running() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Ok(0));
    scene.call(DRIVER, Call::Reset, Ok(0), Answer::None);
    scene.get_state(Running);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let states: Vec<DeviceState> = played
        .intervals()
        .iter()
        .map(|interval| interval.state)
        .collect();
    assert_eq!(states, [Running, PreCopy, Running]);
}

#[test]
fn a_device_that_is_opened_again_runs() {
    let mut scene = source();
    scene.close(false);
    scene.wait(SECOND);
    scene.open();
    let open_ns = scene.now;
    scene.change(Resuming, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let intervals = played.intervals();
    let [.., stop, running, resuming] = intervals[..] else {
        panic!("{intervals:?}");
    };
    assert_eq!((stop.state, stop.left), (Stop, true));
    assert_eq!((running.state, running.since_ns), (Running, open_ns));
    assert_eq!((resuming.state, resuming.left), (Resuming, false));
    assert_eq!(played.transitions()[4].path, [RunningP2p, Stop]);
}

#[test]
fn a_driver_that_is_loaded_anew_may_have_other_flags() {
    let mut scene = Scene::stock("a-vendor");
    scene.flags(0b011);
    scene.close(false);
    scene.name("a-vendor");
    scene.change(PreCopy, Ok(0));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_query_during_a_change_is_ignored() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    let begin_ns = scene.enter(PreCopy);
    scene.get_state(PreCopy);
    scene.exit(PreCopy, begin_ns, Ok(0));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_state_that_is_never_queried() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(PreCopy, Err(Errno::EIO));
    let mut asked = scene.events.clone();
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), ["state-unknown"]);
    std::mem::swap(&mut scene.events, &mut asked);
    scene.change(Running, Ok(0));
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn data_that_is_left_behind() {
    let mut scene = source();
    // Without the end.
    scene
        .events
        .retain(|event| !matches!(event.body, Body::Data(MigrationData { result: Ok(0), .. })));
    // QEMU does the same after an error, and then goes on.
    let mut resumed = scene.events.clone();
    std::mem::swap(&mut scene.events, &mut resumed);
    scene.change(RunningP2p, Ok(0));
    scene.change(Running, Ok(0));
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
    std::mem::swap(&mut scene.events, &mut resumed);
    scene.close(false);
    let played = scene.play();
    assert_eq!(played.rules(), ["data-left"]);
    assert!(played.texts()[0].contains("8192 bytes"));
}

#[test]
fn a_cancelled_migration_may_leave_data() {
    let mut scene = Scene::stock("a-vendor");
    scene.change(StopCopy, Ok(0));
    scene.data(500, false, Ok(8192));
    scene.change(Running, Ok(0));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_vendors_driver_was_not_asked() {
    let refuse = |driver: &str| {
        let mut scene = Scene::stock(driver);
        scene.change(PreCopy, Err(Errno::ENODEV));
        scene
    };
    assert_eq!(refuse("a-vendor").play().rules(), ["never-asked"]);
    assert_eq!(refuse("vfio-pci").play().rules(), Vec::<&str>::new());
    let mut scene = Scene::stock("a-vendor");
    let refused = Err(Errno::EINVAL);
    scene.call(
        SERVICE,
        Call::GetIrqInfo { index: 5 },
        refused,
        Answer::None,
    );
    scene.change(PreCopy, Err(Errno::ENODEV));
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn the_time_of_a_change_is_split() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[1]);
    let begin_ns = scene.enter(PreCopy);
    scene.wait(10_000);
    scene.data(5_000, false, Ok(4096));
    scene.populate(1, 0);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    scene.ack(&[1]);
    scene.exit(PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    let change = played.transitions()[0];
    let spent = change.spent.unwrap();
    assert_eq!(Some(spent.total()), change.duration());
    assert_eq!(Some(spent.remap_ns), change.waited_ns);
    assert_eq!((spent.data_ns, spent.fault_ns), (5_000, 100));
    assert_eq!(change.inside.data.read_bytes, 4096);
    assert_eq!(change.inside.faults, 1);
}

#[test]
fn what_a_loss_leaves_is_not_split() {
    let mut scene = Scene::new(Encoding::Bitmap);
    let begin_ns = scene.enter(PreCopy);
    scene.push(0, Body::Lost(Lost::any(1)));
    scene.exit(PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.transitions()[0].spent, None);
}

#[test]
fn the_summary_holds_every_byte() {
    let stats = source().stats();
    let migration = &stats.devices[NAME].migration;
    assert_eq!(migration.activity().data.read_bytes, 4096 + 8192);
    assert_eq!(migration.flags, Some(ALL_FLAGS));
    assert_eq!(
        migration.changes[&FromTo {
            from: Some(PreCopyP2p),
            to: Some(StopCopy)
        }]
            .succeeded,
        1
    );
    assert!(migration.states[&PreCopyP2p].complete && !migration.states[&Running].complete);
}

#[test]
fn a_close_reports_the_state_that_is_lost() {
    for (dying, text) in [
        (
            true,
            "user-101 100 ended in RESUMING: the loaded data is lost",
        ),
        (
            false,
            "closed by user-101 100 in RESUMING: the loaded data is lost",
        ),
    ] {
        let mut scene = Scene::stock("a-vendor");
        scene.open();
        scene.change(Resuming, Ok(0));
        scene.close(dying);
        let played = scene.play();
        let closed = played.0.iter().find_map(|output| match output {
            Output::Closed(closed) => Some(closed),
            _ => None,
        });
        assert_eq!(closed.map(sentence::closed).as_deref(), Some(text));
        let device = &scene.stats().devices[NAME];
        assert_eq!(
            (device.opens, device.closes, device.deaths),
            (1, 1, u64::from(dying))
        );
        assert_eq!(played.rules(), Vec::<&str>::new());
    }
}

pub(super) fn word(scene: &mut Scene, word: u32, result: Result<i64, Errno>) {
    let (device, region) = (DEVICE, 9);
    let word = Some(word);
    scene.push(
        DRIVER,
        Body::StateWriteEnter(StateWriteEnter {
            device,
            region,
            word,
        }),
    );
    let begin_ns = scene.now;
    scene.push(
        DRIVER,
        Body::StateWriteExit(StateWriteExit {
            device,
            region,
            word,
            begin_ns,
            result,
        }),
    );
}

/// A device whose regions were described before the trace.
fn found() -> Scene {
    let mut scene = Scene::stock("a-vendor");
    for event in &mut scene.events {
        if let Body::Device(DeviceSeen { origin, .. }) = &mut event.body {
            *origin = Origin::Found;
        }
    }
    scene
}

#[test]
fn the_legacy_region_is_inferred_of_a_device_that_was_there() {
    for (mut scene, changes) in [(found(), 2), (Scene::stock("a-vendor"), 0)] {
        // No word of the protocol.
        word(&mut scene, 0x1234_5678, Ok(4));
        word(&mut scene, 3, Ok(4));
        word(&mut scene, 2, Ok(4));
        let played = scene.play();
        assert_eq!(played.transitions().len(), changes);
        let inferred = played
            .0
            .iter()
            .filter(|output| matches!(output, Output::Inferred(_)));
        assert_eq!(inferred.count(), usize::from(changes > 0));
        assert_eq!(played.rules(), Vec::<&str>::new());
    }
}

#[test]
fn a_legacy_word_that_is_none_is_impossible() {
    for result in [Ok(4), Err(Errno::EINVAL)] {
        let mut scene = found();
        word(&mut scene, 1, Ok(4));
        word(&mut scene, 6, result);
        assert_eq!(scene.play().rules(), ["impossible-change"]);
    }
}
