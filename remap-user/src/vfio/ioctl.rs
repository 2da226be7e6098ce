//! The only place that issues ioctls, under the numbers of `remap_common::uapi`.
//!
//! Each function is one request, and returns the answer of the kernel.

#![expect(unsafe_code, reason = "ioctl(2) takes untyped pointers")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio::{
    VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, vfio_device_attach_iommufd_pt,
    vfio_device_bind_iommufd, vfio_device_info, vfio_group_status, vfio_iommu_type1_dma_map,
    vfio_iommu_type1_dma_unmap, vfio_precopy_info,
};

use super::mapping::Mapping;
use remap_common::uapi::{
    IOMMU_IOAS_ALLOC, VFIO_CHECK_EXTENSION, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
    VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_FEATURE, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS, VFIO_GET_API_VERSION,
    VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER, VFIO_IOMMU_MAP_DMA,
    VFIO_IOMMU_UNMAP_DMA, VFIO_MIG_GET_PRECOPY_INFO, VFIO_SET_IOMMU,
};
use remap_core::parse::uapi::iommu_ioas_alloc;

/// A request whose argument is a number, or none.
fn value(fd: BorrowedFd<'_>, request: u32, argument: libc::c_ulong) -> io::Result<libc::c_int> {
    // SAFETY: the argument of these requests is not a pointer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request.into(), argument) })
}

/// A request whose argument is a struct without pointers, which the kernel reads and writes
/// within its size.
fn structure<T>(fd: BorrowedFd<'_>, request: u32, argument: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `argument` is live and exclusive; the callers below pass the request's own
    // plain-integer struct, whose size is what the request reads and writes.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request.into(), std::ptr::from_mut(argument)) })
}

