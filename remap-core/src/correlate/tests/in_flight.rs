//! Calls that were in flight when the trace began.

use super::*;
use crate::event::{DeviceCall, InFlight};

/// A change to PRE_COPY that the device's user is in.
fn found(scene: &mut Scene) {
    let body = Body::InFlight(InFlight {
        device: DEVICE,
        call: DeviceCall::Ioctl(Scene::set_state(DeviceState::PreCopy)),
        waits_in: vec!["wait".to_owned(), "set_state".to_owned()],
    });
    scene.push(DRIVER, body);
}

fn over(scene: &mut Scene) {
    let seen_ns = scene.now;
    let body = Body::InFlightOver {
        device: DEVICE,
        seen_ns,
    };
    scene.push(DRIVER, body);
}

fn reported(played: &Played) -> Vec<(u64, Option<u64>)> {
    let call = |output: &Output| match output {
        Output::InFlightCall(call) => Some((call.time_ns, call.last_seen_ns)),
        _ => None,
    };
    played.0.iter().filter_map(call).collect()
}

#[test]
fn a_call_is_reported_when_it_is_found_and_when_it_ends() {
    let mut scene = Scene::stock("a-vendor");
    found(&mut scene);
    let found_ns = scene.now;
    scene.wait(5_000_000_000);
    let seen_ns = scene.now;
    over(&mut scene);
    // It may have left the device in any state.
    let begin_ns = scene.enter(DeviceState::StopCopy);
    scene.exit(DeviceState::StopCopy, begin_ns, Ok(0));
    let over_ns = seen_ns + 1000;
    let played = scene.play();
    assert_eq!(
        reported(&played),
        [(found_ns, None), (over_ns, Some(seen_ns))]
    );
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.transitions()[0].from, None);
}

#[test]
fn the_next_call_of_its_thread_ends_it_too() {
    let mut scene = Scene::stock("a-vendor");
    found(&mut scene);
    let found_ns = scene.now;
    scene.wait(5_000_000_000);
    let next_ns = scene.enter(DeviceState::StopCopy);
    over(&mut scene);
    let played = scene.play();
    assert_eq!(
        reported(&played),
        [(found_ns, None), (next_ns, Some(found_ns))]
    );
}

#[test]
fn a_call_that_was_seen_to_begin_is_none() {
    let mut scene = Scene::stock("a-vendor");
    scene.enter(DeviceState::StopCopy);
    found(&mut scene);
    over(&mut scene);
    assert_eq!(reported(&scene.play()), []);
}

#[test]
fn a_call_that_lasts_is_found_with_the_place_where_it_waits() {
    let mut scene = Scene::stock("a-vendor");
    found(&mut scene);
    scene.wait(900_000_000);
    assert_eq!(
        scene.play().rules(),
        Vec::<&str>::new(),
        "too soon to decide"
    );
    let mut scene = Scene::stock("a-vendor");
    found(&mut scene);
    scene.wait(12_000_000_000);
    let played = scene.play();
    assert_eq!(played.rules(), ["never-returned"]);
    let text = played.texts().remove(0);
    assert!(
        text.starts_with("the change to PRE_COPY by user-102 102 was in flight")
            && text.ends_with(
                "in the 12.0 s since; it waited in wait ← set_state when remap found it"
            ),
        "{text}"
    );
}

#[test]
fn a_call_is_over_when_its_device_is_closed() {
    let mut scene = Scene::stock("a-vendor");
    found(&mut scene);
    let found_ns = scene.now;
    scene.wait(5_000_000_000);
    let (device, dying) = (DEVICE, Some(true));
    scene.push(DRIVER, Body::Close { device, dying });
    let close_ns = scene.now;
    over(&mut scene);
    let played = scene.play();
    let expected = [(found_ns, None), (close_ns, Some(found_ns))];
    assert_eq!(reported(&played), expected);
}
