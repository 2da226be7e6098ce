//! The Rust mirror of `lab/driver/remap_irq.h`, the remap IRQ's own uAPI, and what vfio-bindings
//! lacks of mainline's.
//!
//! The protocol is described there. `remap-user/tests/mirror` compiles the header with the C
//! compiler and compares every size, offset and value with this file.

use vfio_bindings::bindings::vfio::vfio_info_cap_header;

/// `VFIO_IRQ_INFO_FLAG_CAPS`: the answer has a capability chain.
pub const VFIO_IRQ_INFO_FLAG_CAPS: u32 = 1 << 4;

/// `VFIO_IRQ_INFO_CAP_TYPE`, version 1: [`remap_irq_info_cap_type`].
pub const VFIO_IRQ_INFO_CAP_TYPE: u16 = 3;

/// `REMAP_IRQ_INFO_CAP_REGIONS`, version 1: [`remap_irq_info_cap_regions`].
pub const REMAP_IRQ_INFO_CAP_REGIONS: u16 = 0x5242;

/// `REMAP_IRQ_TYPE`: the type of a remap IRQ. Others use this number too: a remap IRQ is
/// identified by type *and* subtype.
pub const REMAP_IRQ_TYPE: u32 = 1;

/// `REMAP_IRQ_SUBTYPE_BITMAP`: one eventfd, the counter is a bitmap of regions.
pub const REMAP_IRQ_SUBTYPE_BITMAP: u32 = 0;

/// `REMAP_IRQ_SUBTYPE_VECTORS`: one eventfd for each region.
pub const REMAP_IRQ_SUBTYPE_VECTORS: u32 = 2;

/// `struct vfio_irq_info` with a capability chain; mainline's ends after `count`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct remap_irq_info {
    /// Bytes that the caller has room for; bytes that the answer needs.
    pub argsz: u32,
    /// `VFIO_IRQ_INFO_*`.
    pub flags: u32,
    /// IRQ index.
    pub index: u32,
    /// Number of sub-indexes.
    pub count: u32,
    /// First capability, from the start of this struct; 0 if none.
    pub cap_offset: u32,
}

/// What an IRQ index is: `VFIO_IRQ_INFO_CAP_TYPE`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct remap_irq_info_cap_type {
    /// Id 3, version 1.
    pub header: vfio_info_cap_header,
    /// Type.
    pub type_: u32,
    /// Subtype; its meaning depends on the type.
    pub subtype: u32,
}

/// Which regions a remap IRQ may name: `REMAP_IRQ_INFO_CAP_REGIONS`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct remap_irq_info_cap_regions {
    /// Id 0x5242, version 1.
    pub header: vfio_info_cap_header,
    /// Region index of bit 0.
    pub base: u32,
    /// 0.
    pub reserved: u32,
    /// Bit n: region `base + n` may be signalled.
    pub mask: u64,
}

/// `struct iommu_ioas_alloc` of mainline's `include/uapi/linux/iommufd.h`, which vfio-bindings
/// leaves out.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct iommu_ioas_alloc {
    /// Size of this struct.
    pub size: u32,
    /// 0.
    pub flags: u32,
    /// The new address space.
    pub out_ioas_id: u32,
}
