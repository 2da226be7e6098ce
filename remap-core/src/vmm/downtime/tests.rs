//! Downtimes of migrations that are played by hand.

use proptest::prelude::*;

use super::super::checkpoint::tests::checkpoint;
use super::*;
use crate::event::{
    Answer, Call, DeviceSeen, DeviceState, DmaCall, Exit, FeatureOp, MigrationData, Origin, Task,
};

const SOURCE: DeviceKey = DeviceKey(1);
const FOREIGN: DeviceKey = DeviceKey(9);

fn event(time_ns: u64, body: Body) -> Event {
    let task = Task {
        pid: 5,
        tid: 6,
        comm: "migration".into(),
    };
    Event {
        time_ns,
        cpu: 0,
        task,
        body,
    }
}

fn state_change(device: DeviceKey, begin_ns: u64, end_ns: u64) -> [Event; 2] {
    let op = FeatureOp {
        get: false,
        set: true,
        probe: false,
    };
    let call = || Call::Feature {
        feature: 2,
        op,
        data: DeviceState::StopCopy.into(),
    };
    let enter = Body::Enter {
        device,
        call: call(),
    };
    let exit = Body::Exit(Exit {
        device,
        call: call(),
        begin_ns,
        result: Ok(0),
        answer: Answer::None,
    });
    [event(begin_ns, enter), event(end_ns, exit)]
}

fn read(begin_ns: u64, end_ns: u64) -> Event {
    let body = Body::Data(MigrationData {
        device: Some(SOURCE),
        file: 1,
        write: false,
        requested: 1,
        begin_ns,
        result: Ok(1),
    });
    event(end_ns, body)
}

fn known(device: DeviceKey, name: &str) -> Event {
    let name = name.to_owned();
    let body = Body::Device(DeviceSeen {
        device,
        name,
        driver: None,
        origin: Origin::Seen,
    });
    event(1, body)
}

fn scene() -> Downtimes {
    let mut downtimes = Downtimes::default();
    downtimes.event(&known(SOURCE, "0000:01:00.0"));
    downtimes.event(&known(FOREIGN, "0000:09:00.0"));
    let set = "vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, recover state STOP";
    for (time_ns, words) in [
        (90, set),
        (100, "vmstate_downtime_checkpoint src-downtime-start"),
        (105, "vm_state_notify running 0 reason 5 (finish-migrate)"),
        (200, "vmstate_downtime_checkpoint src-vm-stopped"),
    ] {
        downtimes.checkpoint(&checkpoint("src", time_ns, words));
    }
    for events in [
        // The call begins before the downtime: only its part within counts.
        state_change(SOURCE, 50, 150),
        state_change(FOREIGN, 150, 200),
    ] {
        events.iter().for_each(|event| downtimes.event(event));
    }
    // Twenty of it are within the state change.
    downtimes.event(&read(130, 180));
    downtimes.event(&read(210, 220));
    downtimes
}

#[test]
fn a_machine_that_moved() {
    let mut downtimes = scene();
    let done = "vmstate_downtime_checkpoint src-downtime-end";
    downtimes.checkpoint(&checkpoint("src", 290, done));
    let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    downtimes.checkpoint(&checkpoint("dst", 300, runs));
    assert!(downtimes.advance(SETTLE_NS).is_empty());
    let got = downtimes.advance(300 + SETTLE_NS);
    let [downtime] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(downtime.end, End::Moved);
    assert_eq!(downtime.destination.as_deref(), Some("dst"));
    let whole = &downtime.total;
    assert_eq!((whole.duration(), whole.kernel_ns()), (200, 90));
    let kernel = BTreeMap::from([(Kind::StateChange, 50), (Kind::StateData, 40)]);
    assert_eq!(whole.kernel, kernel);
    let parts: Vec<(&str, u64, u64)> = downtime
        .parts
        .iter()
        .map(|part| (part.from.as_str(), part.duration(), part.kernel_ns()))
        .collect();
    let expected = [
        ("src-downtime-start", 100, 80),
        ("src-vm-stopped", 90, 10),
        ("src-downtime-end", 10, 0),
    ];
    assert_eq!(parts, expected);
    assert!(downtime.complete && downtime.devices.contains("0000:01:00.0"));
    assert!(downtimes.finish(u64::MAX).is_empty());
}

