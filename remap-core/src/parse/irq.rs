//! An IRQ index as `VFIO_DEVICE_GET_IRQ_INFO` describes it.

use std::mem::offset_of;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vfio_bindings::bindings::vfio::vfio_irq_info;

use crate::json;

use super::capability::{self, Buffer, Capability, ChainError};
use super::uapi::{
    REMAP_IRQ_INFO_CAP_REGIONS, REMAP_IRQ_SUBTYPE_BITMAP, REMAP_IRQ_SUBTYPE_VECTORS,
    REMAP_IRQ_TYPE, VFIO_IRQ_INFO_CAP_TYPE, VFIO_IRQ_INFO_FLAG_CAPS, remap_irq_info,
    remap_irq_info_cap_regions, remap_irq_info_cap_type,
};

/// How a remap IRQ names regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// One eventfd; the counter is a bitmap of regions (`REMAP_IRQ_SUBTYPE_BITMAP`).
    Bitmap,
    /// One eventfd for each region (`REMAP_IRQ_SUBTYPE_VECTORS`).
    Vectors,
}

/// What makes an IRQ index a remap IRQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemapIrq {
    /// How it names regions.
    pub encoding: Encoding,
    /// Region index of bit 0 (bitmap) or of sub-index 0 (vectors).
    pub base: u32,
    /// Bit n: region `base + n` may be signalled; `None` if the driver has no mask.
    pub mask: Option<u64>,
}

impl RemapIrq {
    /// The regions that a trigger names: `value` was read from sub-index `sub`.
    pub fn regions(&self, sub: u32, value: u64) -> Vec<u32> {
        match self.encoding {
            Encoding::Vectors => self.base.checked_add(sub).into_iter().collect(),
            Encoding::Bitmap => bits(value)
                .filter_map(|bit| self.base.checked_add(bit))
                .collect(),
        }
    }

    /// Whether the mask contains this region. Without a mask, all 64 regions from `base` on.
    pub fn may_name(&self, region: u32) -> bool {
        let bit = region.checked_sub(self.base).filter(|bit| *bit < u64::BITS);
        bit.is_some_and(|bit| self.mask.is_none_or(|mask| mask & (1 << bit) != 0))
    }

    /// The regions of the mask; empty without a mask.
    pub fn named(&self) -> impl Iterator<Item = u32> {
        // `parse` has checked that the highest fits.
        bits(self.mask.unwrap_or(0)).map(|bit| self.base.saturating_add(bit))
    }
}

/// The numbers of the set bits, from the lowest.
fn bits(word: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| word & (1 << bit) != 0)
}

/// `struct vfio_irq_info` and its capability chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrqInfo {
    /// IRQ index.
    pub index: u32,
    /// `VFIO_IRQ_INFO_*` flags.
    pub flags: u32,
    /// Number of sub-indexes.
    pub count: u32,
    /// Type and subtype (`VFIO_IRQ_INFO_CAP_TYPE`), if the chain names one.
    pub kind: Option<(u32, u32)>,
    /// The remap IRQ's description, if it is one.
    #[serde(flatten, with = "RemapFields")]
    pub remap: Option<RemapIrq>,
}

json::object! {
    /// A remap IRQ's description as it is written, each field null of any other IRQ.
    RemapFields: Option<RemapIrq> {
        /// How it names regions.
        encoding: Option<Encoding>,
        /// Region index of bit 0 (bitmap) or of sub-index 0 (vectors).
        base: Option<u32>,
        /// Bit n: region `base + n` may be signalled; null if the driver has no mask.
        mask: Option<u64>,
    } |remap| Self {
        encoding: remap.map(|remap| remap.encoding),
        base: remap.map(|remap| remap.base),
        mask: remap.and_then(|remap| remap.mask),
    }, |fields| Some(RemapIrq {
        encoding: fields.encoding?,
        base: fields.base?,
        mask: fields.mask,
    })
}

/// The IRQ index that a user buffer describes after `VFIO_DEVICE_GET_IRQ_INFO`: mainline's struct
/// of 16 bytes, or ours of 20 with a chain behind it. `bytes` may be shorter than the answer.
///
/// # Errors
/// [`ChainError::Truncated`] only if something that is needed is missing from `bytes`;
/// [`ChainError::NotGiven`] if the caller's buffer had no room for the chain, as in the first of
/// two calls and for every caller with mainline's struct; any other if the answer
/// contradicts itself.
pub fn parse(bytes: &[u8]) -> Result<IrqInfo, ChainError> {
    let head = Buffer::new(bytes, size_of::<vfio_irq_info>())?;
    let flags = head.u32(offset_of!(vfio_irq_info, flags) as u64)?;
    let mut info = IrqInfo {
        index: head.u32(offset_of!(vfio_irq_info, index) as u64)?,
        flags,
        count: head.u32(offset_of!(vfio_irq_info, count) as u64)?,
        kind: None,
        remap: None,
    };
    if flags & VFIO_IRQ_INFO_FLAG_CAPS == 0 {
        return Ok(info);
    }
    let Ok(buffer) = Buffer::new(bytes, size_of::<remap_irq_info>()) else {
        return Err(ChainError::NotGiven {
            argsz: head.argsz(),
        });
    };
    let cap_offset = buffer.u32(offset_of!(remap_irq_info, cap_offset) as u64)?;
    let chain = capability::chain(buffer, cap_offset)?;
    info.kind = capability::find(&chain, VFIO_IRQ_INFO_CAP_TYPE)?
        .map(kind)
        .transpose()?;
    // Other drivers' IRQs have type 1 as well: the subtype decides.
    let encoding = match info.kind {
        Some((REMAP_IRQ_TYPE, REMAP_IRQ_SUBTYPE_BITMAP)) => Encoding::Bitmap,
        Some((REMAP_IRQ_TYPE, REMAP_IRQ_SUBTYPE_VECTORS)) => Encoding::Vectors,
        _ => return Ok(info),
    };
    let regions = capability::find(&chain, REMAP_IRQ_INFO_CAP_REGIONS)?
        .map(regions)
        .transpose()?;
    info.remap = Some(RemapIrq {
        encoding,
        base: regions.map_or(0, |(base, _)| base),
        mask: regions.map(|(_, mask)| mask),
    });
    Ok(info)
}

/// `struct remap_irq_info_cap_type`: type and subtype.
fn kind(capability: Capability<'_>) -> Result<(u32, u32), ChainError> {
    Ok((
        capability.u32(offset_of!(remap_irq_info_cap_type, type_) as u64)?,
        capability.u32(offset_of!(remap_irq_info_cap_type, subtype) as u64)?,
    ))
}

/// `struct remap_irq_info_cap_regions`: base and mask.
fn regions(capability: Capability<'_>) -> Result<(u32, u64), ChainError> {
    let base = capability.u32(offset_of!(remap_irq_info_cap_regions, base) as u64)?;
    let mask = capability.u64(offset_of!(remap_irq_info_cap_regions, mask) as u64)?;
    let highest = 63_u32.saturating_sub(mask.leading_zeros());
    if base.checked_add(highest).is_none() {
        return Err(ChainError::RegionBeyond { base, mask });
    }
    Ok((base, mask))
}
