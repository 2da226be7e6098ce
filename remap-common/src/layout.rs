//! The offsets and shapes of the running kernel, measured by user space from BTF and read by the
//! programs. They stand in for CO-RE relocations, which rustc does not emit.

mod memory;
mod node;
mod stream;
mod task;
mod walk;

pub use memory::MemoryLayout;
pub use node::NodeLayout;
pub use stream::StreamLayout;
pub use task::{KernelAddresses, TaskLayout};
pub use walk::WalkLayout;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Offset of a member that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets within kernel structures, and shapes of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct KernelLayout {
    /// The current task and CPU.
    pub task: TaskLayout,
    /// Mappings, faults and zaps.
    pub memory: MemoryLayout,
    /// Groups and device nodes.
    pub node: NodeLayout,
    /// Files, and how an fd leads to one.
    pub stream: StreamLayout,
    /// What was there before the trace.
    pub walk: WalkLayout,
    /// `struct file.private_data`.
    pub file_private_data: u32,
    /// `struct file.f_op`.
    pub file_f_op: u32,
    /// `struct kiocb.ki_filp`.
    pub kiocb_filp: u32,
    /// `struct iov_iter.iter_type`.
    pub iter_type: u32,
    /// `struct iov_iter.ubuf`.
    pub iter_ubuf: u32,
    /// `struct iov_iter.iov_offset`.
    pub iter_offset: u32,
    /// The value of `ITER_UBUF` in `enum iter_type`; [`ABSENT`] before 6.0 (fcb14cb1bdac).
    pub iter_is_ubuf: u32,
    /// `struct eventfd_ctx.count`.
    pub eventfd_count: u32,
    /// `struct eventfd_ctx.flags`.
    pub eventfd_flags: u32,
    /// `struct eventfd_ctx.kref`.
    pub eventfd_kref: u32,
    /// `struct vm_area_struct.vm_start`.
    pub vma_start: u32,
    /// `struct vm_area_struct.vm_end`.
    pub vma_end: u32,
    /// `struct vm_area_struct.vm_pgoff`.
    pub vma_pgoff: u32,
    /// `struct vm_area_struct.vm_file`.
    pub vma_file: u32,
    /// `struct vfio_device_file.device`; [`ABSENT`] before 6.6 (b1a59be8a2b6), where the device
    /// file's private data is the device itself.
    pub device_file_device: u32,
    /// `struct vfio_device.dev`, the pointer to the parent device.
    pub vfio_device_dev: u32,
    /// `struct vfio_device.open_count`.
    pub vfio_device_open_count: u32,
    /// `struct device.kobj.name`.
    pub device_name: u32,
    /// `struct device.driver`.
    pub device_driver: u32,
    /// `struct device_driver.name`.
    pub driver_name: u32,
    /// 1 where `eventfd_signal_mask` has the addend as its second parameter; 0 from 6.8 on
    /// (3652117f8548), where it always adds 1.
    pub signal_has_addend: u32,
}

impl KernelLayout {
    /// All members absent.
    pub const UNKNOWN: Self = Self {
        task: TaskLayout::UNKNOWN,
        memory: MemoryLayout::UNKNOWN,
        node: NodeLayout::UNKNOWN,
        stream: StreamLayout::UNKNOWN,
        walk: WalkLayout::UNKNOWN,
        file_private_data: ABSENT,
        file_f_op: ABSENT,
        kiocb_filp: ABSENT,
        iter_type: ABSENT,
        iter_ubuf: ABSENT,
        iter_offset: ABSENT,
        iter_is_ubuf: ABSENT,
        eventfd_count: ABSENT,
        eventfd_flags: ABSENT,
        eventfd_kref: ABSENT,
        vma_start: ABSENT,
        vma_end: ABSENT,
        vma_pgoff: ABSENT,
        vma_file: ABSENT,
        device_file_device: ABSENT,
        vfio_device_dev: ABSENT,
        vfio_device_open_count: ABSENT,
        device_name: ABSENT,
        device_driver: ABSENT,
        driver_name: ABSENT,
        signal_has_addend: 0,
    };
}