/// A request whose argument begins with `argsz`. Sets it to the buffer's size.
fn sized(fd: BorrowedFd<'_>, request: u32, buffer: &mut [u8]) -> io::Result<libc::c_int> {
    let argsz = u32::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    buffer
        .first_chunk_mut()
        .map(|head: &mut [u8; 4]| *head = argsz.to_ne_bytes())
        .ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: the buffer is live and exclusive, and the kernel reads and writes at most `argsz`
    // bytes of it, which is its size.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request.into(), buffer.as_mut_ptr()) })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// `VFIO_GET_API_VERSION`.
pub fn api_version(container: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    value(container, VFIO_GET_API_VERSION, 0)
}

/// `VFIO_CHECK_EXTENSION`: whether the container supports `extension`.
pub fn has_extension(container: BorrowedFd<'_>, extension: u32) -> io::Result<bool> {
    value(container, VFIO_CHECK_EXTENSION, extension.into()).map(|answer| answer > 0)
}

/// `VFIO_SET_IOMMU`.
pub fn set_iommu(container: BorrowedFd<'_>, model: u32) -> io::Result<()> {
    value(container, VFIO_SET_IOMMU, model.into()).map(drop)
}

/// `VFIO_GROUP_GET_STATUS`: the flags.
pub fn group_status(group: BorrowedFd<'_>) -> io::Result<u32> {
    let mut status = vfio_group_status {
        argsz: size_of::<vfio_group_status>() as u32,
        flags: 0,
    };
    structure(group, VFIO_GROUP_GET_STATUS, &mut status)?;
    Ok(status.flags)
}

/// `VFIO_GROUP_SET_CONTAINER`.
pub fn set_container(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> io::Result<()> {
    structure(group, VFIO_GROUP_SET_CONTAINER, &mut container.as_raw_fd()).map(drop)
}

/// `VFIO_GROUP_GET_DEVICE_FD`.
pub fn device_fd(group: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads a string that ends with 0, and `name` does.
    let fd = check(unsafe {
        libc::ioctl(
            group.as_raw_fd(),
            VFIO_GROUP_GET_DEVICE_FD.into(),
            name.as_ptr(),
        )
    })?;
    // SAFETY: the kernel created this fd for the caller; it has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(fd)
}

/// `VFIO_DEVICE_BIND_IOMMUFD`.
pub fn bind_iommufd(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>) -> io::Result<()> {
    let mut bind = vfio_device_bind_iommufd {
        argsz: size_of::<vfio_device_bind_iommufd>() as u32,
        iommufd: iommufd.as_raw_fd(),
        ..Default::default()
    };
    structure(device, VFIO_DEVICE_BIND_IOMMUFD, &mut bind).map(drop)
}

/// `IOMMU_IOAS_ALLOC`: the id of a new, empty address space.
pub fn ioas_alloc(iommufd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut alloc = iommu_ioas_alloc {
        size: size_of::<iommu_ioas_alloc>() as u32,
        ..Default::default()
    };
    structure(iommufd, IOMMU_IOAS_ALLOC, &mut alloc)?;
    Ok(alloc.out_ioas_id)
}

/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
pub fn attach_iommufd_pt(device: BorrowedFd<'_>, pt: u32) -> io::Result<()> {
    let mut attach = vfio_device_attach_iommufd_pt {
        argsz: size_of::<vfio_device_attach_iommufd_pt>() as u32,
        pt_id: pt,
        ..Default::default()
    };
    structure(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &mut attach).map(drop)
}

/// `VFIO_IOMMU_MAP_DMA` of a mapping. The kernel keeps its pages as long as they are mapped.
pub fn map_dma(container: BorrowedFd<'_>, mapping: &Mapping, iova: u64) -> io::Result<()> {
    let mut map = vfio_iommu_type1_dma_map {
        argsz: size_of::<vfio_iommu_type1_dma_map>() as u32,
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: mapping.address() as u64,
        iova,
        size: mapping.area().size,
    };
    structure(container, VFIO_IOMMU_MAP_DMA, &mut map).map(drop)
}

/// `VFIO_IOMMU_UNMAP_DMA`.
pub fn unmap_dma(container: BorrowedFd<'_>, iova: u64, size: u64) -> io::Result<()> {
    let mut unmap = vfio_iommu_type1_dma_unmap {
        argsz: size_of::<vfio_iommu_type1_dma_unmap>() as u32,
        flags: 0,
        iova,
        size,
        ..Default::default()
    };
    structure(container, VFIO_IOMMU_UNMAP_DMA, &mut unmap).map(drop)
}

/// `VFIO_DEVICE_GET_INFO`.
pub fn device_info(device: BorrowedFd<'_>) -> io::Result<vfio_device_info> {
    let mut info = vfio_device_info {
        argsz: size_of::<vfio_device_info>() as u32,
        ..Default::default()
    };
    structure(device, VFIO_DEVICE_GET_INFO, &mut info)?;
    Ok(info)
}

/// `VFIO_DEVICE_GET_REGION_INFO`, into a buffer that names the region and has room for a chain.
pub fn region_info(device: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<()> {
    sized(device, VFIO_DEVICE_GET_REGION_INFO, buffer).map(drop)
}

/// `VFIO_DEVICE_GET_IRQ_INFO`, into a buffer that names the IRQ and has room for a chain.
pub fn irq_info(device: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<()> {
    sized(device, VFIO_DEVICE_GET_IRQ_INFO, buffer).map(drop)
}

/// `VFIO_DEVICE_SET_IRQS`: a `struct vfio_irq_set` with its data behind it.
pub fn set_irqs(device: BorrowedFd<'_>, set: &mut [u8]) -> io::Result<()> {
    sized(device, VFIO_DEVICE_SET_IRQS, set).map(drop)
}

/// `VFIO_DEVICE_RESET`.
pub fn reset(device: BorrowedFd<'_>) -> io::Result<()> {
    value(device, VFIO_DEVICE_RESET, 0).map(drop)
}

/// `VFIO_DEVICE_FEATURE`: a `struct vfio_device_feature` with its data behind it.
pub fn feature(device: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<()> {
    sized(device, VFIO_DEVICE_FEATURE, buffer).map(drop)
}

/// `VFIO_MIG_GET_PRECOPY_INFO`, on the data fd of a migration.
pub fn precopy_info(data: BorrowedFd<'_>) -> io::Result<vfio_precopy_info> {
    let mut info = vfio_precopy_info {
        argsz: size_of::<vfio_precopy_info>() as u32,
        ..Default::default()
    };
    structure(data, VFIO_MIG_GET_PRECOPY_INFO, &mut info)?;
    Ok(info)
}

/// The file of an fd that a `VFIO_DEVICE_FEATURE` returned to this process.
pub fn adopt(fd: i32) -> Option<File> {
    // SAFETY: the number comes from the kernel's answer to this process's own request, which
    // made the fd for it; it is adopted once.
    (fd >= 0).then(|| unsafe { File::from_raw_fd(fd) })
}

/// A duplicate of an fd that this process inherited.
pub fn adopt_inherited(fd: i32) -> io::Result<File> {
    // SAFETY: no pointers; the kernel answers EBADF to a number that is not an fd.
    let fd = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the duplicate is a new fd without another owner.
    Ok(unsafe { File::from_raw_fd(fd) })
}
