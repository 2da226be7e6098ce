//! A device region as `VFIO_DEVICE_GET_REGION_INFO` describes it.

use std::mem::offset_of;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vfio_bindings::bindings::vfio::{
    VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_CAP_TYPE, VFIO_REGION_INFO_FLAG_CAPS,
    VFIO_REGION_INFO_FLAG_MMAP, vfio_region_info, vfio_region_info_cap_sparse_mmap,
    vfio_region_info_cap_type, vfio_region_sparse_mmap_area,
};

use super::capability::{self, Buffer, Capability, ChainError, PAGE_SIZE};

/// A part of a region that may be mapped, relative to the region's start.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Area {
    /// Offset within the region, bytes.
    pub offset: u64,
    /// Length, bytes.
    pub size: u64,
}

/// The mappable areas of a region; null in JSON where they are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Option<Vec<Area>>", from = "Option<Vec<Area>>")]
pub struct Areas {
    /// By rising offset.
    pub list: Vec<Area>,
    /// Whether the chain was read, which may restrict the areas. If not, `list` is the whole
    /// region, an upper bound.
    pub known: bool,
}

impl std::ops::Deref for Areas {
    type Target = [Area];

    fn deref(&self) -> &[Area] {
        &self.list
    }
}

impl From<Areas> for Option<Vec<Area>> {
    fn from(areas: Areas) -> Self {
        areas.known.then_some(areas.list)
    }
}

impl From<Option<Vec<Area>>> for Areas {
    fn from(areas: Option<Vec<Area>>) -> Self {
        Self {
            known: areas.is_some(),
            list: areas.unwrap_or_default(),
        }
    }
}

/// `struct vfio_region_info` and its capability chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// Region index.
    pub index: u32,
    /// `VFIO_REGION_INFO_FLAG_*`.
    pub flags: u32,
    /// Size, bytes.
    pub size: u64,
    /// Offset of the region in the device file, bytes.
    pub offset: u64,
    /// The mappable areas, by rising offset: empty without `FLAG_MMAP` (a sparse capability in the
    /// chain is then ignored), the areas of the sparse capability if there is one, else the
    /// whole region.
    pub areas: Areas,
    /// Type and subtype of a device-specific region (`VFIO_REGION_INFO_CAP_TYPE`).
    pub kind: Option<(u32, u32)>,
    /// A sparse capability is in the chain while `FLAG_MMAP` is clear. Legal, without effect.
    pub stale_sparse: bool,
}

/// The region that a user buffer describes after `VFIO_DEVICE_GET_REGION_INFO`: the struct, and
/// the chain behind it. `bytes` may be shorter than the answer.
///
/// # Errors
/// [`ChainError::Truncated`] only if something that is needed is missing from `bytes`;
/// [`ChainError::NotGiven`] if the caller's buffer had no room for the chain, as in the first of
/// two calls; any other if the answer contradicts itself.
pub fn parse(bytes: &[u8]) -> Result<Region, ChainError> {
    let buffer = Buffer::new(bytes, size_of::<vfio_region_info>())?;
    let flags = buffer.u32(offset_of!(vfio_region_info, flags) as u64)?;
    let size = buffer.u64(offset_of!(vfio_region_info, size) as u64)?;
    let mmap = flags & VFIO_REGION_INFO_FLAG_MMAP != 0;
    let chain = if flags & VFIO_REGION_INFO_FLAG_CAPS != 0 {
        let cap_offset = buffer.u32(offset_of!(vfio_region_info, cap_offset) as u64)?;
        capability::chain(buffer, cap_offset)?
    } else {
        Vec::new()
    };
    let sparse = capability::find(&chain, CAP_SPARSE_MMAP)?;
    let areas = match sparse {
        _ if !mmap || size == 0 => Vec::new(),
        Some(sparse) => sparse_areas(sparse, size)?,
        None => vec![Area { offset: 0, size }],
    };
    Ok(Region {
        index: buffer.u32(offset_of!(vfio_region_info, index) as u64)?,
        flags,
        size,
        offset: buffer.u64(offset_of!(vfio_region_info, offset) as u64)?,
        areas: Areas {
            list: areas,
            known: true,
        },
        kind: capability::find(&chain, CAP_TYPE)?.map(kind).transpose()?,
        stale_sparse: sparse.is_some() && !mmap,
    })
}

