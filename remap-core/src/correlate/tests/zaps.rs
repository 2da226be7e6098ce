//! Zaps, the faults after them, and regions that are mapped for DMA.

use remap_common::uapi::{
    VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
};

use super::mainline::{CONTAINER, MEMORY_OFF, REFUSED, SECOND};
use super::*;
use crate::event::{
    ConfigWrite, DmaKind, FaultOutcome, Map, Node, Read, Signal, UNKNOWN_INDEX, ZapCause,
};
use crate::model::{CauseKind, ZapEnd};

fn mapped() -> Scene {
    let mut scene = Scene::stock("vfio-pci");
    scene.map_all(&[0, 2]);
    scene
}

fn config_write(scene: &mut Scene) {
    let body = Body::ConfigWrite(ConfigWrite {
        device: DEVICE,
        offset: 4,
        value: Some(2),
        begin_ns: scene.now,
        result: Ok(2),
    });
    scene.push(DRIVER, body);
}

#[test]
fn pages_come_back_one_by_one() {
    let mut scene = mapped();
    scene.zap((0, 5), MEMORY_OFF);
    let zap_ns = scene.now;
    config_write(&mut scene);
    for region in [0, 2] {
        (0..SIZE / PAGE).for_each(|page| scene.populate(region, page));
    }
    let last_ns = scene.now;
    scene.populate(2, 0);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    let [zap] = played.zaps()[..] else {
        panic!("{:?}", played.zaps());
    };
    assert_eq!(
        (zap.cause.kind, zap.end),
        (CauseKind::MemoryOff, ZapEnd::Complete)
    );
    assert_eq!((zap.time_ns, zap.last_ns), (zap_ns, Some(last_ns)));
    assert_eq!(zap.duration(), Some(last_ns - zap_ns));
    let regions: Vec<u32> = zap.regions.iter().map(|region| region.region).collect();
    assert_eq!(regions, [0, 2]);
    assert_eq!(zap.bytes(), Some(2 * SIZE));
    assert_eq!(zap.regions[0].pages, [(PAGE, 4)].into());
    assert_eq!(zap.fault_ns, 800);
    // The last fault came after the zap's end, but still counts for the region.
    let stats = scene.stats();
    let device = &stats.devices[NAME];
    assert_eq!(device.regions[&2].mapping.faults(), 5);
    assert_eq!(device.zaps[&CauseKind::MemoryOff].populated, 8);
}

#[test]
fn a_page_that_two_threads_touch_is_back_once() {
    let mut scene = mapped();
    scene.zap((0, 0), MEMORY_OFF);
    // Each at another address of the page.
    for offset in (0..SIZE / PAGE).map(|n| PAGE + 8 * n) {
        scene.fault(0, offset, (FaultOutcome::Populated, Some(PAGE)));
    }
    let played = scene.play();
    assert_eq!(played.zaps()[0].end, ZapEnd::TraceEnd);
}

#[test]
fn one_call_that_zaps_mapping_by_mapping_is_one() {
    let mut scene = mapped();
    scene.zap((0, 0), MEMORY_OFF);
    scene.zap((2, 2), MEMORY_OFF);
    config_write(&mut scene);
    scene.zap((0, 0), MEMORY_OFF);
    let played = scene.play();
    let zaps = played.zaps();
    assert_eq!(zaps.len(), 2);
    assert_eq!((zaps[0].steps, zaps[0].end), (2, ZapEnd::NextZap));
    assert_eq!(zaps[0].regions.len(), 2);
    assert_eq!((zaps[1].steps, zaps[1].end), (1, ZapEnd::TraceEnd));
}

#[test]
fn a_zap_settles_when_nothing_comes_any_more() {
    let mut scene = mapped();
    scene.zap((0, 5), ZapCause::Unknown);
    scene.populate(0, 0);
    scene.wait(2 * SECOND);
    scene.populate(0, 1);
    let played = scene.play();
    let zap = played.zaps()[0];
    assert_eq!((zap.end, zap.populated()), (ZapEnd::Quiet, 1));
}

#[test]
fn an_access_while_it_is_off_is_one_finding() {
    let mut scene = mapped();
    scene.zap((0, 5), MEMORY_OFF);
    scene.fault(0, 0, REFUSED);
    scene.fault(0, PAGE, REFUSED);
    let played = scene.play();
    assert_eq!(played.rules(), ["access-refused"]);
    let finding = played.findings()[0];
    assert!(
        played.texts()[0].contains("memory decode off"),
        "{:?}",
        played.texts()
    );
    assert_eq!(finding.region, Some(0));
    assert_eq!(played.zaps()[0].refused(), 2);
}

#[test]
fn a_refusal_that_nothing_explains() {
    let mut scene = mapped();
    scene.fault(0, 0, REFUSED);
    scene.fault(0, 0, REFUSED);
    scene.populate(0, 0);
    scene.fault(0, 0, REFUSED);
    let played = scene.play();
    assert_eq!(played.rules(), ["access-refused"; 2]);
    assert!(played.texts()[0].contains("was not observed"));
}