#[test]
fn a_machine_that_went_on_at_the_source() {
    let mut downtimes = scene();
    downtimes.checkpoint(&checkpoint(
        "src",
        280,
        "migrate_set_state new state failed",
    ));
    let runs = "vm_state_notify running 1 reason 9 (running)";
    downtimes.checkpoint(&checkpoint("src", 300, runs));
    let got = downtimes.finish(400);
    assert_eq!((got[0].end, got[0].total.duration()), (End::WentOn, 200));
    assert_eq!(got[0].destination, None);
}

#[test]
fn without_the_destinations_log_a_downtime_ends_at_the_handover() {
    let mut downtimes = scene();
    let done = "vmstate_downtime_checkpoint src-downtime-end";
    downtimes.checkpoint(&checkpoint("src", 290, done));
    let got = downtimes.finish(400);
    assert_eq!(
        (got[0].end, got[0].total.duration()),
        (End::HandedOver, 190)
    );
}

#[test]
fn what_did_not_end_and_what_was_lost() {
    let mut downtimes = scene();
    let [enter, _] = state_change(SOURCE, 350, 999);
    downtimes.event(&enter);
    downtimes.event(&event(360, Body::Lost(crate::event::Lost::any(1))));
    let got = downtimes.finish(400);
    assert_eq!(
        (got[0].end, got[0].total.to.as_deref()),
        (End::TraceEnd, None)
    );
    assert_eq!(got[0].total.kernel[&Kind::StateChange], 100);
    assert!(!got[0].complete);
}

#[test]
fn two_machines_at_once_are_kept_apart() {
    let mut downtimes = scene();
    let stop = "vm_state_notify running 0 reason 5 (finish-migrate)";
    downtimes.checkpoint(&checkpoint("other", 210, stop));
    let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    downtimes.checkpoint(&checkpoint("dst", 300, runs));
    let got = downtimes.finish(400);
    assert_eq!(got.len(), 2);
    assert!(got.iter().all(|downtime| downtime.end == End::TraceEnd));
}

#[test]
fn each_end_has_its_word_in_json() {
    let ends = [End::Moved, End::HandedOver, End::WentOn, End::TraceEnd];
    let names = ends.map(End::name);
    assert_eq!(names, ["moved", "handed_over", "went_on", "trace_end"]);
}

#[test]
fn the_vmms_have_the_rest_of_the_time() {
    let part = Part {
        from: "a".into(),
        to: None,
        begin_ns: 100,
        end_ns: 150,
        kernel: BTreeMap::from([(Kind::Dma, 10), (Kind::Reset, 5)]),
    };
    assert_eq!(
        (part.duration(), part.kernel_ns(), part.vmm_ns()),
        (50, 15, 35)
    );
}

#[test]
fn a_second_stop_of_one_machine_begins_only_after_the_end_of_the_first() {
    let mut downtimes = Downtimes::default();
    let stop = "vmstate_downtime_checkpoint src-downtime-start";
    let runs = "vm_state_notify running 1 reason 9 (running)";
    for (time_ns, words) in [
        (100, stop),
        (150, stop),
        (200, runs),
        (300, stop),
        (330, runs),
    ] {
        downtimes.checkpoint(&checkpoint("src", time_ns, words));
    }
    let got = downtimes.finish(1000);
    let times: Vec<(u64, u64)> = got
        .iter()
        .map(|downtime| (downtime.total.begin_ns, downtime.total.end_ns))
        .collect();
    assert_eq!(times, [(100, 200), (300, 330)]);
}

#[test]
fn the_exact_checkpoint_outranks_the_first_sign() {
    let exact = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    let state = "vm_state_notify running 1 reason 9 (running)";
    let device =
        "vfio_vmstate_change  (0000:01:00.0) running 1 reason running device state RUNNING";
    for (words, end_ns) in [
        ([state, exact, device], 300),
        ([exact, state, device], 290),
        ([device, state, device], 300),
        ([device, device, state], 310),
    ] {
        let mut downtimes = scene();
        for (time_ns, words) in [290, 300, 310].into_iter().zip(words) {
            downtimes.checkpoint(&checkpoint("dst", time_ns, words));
        }
        let got = downtimes.finish(400);
        assert_eq!(
            (got[0].end, got[0].total.end_ns),
            (End::Moved, end_ns),
            "{words:?}"
        );
    }
}

