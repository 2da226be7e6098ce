//! Which processes used a device.

use super::*;
use crate::event::{DeviceFile, DeviceSeen, Node};

fn device_seen() -> Body {
    Body::Device(DeviceSeen {
        device: DEVICE,
        name: NAME.to_owned(),
        driver: None,
        origin: Origin::Seen,
    })
}

/// Plays one process after the other, all with one pid: the name, the virtual machine, and whether
/// it closes the device by its end. Answers the users of the summary.
fn users(processes: &[(&str, Option<&str>, Option<bool>)]) -> Vec<(String, Option<String>)> {
    let mut correlator = Correlator::new(Options::default());
    let mut vm_before = None;
    let mut time_ns = 0;
    for (comm, vm, dying) in processes {
        let mut push = |body| {
            time_ns += 1000;
            let comm = (*comm).to_owned();
            let task = Task { comm, ..task(7) };
            correlator.push(&Event {
                time_ns,
                cpu: 0,
                task,
                body,
            });
        };
        if vm_before != *vm {
            let vm = vm.map(str::to_owned);
            push(Body::Owner { pid: PID, vm });
        }
        vm_before = *vm;
        push(device_seen());
        push(Body::DeviceFile(DeviceFile {
            device: DEVICE,
            node: Node::Group { number: Some(3) },
            fd: Some(9),
        }));
        if dying.is_some() {
            push(Body::Close {
                device: DEVICE,
                dying: *dying,
            });
        }
    }
    let stats = correlator.into_stats();
    let users = stats.devices[NAME].users.iter();
    let named = |user: &User| {
        assert_eq!(user.pid, PID);
        (user.comm.clone(), user.vm.clone())
    };
    users.map(named).collect()
}

fn named(users: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let owned = |(comm, vm): &(&str, Option<&str>)| ((*comm).into(), vm.map(str::to_owned));
    users.iter().map(owned).collect()
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let dead = Some(true);
    let two = [("first", None), ("second", None)];
    assert_eq!(
        users(&[("first", None, dead), ("second", None, None)]),
        named(&two)
    );
    // It had closed the device before it ended: the name shows it.
    let closed = Some(false);
    assert_eq!(
        users(&[("first", None, closed), ("second", None, None)]),
        named(&two)
    );
    // One of the same name, after one that is known to have ended.
    let same = users(&[("one", None, dead), ("one", None, None)]);
    assert_eq!(same, named(&[("one", None), ("one", None)]));
}

#[test]
fn a_process_that_opens_again_is_one_user() {
    let closed = Some(false);
    let one = users(&[("one", None, closed), ("one", None, closed)]);
    assert_eq!(one, named(&[("one", None)]));
    // Its virtual machine was read late.
    let named_late = users(&[("kvm", None, closed), ("kvm", Some("web"), None)]);
    assert_eq!(named_late, named(&[("kvm", Some("web"))]));
}

#[test]
fn each_machine_has_its_own_name() {
    for close in [Some(true), Some(false), None] {
        let users = users(&[("kvm", Some("web"), close), ("kvm", Some("db"), None)]);
        assert_eq!(users, named(&[("kvm", Some("web")), ("kvm", Some("db"))]));
    }
}
