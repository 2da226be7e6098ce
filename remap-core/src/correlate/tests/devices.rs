//! Several devices: resets of a bus, closes, and names; regions that are mapped for DMA.

use remap_common::uapi::VFIO_DEVICE_RESET;

use super::mainline::{CONTAINER, SECOND};
use super::*;
use crate::event::{DeviceKey, DeviceSeen, DmaKind, Node, ZapCause};
use DeviceState::{Running, StopCopy};

const NONE: [&str; 0] = [];
const SAME_BUS: &str = "0000:01:00.1";
const OTHER_BUS: &str = "0000:02:00.0";

/// What `play` adds is about another device.
fn of(scene: &mut Scene, key: u64, play: impl Fn(&mut Scene)) {
    let first = scene.events.len();
    play(scene);
    for event in &mut scene.events[first..] {
        match &mut event.body {
            Body::Device(DeviceSeen { device, .. })
            | Body::Enter { device, .. }
            | Body::Exit(Exit { device, .. })
            | Body::Close { device, .. } => *device = DeviceKey(key),
            _ => {}
        }
    }
}

fn named(scene: &mut Scene, name: &str) {
    let body = Body::Device(DeviceSeen {
        device: DEVICE,
        name: name.to_owned(),
        driver: None,
        origin: Origin::Seen,
    });
    scene.push(SERVICE, body);
}

/// How long the device `name` was seen to be in its first state.
fn known_until(played: &Played, name: &str) -> u64 {
    let intervals = played.intervals().into_iter();
    let mut own = intervals.filter(|interval| interval.device == name);
    own.next().unwrap().until_ns
}

#[test]
fn a_hot_reset_may_reset_every_device_of_its_bus() {
    for (call, result, resets) in [
        (Call::HotReset, Ok(0), true),
        (Call::HotReset, Err(Errno::EINVAL), false),
        (Call::Reset, Ok(0), false),
    ] {
        let mut scene = Scene::stock("vfio-pci");
        scene.get_state(Running);
        for (key, name) in [(1, SAME_BUS), (2, OTHER_BUS)] {
            of(&mut scene, key, |scene| {
                named(scene, name);
                scene.get_state(Running);
            });
        }
        scene.call(DRIVER, call, result, Answer::None);
        let reset_ns = scene.now;
        scene.wait(SECOND);
        let end_ns = scene.now;
        let played = scene.play();
        let until_ns = if resets { reset_ns } else { end_ns };
        assert_eq!(known_until(&played, SAME_BUS), until_ns);
        assert_eq!(known_until(&played, OTHER_BUS), end_ns);
    }
}

#[test]
fn only_a_reset_that_succeeds_changes_the_state() {
    let mut scene = Scene::stock("vfio-pci");
    scene.get_state(StopCopy);
    scene.call(DRIVER, Call::Reset, Err(Errno::EIO), Answer::None);
    scene.get_state(StopCopy);
    let played = scene.play();
    assert_eq!(played.rules(), NONE);
    assert_eq!(played.intervals().len(), 1);
}

/// `RESET` zaps all regions in the thread `tid`.
fn reset_zap(scene: &mut Scene, tid: u32) {
    let cause = ZapCause::Ioctl {
        request: VFIO_DEVICE_RESET,
        feature: None,
    };
    scene.zap((0, 5), cause);
    scene.events.last_mut().unwrap().task = task(tid);
}

#[test]
fn after_a_reset_by_another_user_the_state_is_unknown() {
    let mut scene = Scene::stock("vfio-pci");
    scene.get_state(StopCopy);
    reset_zap(&mut scene, SERVICE);
    let reset_ns = scene.now;
    scene.wait(SECOND);
    let played = scene.play();
    let interval = played.intervals()[0];
    assert_eq!((interval.until_ns, interval.left), (reset_ns, false));
}

#[test]
fn the_return_of_an_own_reset_shows_the_state() {
    let mut scene = Scene::stock("vfio-pci");
    scene.get_state(StopCopy);
    let (device, call) = (DEVICE, Call::Reset);
    scene.push(SERVICE, Body::Enter { device, call });
    reset_zap(&mut scene, SERVICE);
    scene.call(SERVICE, Call::Reset, Ok(0), Answer::None);
    let played = scene.play();
    let intervals = played.intervals();
    assert_eq!((intervals[0].state, intervals[0].left), (StopCopy, true));
    assert_eq!((intervals[1].state, intervals[1].entered), (Running, true));
}

