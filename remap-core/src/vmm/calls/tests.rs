//! Calls as single events make them.

use super::*;
use crate::event::{
    Answer, ConfigWrite, DeviceState, DmaCall, DmaKind, Errno, Exit, Fault, FaultOutcome,
    FeatureOp, IrqAction, IrqData, MigrationData, NodeKey, PrecopyInfo, StateWriteEnter,
    StateWriteExit, Task,
};

const DEVICE: DeviceKey = DeviceKey(1);
const OTHER: DeviceKey = DeviceKey(2);

fn event(time_ns: u64, body: Body) -> Event {
    Event {
        time_ns,
        cpu: 0,
        task: Task {
            pid: 5,
            tid: 6,
            comm: "vmm".into(),
        },
        body,
    }
}

fn calls(events: impl IntoIterator<Item = (u64, Body)>) -> Calls {
    let mut calls = Calls::default();
    for (time_ns, body) in events {
        calls.record(&event(time_ns, body));
    }
    calls
}

fn enter(device: DeviceKey, call: Call) -> Body {
    Body::Enter { device, call }
}

fn exit(call: Call, begin_ns: u64) -> Body {
    Body::Exit(Exit {
        device: DEVICE,
        call,
        begin_ns,
        result: Ok(0),
        answer: Answer::None,
    })
}

fn state_write_enter() -> Body {
    Body::StateWriteEnter(StateWriteEnter {
        device: DEVICE,
        region: 9,
        word: Some(1),
    })
}

fn state_write_exit(begin_ns: u64) -> Body {
    Body::StateWriteExit(StateWriteExit {
        device: DEVICE,
        region: 9,
        word: Some(1),
        begin_ns,
        result: Ok(4),
    })
}

fn set_irqs() -> Call {
    Call::SetIrqs {
        index: 2,
        start: 0,
        count: 0,
        action: IrqAction::Trigger,
        data: IrqData::None,
    }
}

fn feature(data: FeatureData) -> Call {
    let op = FeatureOp {
        get: false,
        set: true,
        probe: false,
    };
    Call::Feature {
        feature: 2,
        op,
        data,
    }
}

#[test]
fn each_kind_has_its_own_name_and_words() {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let expected = [
        "state_change",
        "state_data",
        "fault",
        "interrupts",
        "dma",
        "reset",
        "other",
    ];
    assert_eq!(names, expected);
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.words()).collect();
    let expected = [
        "state changes",
        "state data",
        "faults",
        "interrupt setup",
        "DMA mappings",
        "resets",
        "other calls",
    ];
    assert_eq!(words, expected);
}

#[test]
fn an_ioctl_has_the_kind_of_its_call() {
    for (call, kind) in [
        (feature(DeviceState::Stop.into()), Kind::StateChange),
        (feature(FeatureData::default()), Kind::Other),
        (set_irqs(), Kind::Interrupts),
        (Call::Reset, Kind::Reset),
        (Call::HotReset, Kind::Reset),
    ] {
        let open = calls([(10, enter(DEVICE, call.clone()))]).between(0, 20);
        assert_eq!(open.len(), 1, "{call:?}");
        assert_eq!(open[0].kind, kind, "{call:?}");
        let done = calls([(15, exit(call.clone(), 10))]).between(0, 20);
        assert_eq!(done[0].kind, kind, "{call:?}");
    }
}