#[test]
fn a_zap_in_a_state_change_is_its_own() {
    let mut scene = mapped();
    let begin_ns = scene.enter(DeviceState::PreCopy);
    let cause = ZapCause::Ioctl {
        request: VFIO_DEVICE_FEATURE,
        feature: Some(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE),
    };
    scene.zap((0, 5), cause);
    scene.populate(0, 0);
    scene.exit(DeviceState::PreCopy, begin_ns, Ok(0));
    let played = scene.play();
    let (zap, change) = (played.zaps()[0], played.transitions()[0]);
    assert_eq!(zap.cause.kind, CauseKind::StateChange);
    assert_eq!(zap.transition.map(|change| change.id), Some(change.id));
    assert_eq!((change.inside.zaps, change.inside.faults), (1, 1));
}

#[test]
fn a_loss_ends_what_may_miss_a_part() {
    let mut scene = mapped();
    scene.zap((0, 5), MEMORY_OFF);
    scene.push(0, Body::Lost(Lost::any(1)));
    scene.populate(0, 0);
    assert_eq!(scene.play().zaps()[0].end, ZapEnd::Lost);
}

#[test]
fn a_region_that_loses_its_mmap_under_dma() {
    let mut scene = mapped();
    scene.dma(DmaKind::Map, 0x10_0000, 0);
    scene.unmap(0, whole()[0]);
    scene.dma(DmaKind::Unmap, 0x10_0000, 0);
    let played = scene.play();
    assert_eq!(played.rules(), ["dma-mapped"]);
    assert_eq!(played.findings()[0].region, Some(0));
    let stats = scene.stats();
    let mapping = &stats.devices[NAME].regions[&0].mapping;
    assert_eq!((mapping.dma_maps, mapping.dma_unmaps), (1, 1));
}

#[test]
fn a_region_that_is_unmapped_for_dma_first() {
    let mut scene = mapped();
    scene.dma(DmaKind::Map, 0x10_0000, 0);
    scene.dma(DmaKind::Unmap, 0x10_0000, 0);
    scene.unmap(0, whole()[0]);
    scene.dma(DmaKind::Map, 0x20_0000, 2);
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_process_that_ends_leads_to_no_finding() {
    let ends: [fn(&mut Scene); 2] = [
        |scene| scene.close(true),
        |scene| {
            let node = Node::Container { key: CONTAINER };
            scene.push(SERVICE, Body::NodeClose { node });
        },
    ];
    for end in ends {
        let mut scene = mapped();
        scene.dma(DmaKind::Map, 0x10_0000, 0);
        scene.unmap(0, whole()[0]);
        scene.unmap(2, whole()[0]);
        end(&mut scene);
        scene.wait(2 * SECOND);
        assert_eq!(scene.play().rules(), Vec::<&str>::new());
    }
}

#[test]
fn a_trapped_region_that_dma_still_reaches() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.dma(DmaKind::Map, 0x10_0000, 1);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.query(region(1, &[]));
    // Another thread of another process has unmapped it; the IOMMU has not.
    let mut unmapped = scene.events.clone();
    scene.ack(&[1]);
    assert!(scene.play().rules().contains(&"dma-mapped"));
    std::mem::swap(&mut scene.events, &mut unmapped);
    scene.dma(DmaKind::UnmapAll, 0, 1);
    scene.unmap(1, whole()[0]);
    scene.ack(&[1]);
    assert_eq!(scene.play().rules(), Vec::<&str>::new());
}

#[test]
fn a_mapping_that_was_found_is_as_good_as_one_that_was_seen() {
    let mut scene = mapped();
    for event in &mut scene.events {
        if let Body::Map(Map { origin, .. }) = &mut event.body {
            *origin = Origin::Found;
        }
    }
    scene.zap((0, 5), MEMORY_OFF);
    let played = scene.play();
    assert_eq!(played.zaps()[0].regions[1].mapped_bytes, SIZE);
    let stats = scene.stats();
    let mapping = &stats.devices[NAME].regions[&0].mapping;
    assert_eq!((mapping.found, mapping.maps), (1, 0));
}

#[test]
fn who_sleeps_is_woken_by_an_eventfd_that_is_no_interrupt() {
    let mut scene = mapped();
    let cause = ZapCause::Ioctl {
        request: VFIO_DEVICE_FEATURE,
        feature: Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP),
    };
    scene.zap((0, 0), cause);
    // Another one, which nothing wakes.
    config_write(&mut scene);
    scene.zap((2, 2), MEMORY_OFF);
    let (context, target) = (ContextKey(99), Scene::on(UNKNOWN_INDEX, 0));
    let target = Target {
        role: Role::Wakeup,
        ..target
    };
    let signal = Body::Signal(Signal {
        context,
        target,
        addend: 1,
        count: Some(0),
        inside: None,
        in_task: Some(true),
    });
    scene.push(DRIVER, signal.clone());
    let woken_ns = scene.now;
    // It is awake already.
    scene.push(DRIVER, signal);
    scene.push(
        SERVICE,
        Body::Read(Read {
            context,
            target,
            value: Some(1),
            result: Ok(8),
        }),
    );
    scene.populate(0, 0);
    let played = scene.play();
    let zaps = played.zaps();
    let woken: Vec<Option<u64>> = zaps.iter().map(|zap| zap.wakeup_ns).collect();
    assert_eq!(woken, [Some(woken_ns), None]);
    assert_eq!(played.rules(), Vec::<&str>::new());
}

#[test]
fn an_ioctl_that_is_not_known_is_named_by_its_request() {
    let mut scene = mapped();
    let (request, feature) = (0xabcd, None);
    scene.zap((0, 5), ZapCause::Ioctl { request, feature });
    let played = scene.play();
    assert_eq!(played.zaps()[0].cause.to_string(), "ioctl 0xabcd");
}
