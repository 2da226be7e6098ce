//! Mappings, faults, zaps, config space, and mappings for DMA.

use remap_common::{
    record::{self, Cause, DmaKind, UNKNOWN_SIZE},
    uapi,
};

use super::{known, result, split};
use crate::event::{
    ConfigWrite, DeviceKey, DmaCall, Fault, FaultOutcome, Map, NodeKey, Place, Unmap, ZapCause,
    ZapStep, bodies,
};
use crate::parse::region::Area;

bodies! {
    Map(raw) => Self::Map(map(raw)?),
    Unmap(raw) => Self::Unmap(Unmap {
        device: DeviceKey(raw.device),
        place: place(raw.offset, raw.size, raw.address),
    }),
    Fault(raw) => Self::Fault(fault(raw)),
    Zap(raw) => Self::Zap(zap(raw)?),
    ConfigWrite(raw) => Self::ConfigWrite(ConfigWrite {
        device: DeviceKey(raw.device),
        offset: raw.offset,
        value: known(raw.value, raw.value_known),
        begin_ns: raw.begin_ns,
        result: result(raw.result),
    }),
    Dma(raw) => Self::Dma(dma(raw)?),
}

/// `enum vm_fault_reason` (include/linux/mm_types.h).
mod vm_fault {
    pub const OOM: u32 = 0x1;
    pub const SIGBUS: u32 = 0x2;
    pub const NOPAGE: u32 = 0x100;
    pub const FALLBACK: u32 = 0x800;
}

fn place(offset: u64, size: u64, address: u64) -> Place {
    let (region, offset) = split(offset);
    Place {
        region,
        area: Area { offset, size },
        address,
    }
}

fn map(raw: &record::Map) -> Option<Map> {
    Some(Map {
        device: DeviceKey(raw.device),
        place: place(raw.offset, raw.size, raw.address),
        result: result(raw.result).map(drop),
        origin: raw.origin.known()?,
    })
}

fn fault(raw: &record::Fault) -> Fault {
    let (region, offset) = split(raw.offset);
    let outcome = match raw.result {
        code if code & (vm_fault::OOM | vm_fault::SIGBUS) == vm_fault::SIGBUS => {
            if raw.for_dma != 0 {
                FaultOutcome::RefusedForDma
            } else {
                FaultOutcome::Refused
            }
        }
        vm_fault::FALLBACK => FaultOutcome::Fallback,
        0 | vm_fault::NOPAGE => FaultOutcome::Populated,
        _ => FaultOutcome::Other,
    };
    let populated = outcome == FaultOutcome::Populated && raw.size != UNKNOWN_SIZE;
    Fault {
        device: DeviceKey(raw.device),
        region,
        offset,
        address: raw.address,
        begin_ns: raw.begin_ns,
        outcome,
        bytes: populated.then_some(raw.size),
        code: (outcome == FaultOutcome::Other).then_some(raw.result),
    }
}

fn zap(raw: &record::Zap) -> Option<ZapStep> {
    let (first, offset) = split(raw.offset);
    // A length of 0 means all behind the offset (`unmap_mapping_range`).
    let last = match raw.size {
        0 => u32::MAX,
        size => split(raw.offset.saturating_add(size - 1)).0,
    };
    Some(ZapStep {
        device: DeviceKey(raw.device),
        regions: (first, last),
        offset,
        size: raw.size,
        cause: cause(raw)?,
    })
}

fn cause(raw: &record::Zap) -> Option<ZapCause> {
    let value = known(raw.value, raw.value_known);
    Some(match raw.cause.known()? {
        Cause::Ioctl => ZapCause::Ioctl {
            request: raw.detail,
            feature: value
                .filter(|_| raw.detail == uapi::VFIO_DEVICE_FEATURE)
                .map(|flags| flags & uapi::VFIO_DEVICE_FEATURE_MASK),
        },
        Cause::ConfigWrite => ZapCause::ConfigWrite {
            offset: u64::from(raw.detail),
            value,
        },
        Cause::StateWrite => ZapCause::StateWrite,
        Cause::Unknown => ZapCause::Unknown,
    })
}

fn dma(raw: &record::Dma) -> Option<DmaCall> {
    let kind = raw.operation.known()?;
    Some(DmaCall {
        node: NodeKey(raw.node),
        kind,
        iova: raw.iova,
        size: raw.size,
        vaddr: (kind == DmaKind::Map).then_some(raw.vaddr),
        begin_ns: raw.begin_ns,
        result: result(raw.result),
    })
}