#[test]
fn each_return_is_a_call_of_its_kind() {
    let device = Some(DEVICE);
    let begin_ns = 10;
    let bodies = [
        (state_write_exit(begin_ns), device, Kind::StateChange),
        (
            Body::Data(MigrationData {
                device,
                file: 1,
                write: true,
                requested: 8,
                begin_ns,
                result: Ok(8),
            }),
            device,
            Kind::StateData,
        ),
        (
            Body::PrecopyInfo(PrecopyInfo {
                device,
                file: 1,
                begin_ns,
                initial_bytes: None,
                dirty_bytes: None,
                result: Err(Errno::EINVAL),
            }),
            device,
            Kind::StateData,
        ),
        (
            Body::Fault(Fault {
                device: DEVICE,
                region: 0,
                offset: 0,
                address: 0,
                begin_ns,
                outcome: FaultOutcome::Refused,
                bytes: None,
                code: None,
            }),
            device,
            Kind::Fault,
        ),
        (
            Body::Dma(DmaCall {
                node: NodeKey(7),
                kind: DmaKind::Map,
                iova: 0,
                size: 4096,
                vaddr: None,
                begin_ns,
                result: Ok(0),
            }),
            None,
            Kind::Dma,
        ),
        (
            Body::ConfigWrite(ConfigWrite {
                device: DEVICE,
                offset: 4,
                value: None,
                begin_ns,
                result: Ok(2),
            }),
            device,
            Kind::Other,
        ),
    ];
    for (body, device, kind) in bodies {
        let span = Span {
            begin_ns,
            end_ns: 30,
            kind,
            device,
            pid: 5,
        };
        assert_eq!(calls([(30, body)]).between(0, 100), [span]);
    }
}

#[test]
fn a_call_in_flight_lasts_until_its_return() {
    let in_flight = Span {
        begin_ns: 10,
        end_ns: 100,
        kind: Kind::StateChange,
        device: Some(DEVICE),
        pid: 5,
    };
    assert_eq!(
        calls([(10, state_write_enter())]).between(0, 100),
        [in_flight]
    );
    let returned = [(10, state_write_enter()), (20, state_write_exit(10))];
    let returned = calls(returned).between(0, 100);
    assert_eq!((returned.len(), returned[0].end_ns), (1, 20));
    let returned = [
        (10, enter(DEVICE, Call::Reset)),
        (20, exit(Call::Reset, 10)),
    ];
    let returned = calls(returned).between(0, 100);
    assert_eq!((returned.len(), returned[0].end_ns), (1, 20));
}

#[test]
fn the_close_of_a_device_ends_only_its_calls_in_flight() {
    let close = Body::Close {
        device: DEVICE,
        dying: None,
    };
    let open = calls([
        (10, enter(DEVICE, Call::Reset)),
        (11, enter(OTHER, Call::Reset)),
        (20, close),
    ])
    .between(0, 100);
    assert_eq!((open.len(), open[0].device), (1, Some(OTHER)));
}

#[test]
fn calls_are_cut_to_the_time_asked_for() {
    let calls = calls([(30, exit(Call::Reset, 10))]);
    let cut = |begin_ns, end_ns| {
        let spans = calls.between(begin_ns, end_ns);
        spans.first().map(|span| (span.begin_ns, span.end_ns))
    };
    assert_eq!(cut(0, 20), Some((10, 20)));
    assert_eq!(cut(20, 40), Some((20, 30)));
    assert_eq!(cut(0, 10), None);
    assert_eq!(cut(30, 40), None);
}

#[test]
fn a_loss_makes_only_the_time_before_it_incomplete() {
    let calls = calls([(50, Body::Lost(crate::event::Lost::any(1)))]);
    assert!(!calls.complete_since(40));
    assert!(!calls.complete_since(50));
    assert!(calls.complete_since(51));
}

#[test]
fn the_oldest_call_is_dropped_when_too_many_are_kept() {
    const COUNT: u64 = 524_288;
    let mut calls = Calls::default();
    let span = |end_ns| Span {
        begin_ns: 0,
        end_ns,
        kind: Kind::Other,
        device: None,
        pid: 1,
    };
    (1..=COUNT).for_each(|end_ns| calls.keep(span(end_ns)));
    assert!(calls.complete_since(1));
    calls.keep(span(COUNT + 1));
    assert!(!calls.complete_since(1));
    assert!(calls.complete_since(2));
    assert_eq!(calls.returned.len() as u64, COUNT);
}
