//! Every kind of line that no scene makes.

use super::*;

/// One of each kind of line beside cycles, changes and findings.
pub(super) fn other_lines() -> Vec<Output> {
    let device = played::NAME.to_owned();
    let task = played::task(played::SERVICE);
    let us = |us: u64| us * 1000;
    let region = ZappedRegion {
        region: 2,
        mapped_bytes: 16 << 20,
        dma_bytes: Some(4096),
        pages: [(4096, 256), (2 << 20, 1)].into(),
        unsized_faults: 0,
        refused: 3,
    };
    let zap = Zap {
        id: 1,
        device: device.clone(),
        cause: CauseKind::LowPowerEntryWithWakeup.into(),
        time_ns: us(10),
        steps: 1,
        task: task.clone(),
        regions: vec![region],
        transition: None,
        first_ns: Some(us(20)),
        last_ns: Some(us(1210)),
        fault_ns: us(400),
        refused_ns: Some(us(30)),
        wakeup_ns: Some(us(15)),
        end_ns: us(1210),
        end: ZapEnd::Quiet,
    };
    let untouched = Zap {
        cause: CauseKind::MemoryOff.into(),
        regions: Vec::new(),
        last_ns: None,
        wakeup_ns: None,
        end: ZapEnd::TraceEnd,
        ..zap.clone()
    };
    let change = IrqChange {
        device: device.clone(),
        time_ns: us(40),
        begin_ns: us(20),
        index: 2,
        name: IrqName::Msix,
        verb: IrqVerb::Enable,
        start: 0,
        count: 65,
        result: Ok(()),
        task: task.clone(),
    };
    let interrupt = Interrupt {
        device: device.clone(),
        index: 2,
        name: IrqName::Msix,
        sub: 3,
        signal_ns: Some(us(41)),
        time_ns: us(50),
        signals: Some(2),
        in_kernel: false,
        task: task.clone(),
    };
    let taken = Interrupt {
        signal_ns: None,
        signals: None,
        in_kernel: true,
        ..interrupt.clone()
    };
    let mapped = Mapped {
        device: device.clone(),
        time_ns: us(60),
        how: MappedHow::DmaMap,
        region: 2,
        offset: 0x1000,
        size: 1 << 20,
        result: Err(Errno::EFAULT),
        origin: Origin::Seen,
        task: task.clone(),
    };
    let data = DataStats {
        reads: 3,
        read_bytes: 3 << 19,
        ..DataStats::default()
    };
    let activity = Activity {
        partial: false,
        faults: 4,
        fault_ns: us(9),
        zaps: 0,
        data,
    };
    let interval = StateInterval {
        device: device.clone(),
        state: DeviceState::PreCopy,
        since_ns: us(70),
        until_ns: us(570),
        entered: true,
        left: false,
        data_fd: Some(9),
        activity,
        precopy: Some(Precopy {
            count: 2,
            initial_bytes: 0,
            dirty_bytes: 4096,
            last_ns: us(500),
        }),
        task: task.clone(),
    };
    let opened = Opened {
        device: device.clone(),
        time_ns: us(5),
        node: Node::Group { number: Some(12) },
        fd: Some(20),
        task: task.clone(),
    };
    let closed = Closed {
        device: device.clone(),
        time_ns: us(900),
        dying: Some(true),
        state: Some(DeviceState::StopCopy),
        inside: None,
        unanswered: Vec::new(),
        task: task.clone(),
    };
    let inferred = Inferred {
        device,
        time_ns: us(80),
        origin: Origin::SignalledInside,
        region: None,
        task,
    };
    let begun = InFlightCall {
        device: played::NAME.into(),
        time_ns: us(950),
        call: DeviceCall::Ioctl(feature(2, DeviceState::StopCopy.into())),
        waits_in: vec!["rr_wait".into(), "rr_set_state".into()],
        last_seen_ns: Some(us(940)),
        task: played::task(played::DRIVER),
    };
    vec![
        Output::Opened(opened),
        Output::Zap(Box::new(zap)),
        Output::Zap(Box::new(untouched)),
        Output::IrqChange(change),
        Output::Interrupt(interrupt),
        Output::Interrupt(taken),
        Output::Mapped(mapped),
        Output::StateInterval(Box::new(interval)),
        Output::Inferred(inferred),
        Output::Closed(closed),
        Output::InFlightCall(InFlightCall {
            last_seen_ns: None,
            time_ns: us(1),
            ..begun.clone()
        }),
        Output::InFlightCall(begun),
    ]
}

#[test]
fn every_other_line_is_readable() {
    let mut text = Text::new(Vec::new(), TextOptions::default());
    text.owner(played::task(played::SERVICE).pid, Some("web"));
    for output in other_lines() {
        text.output(&output).unwrap();
    }
    expect("expected_lines.txt", &text.into_inner());
}

#[test]
fn every_other_line_has_a_class() {
    let classes: Vec<&str> = other_lines()
        .iter()
        .map(|output| output.class().name())
        .collect();
    let expected = [
        "file",
        "mapping",
        "mapping",
        "irq",
        "irq",
        "irq",
        "dma",
        "migration",
        "remap",
        "file",
        "migration",
        "migration",
    ];
    assert_eq!(classes, expected);
}