#[test]
fn a_machine_that_moved_does_not_return_within_one_downtime() {
    let mut downtimes = scene();
    let exact = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    let state = "vm_state_notify running 1 reason 9 (running)";
    downtimes.checkpoint(&checkpoint("dst", 290, state));
    downtimes.checkpoint(&checkpoint("src", 295, state));
    downtimes.checkpoint(&checkpoint("dst", 300, exact));
    let got = downtimes.finish(400);
    assert_eq!((got[0].end, got[0].total.end_ns), (End::Moved, 300));
}

#[test]
fn only_the_source_reports_a_handover_or_a_failure() {
    for words in [
        "vmstate_downtime_checkpoint src-downtime-end",
        "migrate_set_state new state failed",
    ] {
        let mut downtimes = scene();
        downtimes.checkpoint(&checkpoint("dst", 290, words));
        assert_eq!(downtimes.finish(400)[0].end, End::TraceEnd, "{words}");
        let mut downtimes = scene();
        downtimes.checkpoint(&checkpoint("src", 290, words));
        assert_ne!(downtimes.finish(400)[0].end, End::TraceEnd, "{words}");
    }
}

#[test]
fn a_downtime_settles_from_its_first_end() {
    let mut downtimes = scene();
    let state = "vm_state_notify running 1 reason 9 (running)";
    downtimes.checkpoint(&checkpoint("dst", 290, state));
    downtimes.checkpoint(&checkpoint("dst", 300, state));
    assert!(downtimes.advance(289 + SETTLE_NS).is_empty());
    assert_eq!(downtimes.advance(290 + SETTLE_NS).len(), 1);
}

#[test]
fn the_error_is_that_of_the_less_exact_end() {
    for (begin, end) in [(3, 5), (5, 3)] {
        let mut downtimes = Downtimes::default();
        for (time_ns, error_ns, words) in [
            (100, begin, "vmstate_downtime_checkpoint src-downtime-start"),
            (200, end, "vmstate_downtime_checkpoint src-downtime-end"),
        ] {
            let mut point = checkpoint("src", time_ns, words);
            point.error_ns = error_ns;
            downtimes.checkpoint(&point);
        }
        assert_eq!(downtimes.finish(300)[0].error_ns, 5);
    }
}

#[test]
fn dma_counts_only_for_the_processes_of_the_named_devices() {
    let dma = |pid| {
        let body = Body::Dma(DmaCall {
            node: crate::event::NodeKey(1),
            kind: crate::event::DmaKind::Map,
            iova: 0,
            size: 4096,
            vaddr: None,
            begin_ns: 230,
            result: Ok(0),
        });
        let mut event = event(240, body);
        event.task.pid = pid;
        event
    };
    for (pid, expected) in [(5, Some(&10)), (77, None)] {
        let mut downtimes = scene();
        downtimes.event(&dma(pid));
        let got = downtimes.finish(400);
        assert_eq!(got[0].total.kernel.get(&Kind::Dma), expected, "{pid}");
    }
    let mut unnamed = Downtimes::default();
    let stop = "vmstate_downtime_checkpoint src-downtime-start";
    unnamed.checkpoint(&checkpoint("src", 100, stop));
    unnamed.event(&dma(77));
    assert_eq!(unnamed.finish(400)[0].total.kernel[&Kind::Dma], 10);
}

#[test]
fn only_kinds_that_took_time_are_in_the_shares() {
    let span = |begin_ns, end_ns, kind| Span {
        begin_ns,
        end_ns,
        kind,
        device: None,
        pid: 1,
    };
    let both = [span(10, 20, Kind::Fault), span(10, 20, Kind::Dma)];
    assert_eq!(split(&both, 0, 100), BTreeMap::from([(Kind::Fault, 10)]));
    let instant = [span(10, 10, Kind::Fault)];
    assert_eq!(split(&instant, 0, 100), BTreeMap::new());
}

proptest! {
    #[test]
    fn the_shares_add_up(spans in prop::collection::vec((0_u64..100, 0_u64..100, 0_usize..7), 0..30)) {
        let spans: Vec<Span> = spans
            .into_iter()
            .map(|(begin_ns, length, kind)| Span {
                begin_ns,
                end_ns: begin_ns + length,
                kind: Kind::ALL[kind],
                device: None,
                pid: 1,
            })
            .collect();
        let sums = split(&spans, 20, 80);
        let covered = (20..80).filter(|ns| spans.iter().any(|span| span.begin_ns <= *ns && *ns < span.end_ns)).count();
        prop_assert_eq!(sums.values().sum::<u64>(), covered as u64);
    }
}
