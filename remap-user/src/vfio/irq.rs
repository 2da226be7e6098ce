//! An IRQ index as `VFIO_DEVICE_GET_IRQ_INFO` describes it.

/// How a remap IRQ names regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One eventfd; the counter is a bitmap of regions (`REMAP_IRQ_SUBTYPE_BITMAP`).
    Bitmap,
    /// One eventfd for each region (`REMAP_IRQ_SUBTYPE_VECTORS`).
    Vectors,
}

/// What makes an IRQ index a remap IRQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemapIrq {
    /// How it names regions.
    pub encoding: Encoding,
    /// Region index of bit 0 (bitmap) or of sub-index 0 (vectors).
    pub base: u32,
    /// Bit n: region `base + n` may be signalled; `None` where the driver does not say.
    pub mask: Option<u64>,
}

/// `struct vfio_irq_info` and what its capability chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub remap: Option<RemapIrq>,
}