/// The region from an answer without room for the chain: its fixed part is valid all the same.
///
/// # Errors
/// [`ChainError::Truncated`] if the fixed part is not complete.
pub fn parse_without_chain(bytes: &[u8]) -> Result<Region, ChainError> {
    let buffer = Buffer::new(bytes, size_of::<vfio_region_info>())?;
    let flags = buffer.u32(offset_of!(vfio_region_info, flags) as u64)?;
    let size = buffer.u64(offset_of!(vfio_region_info, size) as u64)?;
    let mappable = flags & VFIO_REGION_INFO_FLAG_MMAP != 0 && size > 0;
    let whole = Area { offset: 0, size };
    Ok(Region {
        index: buffer.u32(offset_of!(vfio_region_info, index) as u64)?,
        flags,
        size,
        offset: buffer.u64(offset_of!(vfio_region_info, offset) as u64)?,
        areas: Areas {
            list: mappable.then_some(whole).into_iter().collect(),
            known: !mappable,
        },
        // Without the flag no area is mappable, with or without a chain.
        kind: None,
        stale_sparse: false,
    })
}

/// `VFIO_REGION_INFO_CAP_SPARSE_MMAP` as wide as it is in the header of a capability.
const CAP_SPARSE_MMAP: u16 = VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16;
/// `VFIO_REGION_INFO_CAP_TYPE` as wide as it is in the header of a capability.
const CAP_TYPE: u16 = VFIO_REGION_INFO_CAP_TYPE as u16;

/// `struct vfio_region_info_cap_type`: type and subtype.
fn kind(capability: Capability<'_>) -> Result<(u32, u32), ChainError> {
    Ok((
        capability.u32(offset_of!(vfio_region_info_cap_type, type_) as u64)?,
        capability.u32(offset_of!(vfio_region_info_cap_type, subtype) as u64)?,
    ))
}

/// `struct vfio_region_info_cap_sparse_mmap`: areas of a region of `region` bytes, sorted.
fn sparse_areas(capability: Capability<'_>, region: u64) -> Result<Vec<Area>, ChainError> {
    const FIRST: u64 = offset_of!(vfio_region_info_cap_sparse_mmap, areas) as u64;
    const STEP: u64 = size_of::<vfio_region_sparse_mmap_area>() as u64;
    let count = capability.u32(offset_of!(vfio_region_info_cap_sparse_mmap, nr_areas) as u64)?;
    // Check the count before reading: the driver may claim more areas than the answer has.
    capability.check(FIRST + u64::from(count) * STEP)?;
    let mut areas = Vec::new();
    for entry in (0..u64::from(count)).map(|n| FIRST + n * STEP) {
        let area = Area {
            offset: capability
                .u64(entry + offset_of!(vfio_region_sparse_mmap_area, offset) as u64)?,
            size: capability.u64(entry + offset_of!(vfio_region_sparse_mmap_area, size) as u64)?,
        };
        check_area(area, region)?;
        areas.push(area);
    }
    areas.sort_unstable();
    for pair in areas.windows(2) {
        if let [a, b] = pair
            && a.offset + a.size > b.offset
        {
            return Err(ChainError::AreaOverlap {
                first: a.offset,
                second: b.offset,
            });
        }
    }
    Ok(areas)
}

/// Checks that `area` consists of whole pages inside a region of `region` bytes. Only the end of
/// the region itself may lie inside a page.
fn check_area(Area { offset, size }: Area, region: u64) -> Result<(), ChainError> {
    let unaligned = ChainError::AreaUnaligned { offset, size };
    if size == 0 {
        return Err(ChainError::AreaEmpty { offset });
    }
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(unaligned);
    }
    match offset.checked_add(size).filter(|end| *end <= region) {
        None => Err(ChainError::AreaOutside {
            offset,
            size,
            region,
        }),
        Some(end) if !size.is_multiple_of(PAGE_SIZE) && end != region => Err(unaligned),
        Some(_) => Ok(()),
    }
}
