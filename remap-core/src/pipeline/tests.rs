//! Which events are passed on.

use super::registry::Registry;
use super::scope::{Admission, Scope};
use super::*;
use crate::event::{DeviceKey, DeviceSeen, DmaCall, Origin, ZapStep};

fn event(pid: u32, body: Body) -> Event {
    let task = Task {
        pid,
        tid: pid,
        comm: "vmm".into(),
    };
    Event {
        time_ns: 1,
        cpu: 0,
        task,
        body,
    }
}

fn device(key: u64) -> Body {
    Body::Device(DeviceSeen {
        device: DeviceKey(key),
        name: format!("0000:0{key}:00.0"),
        driver: None,
        origin: Origin::Seen,
    })
}

fn reset(key: u64) -> Body {
    Body::Enter {
        device: DeviceKey(key),
        call: Call::Reset,
    }
}

fn zap(key: u64) -> Body {
    Body::Zap(ZapStep {
        device: DeviceKey(key),
        regions: (0, 0),
        offset: 0,
        size: 4096,
        cause: crate::event::ZapCause::Unknown,
    })
}

/// A scope, and the names that it asks for.
struct Scene {
    scope: Scope,
    names: Registry,
}

impl Scene {
    fn admit(&mut self, event: &Event) -> Admission {
        self.names.record(event);
        self.scope.admit(&self.names, event)
    }

    fn runs(&mut self, pid: u32, vm: Option<&str>) {
        let vm = vm.map(str::to_owned);
        self.names.record(&event(pid, Body::Owner { pid, vm }));
    }
}

fn scope(device: Option<&str>, pid: Option<u32>, vm: Option<&str>) -> Scene {
    let scope = Scope::new(Filter {
        device: device.map(str::to_owned),
        pid,
        vm: vm.map(str::to_owned),
    });
    let names = Registry::default();
    Scene { scope, names }
}

#[test]
fn everything_by_default() {
    let mut scope = scope(None, None, None);
    for body in [zap(1), device(1), reset(1), Body::Lost { count: 1 }] {
        assert_eq!(scope.admit(&event(5, body)), Admission::Yes);
    }
    assert_eq!(scope.scope.left_out(), 0);
}

#[test]
fn a_device_by_its_name() {
    let mut scope = scope(Some("0000:02:00.0"), None, None);
    assert_eq!(scope.admit(&event(5, device(1))), Admission::No);
    assert_eq!(scope.admit(&event(5, reset(1))), Admission::No);
    assert_eq!(scope.admit(&event(5, device(2))), Admission::Yes);
    assert_eq!(scope.admit(&event(6, reset(2))), Admission::Yes);
    assert_eq!(scope.scope.left_out(), 2);
    scope.scope.close(DeviceKey(2));
    scope.names.close(DeviceKey(2));
    assert_eq!(scope.admit(&event(5, reset(2))), Admission::No);
}

#[test]
fn a_process_brings_its_device_in_with_its_own_first_act() {
    let mut scope = scope(None, Some(5), None);
    let known = event(4, device(1));
    assert_eq!(scope.admit(&known), Admission::No);
    // Work of the kernel on top of that process is not the process's.
    assert_eq!(scope.admit(&event(5, zap(1))), Admission::No);
    let first = scope.admit(&event(5, reset(1)));
    assert_eq!(first, Admission::After(Box::new(known)));
    assert_eq!(scope.admit(&event(9, zap(1))), Admission::Yes);
    assert_eq!(scope.admit(&event(4, reset(2))), Admission::No);
    let lost = event(0, Body::Lost { count: 1 });
    assert_eq!(scope.admit(&lost), Admission::Yes);
}

#[test]
fn a_machine_is_any_process_that_runs_it() {
    let mut scope = scope(None, None, Some("web"));
    assert_eq!(scope.admit(&event(5, device(1))), Admission::No);
    scope.runs(6, Some("web"));
    scope.runs(7, Some("db"));
    assert_eq!(scope.admit(&event(7, reset(1))), Admission::No);
    assert_eq!(scope.admit(&event(6, device(2))), Admission::Yes);
    scope.runs(6, None);
    assert_eq!(scope.admit(&event(6, device(3))), Admission::No);
}

#[test]
fn what_belongs_to_no_device_belongs_to_a_process() {
    let dma = || {
        Body::Dma(DmaCall {
            node: crate::event::NodeKey(1),
            kind: crate::event::DmaKind::UnmapAll,
            iova: 0,
            size: 0,
            vaddr: None,
            begin_ns: 0,
            result: Ok(0),
        })
    };
    let mut by_pid = scope(None, Some(5), None);
    assert_eq!(by_pid.admit(&event(4, dma())), Admission::No);
    assert_eq!(by_pid.admit(&event(5, dma())), Admission::Yes);
    let mut by_name = scope(Some("0000:01:00.0"), None, None);
    assert_eq!(by_name.admit(&event(4, dma())), Admission::Yes);
}

#[test]
fn the_summary_names_the_machine_that_a_user_runs_last() {
    use crate::model::{Stats, User};
    let mut scene = scope(None, None, None);
    let mut stats = Stats::default();
    for (pid, vm) in [
        (5, Some("web")),
        (5, Some("db")),
        (6, Some("web")),
        (6, None),
    ] {
        scene.runs(pid, vm);
        let comm = "vmm".to_owned();
        let device = stats.devices.entry("0000:01:00.0".to_owned()).or_default();
        let users = &mut device.users;
        users.insert(pid, User { comm, vm: None });
    }
    scene.names.name_users(&mut stats);
    let users = stats.devices["0000:01:00.0"].users.values();
    let vms: Vec<Option<&str>> = users.map(|user| user.vm.as_deref()).collect();
    assert_eq!(vms, [Some("db"), None]);
}
