//! Who is let in.

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

fn scope(device: Option<&str>, pid: Option<u32>, vm: Option<&str>) -> Scope {
    Scope::new(Filter {
        device: device.map(str::to_owned),
        pid,
        vm: vm.map(str::to_owned),
    })
}

#[test]
fn everything_by_default() {
    let mut scope = Scope::default();
    for body in [zap(1), device(1), reset(1), Body::Lost { count: 1 }] {
        assert_eq!(scope.admit(&event(5, body)), Admission::Yes);
    }
    assert_eq!(scope.left_out(), 0);
}

#[test]
fn a_device_by_its_name() {
    let mut scope = scope(Some("0000:02:00.0"), None, None);
    assert_eq!(scope.admit(&event(5, device(1))), Admission::No);
    assert_eq!(scope.admit(&event(5, reset(1))), Admission::No);
    assert_eq!(scope.admit(&event(5, device(2))), Admission::Yes);
    assert_eq!(scope.admit(&event(6, reset(2))), Admission::Yes);
    assert_eq!(scope.left_out(), 2);
    scope.closed(DeviceKey(2));
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
