//! Records were lost: fewer reports, and none that is wrong.

use super::mainline::MSIX;
use super::*;
use crate::model::Reason;

fn lose(scene: &mut Scene) {
    scene.push(0, Body::Lost(Lost::any(1)));
}

#[test]
fn an_open_cycle_says_that_records_were_lost() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[1]);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    lose(&mut scene);
    scene.ack(&[1]);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    assert_eq!(played.outcomes(), [Outcome::Incomplete]);
    assert_eq!(played.cycles()[0].reason, Some(Reason::RecordsLost));
    assert_eq!(played.transitions()[0].waited_ns, None);
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn the_next_cycle_is_whole_again() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    lose(&mut scene);
    scene.migration(&[1]);
    scene.migration(&[1]);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let outcomes = played.outcomes();
    assert_eq!(outcomes[0], Outcome::Incomplete);
    assert_eq!(outcomes[1..], [Outcome::Remapped; 4]);
}

#[test]
fn a_loss_that_is_reported_late_retracts_the_finding() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    // The requery was lost.
    scene.ack(&[1]);
    lose(&mut scene);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.cycles()[0].reason, Some(Reason::RecordsLost));
}

#[test]
fn a_loss_discards_stored_facts_and_is_counted_as_incomplete() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(DeviceState::StopCopy);
    lose(&mut scene);
    let lost_ns = scene.now;
    // Its change would be impossible from STOP_COPY: the state is not known any more.
    scene.change(DeviceState::PreCopy, Ok(0));
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let intervals = played.intervals();
    assert_eq!((intervals[0].until_ns, intervals[0].left), (lost_ns, false));
    let change = played.transitions()[0];
    assert_eq!((change.from, change.path.as_slice()), (None, &[][..]));
}

#[test]
fn an_interval_counts_only_its_own_time() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(DeviceState::StopCopy);
    // The read began long before the state was known.
    scene.data(900_000, false, Ok(4096));
    let played = scene.play();
    let interval = played.intervals()[0];
    assert_eq!(interval.activity.data.read_bytes, 4096);
    assert_eq!(interval.activity.data.busy_ns, interval.duration());
}

fn lose_only(scene: &mut Scene, records: LostKind) {
    let lost = Lost {
        records,
        ..Lost::any(0)
    };
    scene.push(0, Body::Lost(lost));
}

#[test]
fn a_lost_read_may_be_the_wake_of_an_open_cycle() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    lose_only(&mut scene, LostKind::Read);
    scene.trap(&[1]);
    scene.ack(&[1]);
    let played = scene.play();
    assert_eq!(played.cycles()[0].reason, Some(Reason::RecordsLost));
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn a_trigger_that_was_lost_is_no_timeout_without_a_trigger() {
    let fail = |lossy: bool| {
        let mut scene = Scene::new(Encoding::Vectors);
        scene.map_all(&[1]);
        scene.migration(&[1]);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        if lossy {
            lose_only(&mut scene, LostKind::Signal);
        }
        scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ETIMEDOUT));
        scene.wait(2_000_000_000);
        let rules = scene.play().rules().join(" ");
        rules.contains("wait-timeout")
    };
    assert!(fail(false));
    assert!(!fail(true));
}

#[test]
fn lost_signals_of_a_vector_are_counted_by_its_eventfd() {
    let mut scene = Scene::stock("vfio-pci");
    scene.enable_on(MSIX, &[20], Ok(0));
    for value in [1, 1, 4] {
        if value > 1 {
            lose_only(&mut scene, LostKind::Signal);
        }
        scene.signal_on(MSIX, 0, 20);
        scene.read_on(MSIX, 0, 20, value);
    }
    let stats = scene.stats();
    let vector = &stats.devices[NAME].irqs[&MSIX].vectors[&0];
    assert_eq!(
        (vector.signals, vector.missed, vector.incomplete),
        (3, 3, false)
    );
}

#[test]
fn any_count_of_an_eventfd_can_be_added_up() {
    let mut scene = Scene::stock("vfio-pci");
    scene.enable_on(MSIX, &[20], Ok(0));
    for value in [1, u64::MAX, u64::MAX] {
        lose_only(&mut scene, LostKind::Signal);
        scene.signal_on(MSIX, 0, 20);
        scene.read_on(MSIX, 0, 20, value);
    }
    let stats = scene.stats();
    let irq = &stats.devices[NAME].irqs[&MSIX];
    assert_eq!(irq.vectors[&0].missed, u64::MAX);
    assert_eq!(irq.sum(|vector| vector.missed), u64::MAX);
}

#[test]
fn lost_figures_are_lower_bounds_and_the_state_stays_known() {
    let mut scene = Scene::stock("a-vendor");
    scene.get_state(DeviceState::StopCopy);
    scene.data(500, false, Ok(4096));
    lose_only(&mut scene, LostKind::Data);
    scene.change(DeviceState::Stop, Ok(0));
    scene.wait(2_000_000_000);
    let played = scene.play();
    // The rest of the data may be what was lost.
    assert_eq!(played.rules(), Vec::<&str>::new());
    let interval = played.intervals()[0];
    assert!(interval.activity.partial && interval.left);
    assert!(!played.intervals()[1].activity.partial);
}