#[test]
fn after_a_loss_no_thread_is_known_to_be_in_a_call() {
    let mut scene = Scene::stock("vfio-pci");
    let (device, call) = (DEVICE, Call::Reset);
    scene.push(SERVICE, Body::Enter { device, call });
    scene.push(0, Body::Lost(Lost::any(1)));
    scene.get_state(Running);
    reset_zap(&mut scene, SERVICE);
    let reset_ns = scene.now;
    scene.wait(SECOND);
    assert_eq!(scene.play().intervals()[0].until_ns, reset_ns);
}

#[test]
fn a_user_is_named_for_each_device_at_the_same_address() {
    let mut scene = Scene::stock("vfio-pci");
    scene.get_state(Running);
    scene.close(false);
    named(&mut scene, OTHER_BUS);
    scene.get_state(Running);
    let stats = scene.stats();
    for name in [NAME, OTHER_BUS] {
        let mut users = stats.devices[name].users.iter();
        assert!(users.any(|user| user.pid == PID), "{name}");
    }
}

#[test]
fn a_process_that_ended_is_why_its_cycles_end() {
    for (dying, reason) in [(true, Reason::ProcessEnded), (false, Reason::DeviceClosed)] {
        let mut scene = Scene::new(Encoding::Vectors);
        scene.trigger(&[1]);
        scene.close(dying);
        assert_eq!(scene.play().cycles()[0].reason, Some(reason));
    }
}

/// A device with region 0 mapped, also for DMA.
fn mapped_for_dma() -> Scene {
    let mut scene = Scene::stock("vfio-pci");
    scene.map_all(&[0]);
    scene.dma(DmaKind::Map, 0x10_0000, 0);
    scene
}

/// What is found if the process unmaps the region, and then only lives on.
fn unmapped(mut scene: Scene) -> Vec<&'static str> {
    scene.unmap(0, whole()[0]);
    scene.wait(2 * SECOND);
    scene.play().rules()
}

#[test]
fn a_process_that_runs_on_shows_that_it_forgot_the_dma_mapping() {
    assert_eq!(unmapped(mapped_for_dma()), ["dma-mapped"]);
}

#[test]
fn what_ends_a_dma_mapping_ends_the_violation() {
    let ends: [fn(&mut Scene); 3] = [
        |scene| {
            let node = Node::Container { key: CONTAINER };
            scene.push(SERVICE, Body::NodeClose { node });
        },
        // It may have been removed in what was lost.
        |scene| scene.push(0, Body::Lost(Lost::any(1))),
        // The address of the device is that of another one afterwards.
        |scene| scene.close(false),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut scene = mapped_for_dma();
        end(&mut scene);
        assert_eq!(unmapped(scene), NONE, "{n}");
    }
    let mut scene = mapped_for_dma();
    of(&mut scene, 1, |scene| scene.close(false));
    assert_eq!(unmapped(scene), ["dma-mapped"]);
}

#[test]
fn a_loss_retracts_a_dma_violation_that_is_not_certain() {
    let mut scene = mapped_for_dma();
    scene.unmap(0, whole()[0]);
    scene.push(0, Body::Lost(Lost::any(1)));
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), NONE);
}

#[test]
fn each_mapping_goes_out_if_asked() {
    let mut scene = mapped_for_dma();
    scene.dma(DmaKind::Unmap, 0x10_0000, 0);
    scene.unmap(0, whole()[0]);
    let options = Options {
        mappings: true,
        ..Options::default()
    };
    let outputs = scene.play_with(options).0;
    let mapped: Vec<MappedHow> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Mapped(mapped) => Some(mapped.how),
            _ => None,
        })
        .collect();
    assert_eq!(
        mapped,
        [
            MappedHow::Map,
            MappedHow::DmaMap,
            MappedHow::DmaUnmap,
            MappedHow::Unmap
        ]
    );
    assert_eq!(scene.play().0, []);
}
