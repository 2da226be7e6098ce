//! More devices, and more of a device, than there is room for.

use super::*;
use crate::correlate::room;
use crate::event::{DeviceKey, Event};

fn event(time_ns: u64, tid: u32, body: Body) -> Event {
    let task = Task {
        pid: 1,
        tid,
        comm: "vmm".into(),
    };
    Event {
        time_ns,
        cpu: 0,
        task,
        body,
    }
}

fn open(device: u64) -> Body {
    Body::Device(DeviceSeen {
        device: DeviceKey(device),
        name: format!("device {device}"),
        driver: None,
        origin: Origin::Seen,
    })
}

fn close(device: u64) -> Body {
    Body::Close {
        device: DeviceKey(device),
        dying: None,
    }
}

/// The names in what was closed.
fn closed(outputs: &[Output]) -> Vec<&str> {
    let closed = outputs.iter().filter_map(|output| match output {
        Output::Closed(closed) => Some(closed.device.as_str()),
        _ => None,
    });
    closed.collect()
}

#[test]
fn the_devices_that_were_used_last_have_state() {
    let mut correlator = Correlator::new(Options::default());
    let most = room::DEVICES as u64;
    for device in 1..=most {
        correlator.push(&event(device, 1, open(device)));
    }
    correlator.push(&event(most + 1, 1, open(1)));
    correlator.push(&event(most + 2, 1, open(most + 1)));
    for (device, name) in [
        (1, "device 1"),
        (2, UNKNOWN_DEVICE),
        (most, &format!("device {most}")),
    ] {
        let outputs = correlator.push(&event(most + 3, 1, close(device)));
        assert_eq!(closed(&outputs), [name]);
    }
}

#[test]
fn a_device_that_is_closed_leaves_first() {
    let mut correlator = Correlator::new(Options::default());
    let most = room::DEVICES as u64;
    for device in 1..=most {
        correlator.push(&event(device, 1, open(device)));
    }
    correlator.push(&event(most + 1, 1, close(most)));
    correlator.push(&event(most + 2, 1, open(most + 1)));
    let outputs = correlator.push(&event(most + 3, 1, close(1)));
    assert_eq!(closed(&outputs), ["device 1"]);
    assert_eq!(correlator.stats().evicted().tables, 0);
}

#[test]
fn what_has_no_room_is_dropped_as_by_a_loss() {
    let mut scene = Scene::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    for n in 0..10_000 {
        let call = Body::Enter {
            device: DEVICE,
            call: Call::Reset,
        };
        scene.events.push(event(scene.now + 1, 1000 + n, call));
    }
    let played = scene.play();
    let cycles = played.cycles();
    assert_eq!(cycles[0].outcome, Outcome::Incomplete);
    assert_eq!(cycles[0].reason, Some(Reason::RecordsLost));
    assert_eq!(scene.stats().evicted().tables, 1);
    assert_eq!(played.rules(), Vec::<&str>::new());
}
