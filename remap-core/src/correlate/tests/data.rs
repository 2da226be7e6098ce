//! Migration data, DMA logging and queries of the state.

use remap_common::uapi::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
};

use super::*;
use DeviceState::{PreCopy, Running, Stop, StopCopy};

const NONE: [&str; 0] = [];

/// STOP_COPY with data that was not read to the end.
fn copying() -> Scene {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(StopCopy, Ok(0));
    scene.data(500, false, Ok(8192));
    scene
}

/// The findings if the device is closed now.
fn closed(mut scene: Scene) -> Vec<&'static str> {
    scene.close(false);
    scene.play().rules()
}

#[test]
fn only_stop_copy_that_was_left_for_stop_leaves_data() {
    let mut scene = copying();
    scene.change(Stop, Ok(0));
    assert_eq!(closed(scene), ["data-left"]);
    // Nothing was to be read.
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(Running);
    scene.change(StopCopy, Ok(0));
    scene.change(Stop, Ok(0));
    assert_eq!(closed(scene), NONE);
    // The rest of PRE_COPY's data is read in STOP_COPY.
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(PreCopy);
    scene.data(500, false, Ok(8192));
    scene.change(Stop, Ok(0));
    assert_eq!(closed(scene), NONE);
    // It was not left.
    let mut scene = copying();
    scene.change(Stop, Err(Errno::EIO));
    scene.get_state(StopCopy);
    assert_eq!(closed(scene), NONE);
}

#[test]
fn data_that_was_left_is_reported_after_a_cancellation_that_failed() {
    let mut scene = copying();
    scene.change(Stop, Ok(0));
    scene.change(Running, Err(Errno::EIO));
    scene.get_state(Stop);
    assert_eq!(closed(scene), ["data-left"]);
}

#[test]
fn only_the_part_of_a_read_within_a_change_counts_for_it() {
    let mut scene = Scene::stock("a-vendor");
    let begin_ns = scene.enter(PreCopy);
    scene.data(5000, false, Ok(4096));
    scene.exit(PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    let data = &played.transitions()[0].inside.data;
    assert_eq!((data.first_ns, data.busy_ns), (Some(begin_ns), 1000));
}

#[test]
fn a_write_of_nothing_is_no_end_of_the_data() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(DeviceState::Resuming);
    scene.data(500, true, Ok(0));
    let played = scene.play();
    let data = &played.intervals()[0].activity.data;
    assert_eq!((data.writes, data.ends), (1, 0));
}

/// A query of the state that began at `begin_ns` returns now.
fn query(scene: &mut Scene, state: DeviceState, begin_ns: u64) {
    scene.get_state(state);
    if let Some(Body::Exit(exit)) = scene.events.last_mut().map(|event| &mut event.body) {
        exit.begin_ns = begin_ns;
    }
}

#[test]
fn a_query_counts_if_it_began_after_the_last_change() {
    for (late_ns, rules) in [(-1, &NONE[..]), (0, &["unexpected-state"])] {
        let mut scene = Scene::stock("a-vendor");
        scene.get_state(Running);
        scene.change(PreCopy, Ok(0));
        let changed_ns = scene.now;
        query(
            &mut scene,
            Running,
            changed_ns.saturating_add_signed(late_ns),
        );
        assert_eq!(scene.play().rules(), rules, "{late_ns}");
    }
}

#[test]
fn dma_logging_is_counted_by_what_its_calls_did() {
    let mut scene = Scene::stock("a-vendor");
    let mut log = |feature, result| {
        let op = FeatureOp {
            get: false,
            set: true,
            probe: false,
        };
        let data = FeatureData::default();
        scene.call(
            DRIVER,
            Call::Feature { feature, op, data },
            result,
            Answer::None,
        );
    };
    log(VFIO_DEVICE_FEATURE_DMA_LOGGING_START, Err(Errno::EINVAL));
    log(VFIO_DEVICE_FEATURE_DMA_LOGGING_START, Ok(0));
    for _ in 0..3 {
        log(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, Ok(0));
    }
    for _ in 0..2 {
        log(VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, Ok(0));
    }
    let stats = scene.stats();
    let logging = &stats.devices[NAME].migration.logging;
    assert_eq!((logging.failed, logging.starts), (1, 1));
    assert_eq!((logging.reports, logging.report_ns), (3, 1500));
    assert_eq!(logging.stops, 2);
}

/// A region or an IRQ whose description cannot be parsed.
fn malformed(scene: &mut Scene, call: Call, reason: &str) {
    let reason = reason.to_owned();
    scene.call(
        SERVICE,
        call,
        Ok(0),
        Answer::Malformed { reason, digest: 1 },
    );
}

#[test]
fn a_malformed_description_is_confirmed_by_the_second_answer() {
    let mut scene = Scene::stock("a-vendor");
    for reason in ["a loop", "a loop", "a loop", "cut off"] {
        malformed(&mut scene, Call::GetRegionInfo { index: 9 }, reason);
        malformed(&mut scene, Call::GetIrqInfo { index: 9 }, reason);
    }
    let mut rules = scene.play().rules();
    rules.sort_unstable();
    assert_eq!(
        rules,
        [["malformed-irq-info"; 3], ["malformed-region-info"; 3]].concat()
    );
}

#[test]
fn an_index_of_vfio_pci_is_not_where_the_remap_irq_is() {
    let mut scene = Scene::stock("a-vendor");
    let info = IrqInfo {
        index: 2,
        flags: 0,
        count: 4,
        kind: None,
        remap: None,
    };
    scene.call(
        SERVICE,
        Call::GetIrqInfo { index: 2 },
        Ok(0),
        Answer::Irq(info),
    );
    scene.change(PreCopy, Err(Errno::ENODEV));
    assert_eq!(scene.play().rules(), ["never-asked"]);
}

#[test]
fn a_kind_of_region_survives_a_loss() {
    let mut scene = Scene::stock("a-vendor");
    let mut migration = region(9, &[]);
    migration.kind = Some((3, 1));
    scene.query(migration);
    scene.push(0, Body::Lost(Lost::any(1)));
    states::word(&mut scene, 3, Ok(4));
    assert_eq!(scene.play().transitions().len(), 1);
}
