//! A device region as `VFIO_DEVICE_GET_REGION_INFO` describes it.

/// A part of a region that may be mapped, relative to the region's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Area {
    /// Offset within the region, bytes.
    pub offset: u64,
    /// Length, bytes.
    pub size: u64,
}

/// `struct vfio_region_info` and what its capability chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Region index.
    pub index: u32,
    /// `VFIO_REGION_INFO_FLAG_*`.
    pub flags: u32,
    /// Size, bytes.
    pub size: u64,
    /// Offset of the region in the device file, bytes.
    pub offset: u64,
    /// What may be mapped: empty without `FLAG_MMAP` (a sparse capability that is still in the
    /// chain then counts for nothing), the sparse areas if there are any, else the whole region.
    pub areas: Vec<Area>,
    /// Type and subtype of a device-specific region (`VFIO_REGION_INFO_CAP_TYPE`).
    pub kind: Option<(u32, u32)>,
}
