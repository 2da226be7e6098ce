//! Calls: the events that have both a begin and a return.

use super::{Column, Derived, Kind};
use crate::event::{Body, Call, DmaKind, Errno, Event, FaultOutcome, RequestName, feature_name};

/// A call, before it is a row.
#[derive(Default)]
struct Returned {
    name: String,
    begin_ns: u64,
    region: Option<u32>,
    result: Option<Result<i64, Errno>>,
    bytes: Option<u64>,
    outcome: Option<&'static str>,
}

/// The derived event of a call that `event` ends; `None` for any other event.
pub fn call(event: &Event, device: Option<&str>) -> Option<Derived> {
    let call = returned(&event.body)?;
    let duration_ns = event.time_ns.checked_sub(call.begin_ns);
    let row = Derived::new(Kind::Call, event.time_ns, Some(&event.task))
        .maybe(Column::Device, device)
        .number(Column::Region, call.region)
        .text(Column::Call, call.name)
        .maybe(Column::Outcome, call.outcome)
        .errno(call.result)
        .number(Column::Bytes, call.bytes)
        .since(Some(call.begin_ns), duration_ns);
    Some(row)
}

fn returned(body: &Body) -> Option<Returned> {
    // What a read or a write returns is a number of bytes.
    let moved =
        |result: &Result<i64, Errno>| result.ok().and_then(|count| u64::try_from(count).ok());
    Some(match body {
        Body::Exit(exit) => Returned {
            name: name(&exit.call),
            begin_ns: exit.begin_ns,
            region: match exit.call {
                Call::GetRegionInfo { index } => Some(index),
                _ => None,
            },
            result: Some(exit.result),
            ..Returned::default()
        },
        Body::StateWriteExit(write) => Returned {
            name: "write device_state".into(),
            begin_ns: write.begin_ns,
            region: Some(write.region),
            result: Some(write.result),
            bytes: moved(&write.result),
            ..Returned::default()
        },
        Body::ConfigWrite(write) => Returned {
            name: "write config".into(),
            begin_ns: write.begin_ns,
            result: Some(write.result),
            bytes: moved(&write.result),
            ..Returned::default()
        },
        Body::Data(data) => Returned {
            name: if data.write {
                "write data"
            } else {
                "read data"
            }
            .into(),
            begin_ns: data.begin_ns,
            result: Some(data.result),
            bytes: moved(&data.result),
            ..Returned::default()
        },
        Body::PrecopyInfo(info) => Returned {
            name: "GET_PRECOPY_INFO".into(),
            begin_ns: info.begin_ns,
            result: Some(info.result),
            ..Returned::default()
        },
        Body::Fault(fault) => Returned {
            name: "fault".into(),
            begin_ns: fault.begin_ns,
            region: Some(fault.region),
            bytes: fault.bytes,
            outcome: Some(outcome(fault.outcome)),
            ..Returned::default()
        },
        Body::Dma(dma) => Returned {
            name: match dma.kind {
                DmaKind::Map => "DMA map",
                DmaKind::Unmap => "DMA unmap",
                DmaKind::UnmapAll => "DMA unmap all",
            }
            .into(),
            begin_ns: dma.begin_ns,
            result: Some(dma.result),
            ..Returned::default()
        },
        _ => return None,
    })
}

fn outcome(outcome: FaultOutcome) -> &'static str {
    match outcome {
        FaultOutcome::Populated => "populated",
        FaultOutcome::Refused => "refused",
        FaultOutcome::RefusedForDma => "refused_for_dma",
        FaultOutcome::Fallback => "fallback",
        FaultOutcome::Other => "other",
    }
}

/// The name of a call in the uAPI, without its prefix.
pub fn name(call: &Call) -> String {
    match call {
        Call::SetIrqs { .. } => "SET_IRQS".into(),
        Call::GetIrqInfo { .. } => "GET_IRQ_INFO".into(),
        Call::GetRegionInfo { .. } => "GET_REGION_INFO".into(),
        Call::Feature { feature, op, .. } => {
            let verb = match (op.probe, op.set, op.get) {
                (true, ..) => "probe",
                (_, true, false) => "set",
                (_, false, true) => "get",
                _ => "call",
            };
            match feature_name(*feature) {
                Some(name) => format!("FEATURE {verb} {name}"),
                None => format!("FEATURE {verb} {feature}"),
            }
        }
        Call::Reset => "RESET".into(),
        Call::HotReset => "PCI_HOT_RESET".into(),
        Call::BindIommufd { .. } => "BIND_IOMMUFD".into(),
        Call::AttachPt { .. } => "ATTACH_IOMMUFD_PT".into(),
        Call::DetachPt => "DETACH_IOMMUFD_PT".into(),
        Call::Other { request } | Call::Unreadable { request } => RequestName(*request).to_string(),
    }
}
