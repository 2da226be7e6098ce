//! Single events.

use remap_common::uapi::{
    VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_SET_IRQS,
};

use super::*;
use crate::event::{
    ConfigWrite, Consumed, Context, DeviceFile, DmaCall, Fault, InFlight, MigrationData,
    PrecopyInfo, Signal, StateWriteEnter, StateWriteExit, Write, ZapStep,
};

pub(super) fn feature(feature: u32, data: FeatureData) -> Call {
    let op = FeatureOp {
        get: false,
        set: true,
        probe: false,
    };
    Call::Feature { feature, op, data }
}

fn fault(outcome: FaultOutcome, bytes: Option<u64>, code: Option<u32>) -> Body {
    Body::Fault(Fault {
        device: played::DEVICE,
        region: 0,
        offset: 0x1000,
        address: 0x7000_0000_1000,
        begin_ns: 1,
        outcome,
        bytes,
        code,
    })
}

fn zap(cause: ZapCause) -> Body {
    Body::Zap(ZapStep {
        device: played::DEVICE,
        regions: (0, u32::MAX),
        offset: 0,
        size: 0,
        cause,
    })
}

fn dma(kind: DmaKind, vaddr: Option<u64>) -> Body {
    Body::Dma(DmaCall {
        node: NodeKey(2),
        kind,
        iova: 0,
        size: 4096,
        vaddr,
        begin_ns: 1,
        result: Ok(0),
    })
}

