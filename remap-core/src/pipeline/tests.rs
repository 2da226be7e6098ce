//! Which events are passed on.

mod losses;

use super::registry::Registry;
use super::scope::{Admission, Scope};
use super::*;
use remap_common::record::Header;
use zerocopy::IntoBytes;

use crate::correlate::tests::{self, Scene as Played};
use crate::decode::tests::words;
use crate::event::{DeviceKey, DeviceSeen, DmaCall, Origin, ZapStep};
use crate::parse::irq::Encoding;
use crate::sink::json::Json;
use crate::vmm::checkpoint::tests::checkpoint;
use losses::loss;

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
    for body in [zap(1), device(1), reset(1), Body::Lost(Lost::any(1))] {
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
    let lost = event(0, Body::Lost(Lost::any(1)));
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

fn text(out: &mut Vec<u8>, filter: Filter) -> Pipeline<Json<&mut Vec<u8>>> {
    let names: VmNames = Box::new(|_| None);
    Pipeline::new(Options::default(), filter, names, true, Json::new(out))
}

#[test]
fn each_record_is_counted_once() {
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    for short in [1, 2, 3] {
        pipeline.record(&[0; 3]);
        assert_eq!(pipeline.taken().undecodable, short);
    }
    let header = Header {
        kind: 9999,
        cpu: 0,
        time_ns: 1,
        pid: 1,
        tid: 1,
        comm: [0; 16],
    };
    for _ in 0..2 {
        pipeline.record(words(header, &[]).as_bytes());
    }
    assert_eq!(pipeline.taken().delivered, 2);
    assert_eq!(pipeline.taken().all(), 5);
}

#[test]
fn idle_means_that_time_brings_nothing_new() {
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    assert!(pipeline.is_idle());
    pipeline.observed(event(5, device(1)));
    assert!(!pipeline.is_idle(), "an event waits for a later one");
    pipeline.advance(SLACK_NS + 2).unwrap();
    assert!(!pipeline.is_idle(), "a finding may wait for its evidence");
    let settled_ns = SETTLE_NS + 1;
    pipeline.advance(settled_ns).unwrap();
    assert!(pipeline.is_idle());
    pipeline.losses([loss(None, (settled_ns, 2 * settled_ns))]);
    pipeline.advance(2 * settled_ns).unwrap();
    assert!(
        !pipeline.is_idle(),
        "an event may still belong to the time of the loss"
    );
    pipeline.advance(4 * settled_ns).unwrap();
    assert!(pipeline.is_idle(), "the loss is behind");
}

#[test]
fn what_the_filter_leaves_out_is_in_the_summary() {
    let mut out = Vec::new();
    let filter = Filter {
        device: Some("0000:02:00.0".to_owned()),
        ..Filter::default()
    };
    let mut pipeline = text(&mut out, filter);
    pipeline.observed(event(5, device(1)));
    pipeline.observed(event(5, reset(1)));
    let summary = pipeline.finish(2, &Account::default()).unwrap();
    assert_eq!(summary.withheld.records, 2);
}

/// A scene with one cycle, and what `between` gives the pipeline before the user acknowledges. Returns
/// the cycle's outcome.
fn outcome(between: fn(&mut Pipeline<Json<&mut Vec<u8>>>, u64)) -> String {
    let mut scene = Played::new(Encoding::Vectors);
    scene.map_all(&[1]);
    scene.trigger(&[1]);
    scene.wake(&[1]);
    scene.trap(&[1]);
    let now_ns = scene.now;
    scene.ack(&[1]);
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    for event in &scene.events {
        if event.time_ns == now_ns {
            between(&mut pipeline, now_ns);
        }
        pipeline.observed(event.clone());
    }
    pipeline.finish(scene.now, &Account::default()).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut cycles = lines.filter(|line: &serde_json::Value| line["type"] == "cycle");
    cycles.next().unwrap()["outcome"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn an_answer_that_could_not_be_read_is_as_bad_as_a_loss() {
    assert_eq!(outcome(|_, _| {}), "remapped");
    let unread = outcome(|pipeline, time_ns| {
        let exit = Exit {
            device: tests::DEVICE,
            call: Call::GetRegionInfo { index: 1 },
            begin_ns: time_ns,
            result: Ok(0),
            answer: Answer::Unreadable,
        };
        let mut unread = event(100, Body::Exit(exit));
        unread.time_ns = time_ns;
        pipeline.observed(unread);
    });
    assert_eq!(unread, "incomplete");
}

#[test]
fn a_loss_before_the_end_casts_doubt_on_the_rest() {
    let lost = outcome(|pipeline, _| pipeline.losses([loss(None, (0, u64::MAX))]));
    assert_eq!(lost, "incomplete");
}

#[test]
fn the_address_of_a_closed_device_may_be_another_device_next_time() {
    let mut scope = scope(None, Some(5), None);
    scope.admit(&event(5, device(1)));
    scope.scope.close(DeviceKey(1));
    assert_eq!(scope.admit(&event(4, zap(1))), Admission::No);
}

#[test]
fn a_checkpoint_waits_for_the_events_of_the_same_instant() {
    let mut out = Vec::new();
    let mut sink = Json::new(&mut out);
    let mut vmm = Vmm::default();
    vmm.push(checkpoint(
        "src",
        5,
        "vmstate_downtime_checkpoint src-vm-stopped",
    ));
    vmm.until(5, &mut sink).unwrap();
    assert!(sink.into_inner().is_empty());
}

/// A record of an unknown kind.
fn record(time_ns: u64) -> Vec<u64> {
    let header = Header {
        kind: 9999,
        cpu: 0,
        time_ns,
        pid: 1,
        tid: 1,
        comm: [0; 16],
    };
    words(header, &[])
}

#[test]
fn a_source_that_brings_more_than_is_passed_on_uses_the_time_of_its_records() {
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    for time_ns in [7, 9, 8] {
        pipeline.record(record(time_ns).as_bytes());
    }
    assert_eq!(pipeline.latest_ns(), 9);
    assert!(!pipeline.is_full());
    (0..MANY as u64).for_each(|n| pipeline.record(record(9 + n * SLACK_NS).as_bytes()));
    assert!(pipeline.is_full());
    pipeline.advance(pipeline.latest_ns()).unwrap();
    assert!(!pipeline.is_full());
}

#[test]
fn a_record_may_have_any_time() {
    let mut out = Vec::new();
    let mut pipeline = text(&mut out, Filter::default());
    for time_ns in [u64::MAX, 0, u64::MAX] {
        pipeline.record(record(time_ns).as_bytes());
        pipeline.advance(u64::MAX).unwrap();
    }
    let summary = pipeline.finish(0, &Account::default()).unwrap();
    assert_eq!(summary.lost_total(), 0);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 3 + 1);
}