/// One of each kind of event, behind those of a scene.
pub(super) fn every_event() -> Vec<Event> {
    let mut scene = scene();
    let op = FeatureOp {
        get: true,
        set: false,
        probe: true,
    };
    let none = FeatureData::default();
    let calls = [
        Call::Reset,
        Call::Other {
            request: VFIO_DEVICE_SET_IRQS,
        },
        Call::Unreadable {
            request: VFIO_DEVICE_SET_IRQS,
        },
        Call::Feature {
            feature: 1,
            op,
            data: none,
        },
        Call::HotReset,
        Call::BindIommufd { iommufd: 7 },
        Call::AttachPt { pt: 2 },
        Call::DetachPt,
        feature(
            4,
            FeatureData {
                wakeup_fd: Some(8),
                ..none
            },
        ),
        feature(
            6,
            FeatureData {
                page_size: Some(4096),
                ranges: Some(2),
                ..none
            },
        ),
        feature(
            8,
            FeatureData {
                iova: Some(0x1000),
                length: Some(4096),
                page_size: Some(4096),
                ..none
            },
        ),
        feature(
            10,
            FeatureData {
                operation: Some(1),
                ..none
            },
        ),
    ];
    for call in calls {
        let malformed = Answer::Malformed {
            reason: "loops".into(),
            digest: 0,
        };
        scene.call(1, call, Err(Errno::ENOTTY), malformed);
    }
    let stock = IrqInfo {
        index: 2,
        flags: 9,
        count: 65,
        kind: None,
        remap: None,
    };
    let call = Call::GetIrqInfo { index: 2 };
    scene.call(1, call, Ok(0), Answer::Irq(stock));
    scene.set_irqs(IrqAction::Unknown(9), 0, 1, IrqData::Unknown(3));
    scene.set_irqs(IrqAction::Mask, 0, 1, IrqData::Bool(vec![true]));
    let target = played::target(0, Role::Unmask);
    let context = ContextKey(9);
    let device = played::DEVICE;
    let bodies = [
        Body::InFlight(InFlight {
            device,
            call: DeviceCall::Write { region: 9 },
            waits_in: Vec::new(),
        }),
        Body::InFlightOver { device, seen_ns: 3 },
        Body::Release { context, target },
        Body::Write(Write {
            context,
            target,
            begin_ns: 3,
            value: Some(u64::MAX),
            result: Ok(8),
        }),
        Body::Signal(Signal {
            context,
            target,
            addend: 1,
            count: None,
            inside: Some(device),
            in_task: Some(true),
        }),
        Body::StateWriteEnter(StateWriteEnter {
            device,
            region: 9,
            word: None,
        }),
        Body::StateWriteExit(StateWriteExit {
            device,
            region: 9,
            word: Some(3),
            begin_ns: 1,
            result: Ok(4),
        }),
        Body::Owner {
            pid: 100,
            vm: Some("guest".into()),
        },
        Body::Context(Context {
            context: ContextKey(10),
            target: Target {
                index: UNKNOWN_INDEX,
                ..target
            },
            fd: None,
            origin: Origin::SignalledInside,
        }),
        Body::Consumed(Consumed {
            context,
            target,
            value: Some(1),
        }),
        fault(FaultOutcome::Populated, Some(4096), None),
        fault(FaultOutcome::Populated, None, None),
        fault(FaultOutcome::Refused, None, None),
        fault(FaultOutcome::RefusedForDma, None, None),
        fault(FaultOutcome::Fallback, None, None),
        fault(FaultOutcome::Other, None, Some(0x400)),
        zap(ZapCause::Ioctl {
            request: VFIO_DEVICE_FEATURE,
            feature: Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),
        }),
        zap(ZapCause::ConfigWrite {
            offset: 4,
            value: Some(0),
        }),
        zap(ZapCause::StateWrite),
        zap(ZapCause::Unknown),
        Body::ConfigWrite(ConfigWrite {
            device,
            offset: 4,
            value: None,
            begin_ns: 1,
            result: Ok(2),
        }),
        dma(DmaKind::Map, Some(0x7000_0000)),
        dma(DmaKind::Unmap, None),
        dma(DmaKind::UnmapAll, None),
        Body::NodeOpen {
            node: Node::Group { number: Some(4) },
            result: Ok(()),
        },
        Body::NodeOpen {
            node: Node::Cdev { number: None },
            result: Err(Errno::EBUSY),
        },
        Body::NodeClose {
            node: Node::Container { key: NodeKey(2) },
        },
        Body::DeviceFile(DeviceFile {
            device,
            node: Node::Iommufd { key: NodeKey(3) },
            fd: Some(9),
        }),
        Body::Data(MigrationData {
            device: Some(device),
            file: 0xf,
            write: true,
            requested: 9,
            begin_ns: 1,
            result: Ok(9),
        }),
        Body::Data(MigrationData {
            device: None,
            file: 0xf,
            write: false,
            requested: 9,
            begin_ns: 1,
            result: Err(Errno::EIO),
        }),
        Body::PrecopyInfo(PrecopyInfo {
            device: Some(device),
            file: 0xf,
            begin_ns: 1,
            initial_bytes: Some(1),
            dirty_bytes: Some(2),
            result: Ok(0),
        }),
        Body::PrecopyInfo(PrecopyInfo {
            device: None,
            file: 0xf,
            begin_ns: 1,
            initial_bytes: None,
            dirty_bytes: None,
            result: Err(Errno::EINVAL),
        }),
        Body::Request { device, count: 1 },
        Body::Unknown { kind: 99 },
        Body::Lost(crate::event::Lost::any(2)),
        Body::Close {
            device,
            dying: Some(false),
        },
    ];
    for body in bodies {
        scene.push(1, body);
    }
    scene.events
}

#[test]
fn every_event_fits_the_schema() {
    let mut json = Json::new(Vec::new());
    for event in every_event() {
        json.event(&event, played::NAME).unwrap();
    }
    let lines = lines(json.into_inner());
    let mut kinds: Vec<String> = lines.iter().map(|line| field(line, "kind")).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 29, "{kinds:?}");
    let text = serde_json::to_string(&lines).unwrap();
    assert!(text.contains(&u64::MAX.to_string()));
}

#[test]
fn an_event_as_text_shows_no_kernel_address() {
    let mut text = Text::new(Vec::new(), TextOptions::default());
    let scene = scene();
    for event in &scene.events {
        text.event(event, played::NAME).unwrap();
    }
    let text = String::from_utf8(text.into_inner()).unwrap();
    assert!(!text.contains("Key("), "{text}");
    let signal = text.lines().find(|line| line.contains("signal")).unwrap();
    let fields =
        "signal addend=5 context=1 count=0 in_task=true inside=false irq_index=5 role=\"trigger\"";
    assert!(signal.contains(fields), "{signal}");
}
