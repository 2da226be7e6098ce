//! The system calls of a VMM: each makes one request, and gives the kernel's result.
//!
//! Written here and not taken from the tool: a test must not compare the tool with itself. Only the request numbers are shared: a test compares them with the kernel's headers.

#![expect(unsafe_code, reason = "ioctl(2), mmap(2) and getrusage(2)")]

use std::ffi::{CString, c_int, c_ulong};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use remap_common::uapi::{
    IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
    VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_SET_IRQS,
    VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_SET_CONTAINER, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_SET_IOMMU,
};
use vfio_bindings::bindings::vfio::{
    VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_DMA_UNMAP_FLAG_ALL,
    vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap,
};

/// `IOMMU_IOAS_MAP_FIXED_IOVA`, `_WRITEABLE` and `_READABLE`.
const IOAS_MAP_FLAGS: u64 = 7;

const KVM_CREATE_VM: c_ulong = 0xae01;
const KVM_CREATE_IRQCHIP: c_ulong = 0xae60;
const KVM_IRQFD: c_ulong = 0x4020_ae76;

/// A page, bytes.
pub const PAGE: u64 = 4096;

/// Restores the default action of SIGBUS, which kills this process. The handler that Rust programs start with looks for a
/// stack overflow and returns, so that the access is made a second time.
pub fn die_of_sigbus() {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A request whose argument is a number.
fn number(fd: BorrowedFd<'_>, request: c_ulong, argument: c_ulong) -> io::Result<c_int> {
    // SAFETY: the argument is no pointer for the requests that come this way.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// A request whose argument the kernel reads and writes within its size.
fn structure<T>(fd: BorrowedFd<'_>, request: c_ulong, argument: &mut T) -> io::Result<c_int> {
    // SAFETY: live and exclusive; the callers pass the request's own struct of plain integers.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) })
}

/// An fd that the kernel has just made for this process.
fn adopt(fd: c_int) -> OwnedFd {
    // SAFETY: the number is the answer of a successful request; no one else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `VFIO_SET_IOMMU`.
pub fn set_iommu(container: BorrowedFd<'_>, model: u32) -> io::Result<()> {
    number(container, VFIO_SET_IOMMU.into(), model.into()).map(drop)
}

/// `VFIO_GROUP_SET_CONTAINER`.
pub fn set_container(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> io::Result<()> {
    structure(
        group,
        VFIO_GROUP_SET_CONTAINER.into(),
        &mut container.as_raw_fd(),
    )
    .map(drop)
}

/// `VFIO_GROUP_GET_DEVICE_FD`.
pub fn device_fd(group: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    // SAFETY: the kernel reads a string that ends with 0, and `name` does.
    let fd = unsafe {
        libc::ioctl(
            group.as_raw_fd(),
            VFIO_GROUP_GET_DEVICE_FD.into(),
            name.as_ptr(),
        )
    };
    check(fd).map(adopt)
}

/// `VFIO_DEVICE_SET_IRQS`: an eventfd for sub-index 0. The argument lies in a page of a file that has
/// not been touched, so that no page table entry exists before the kernel reads it.
pub fn set_irqs_from_file(
    device: BorrowedFd<'_>,
    index: u32,
    eventfd: BorrowedFd<'_>,
) -> io::Result<()> {
    let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    let words = [24, flags, index, 0, 1, eventfd.as_raw_fd().cast_unsigned()];
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open("/run/lab-test-argument")?;
    file.write_all(&bytes)?;
    file.set_len(PAGE)?;
    let (length, protection) = (PAGE as usize, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new mapping, at an address that the kernel chooses, overlaps no existing memory.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            protection,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page is mapped, and the kernel reads within it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), VFIO_DEVICE_SET_IRQS.into(), page) };
    let result = check(result).map(drop);
    // SAFETY: mapped above, and nothing refers to it.
    unsafe { libc::munmap(page, length) };
    result
}

/// `VFIO_IOMMU_MAP_DMA`, readable and writable. `address` is memory, or a mapping of a region.
pub fn map_dma(container: BorrowedFd<'_>, address: usize, iova: u64, size: u64) -> io::Result<()> {
    let mut map = vfio_iommu_type1_dma_map {
        argsz: size_of::<vfio_iommu_type1_dma_map>() as u32,
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: address as u64,
        iova,
        size,
    };
    structure(container, VFIO_IOMMU_MAP_DMA.into(), &mut map).map(drop)
}

/// `VFIO_IOMMU_UNMAP_DMA` of a range, or, without one, of all: what was unmapped, bytes.
pub fn unmap_dma(container: BorrowedFd<'_>, range: Option<(u64, u64)>) -> io::Result<u64> {
    // The struct, without the bitmap that may follow it.
    let mut unmap = [0_u64; 3];
    let flags = if range.is_none() {
        VFIO_DMA_UNMAP_FLAG_ALL
    } else {
        0
    };
    let (iova, size) = range.unwrap_or_default();
    let argsz = size_of::<vfio_iommu_type1_dma_unmap>() as u64;
    unmap[0] = argsz | u64::from(flags) << 32;
    unmap[1] = iova;
    unmap[2] = size;
    structure(container, VFIO_IOMMU_UNMAP_DMA.into(), &mut unmap)?;
    Ok(unmap[2])
}

/// `VFIO_DEVICE_BIND_IOMMUFD`.
pub fn bind_iommufd(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>) -> io::Result<()> {
    // struct vfio_device_bind_iommufd: argsz, flags, iommufd, out_devid.
    let mut bind = [16, 0, iommufd.as_raw_fd().cast_unsigned(), 0];
    structure(device, VFIO_DEVICE_BIND_IOMMUFD.into(), &mut bind).map(drop)
}

/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
pub fn attach_pt(device: BorrowedFd<'_>, pt: u32) -> io::Result<()> {
    // struct vfio_device_attach_iommufd_pt: argsz, flags, pt_id.
    structure(
        device,
        VFIO_DEVICE_ATTACH_IOMMUFD_PT.into(),
        &mut [12, 0, pt],
    )
    .map(drop)
}

/// `IOMMU_IOAS_ALLOC`: the id of a new address space for devices.
pub fn ioas_alloc(iommufd: BorrowedFd<'_>) -> io::Result<u32> {
    // struct iommu_ioas_alloc: size, flags, out_ioas_id.
    let mut alloc = [12, 0, 0_u32];
    structure(iommufd, IOMMU_IOAS_ALLOC.into(), &mut alloc)?;
    Ok(alloc[2])
}

/// `IOMMU_IOAS_MAP` of memory at a fixed address, readable and writable.
pub fn ioas_map(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    address: usize,
    iova: u64,
    size: u64,
) -> io::Result<()> {
    // struct iommu_ioas_map: size, flags; ioas_id; user_va, length, iova.
    let head = 40 | IOAS_MAP_FLAGS << 32;
    let mut map = [head, ioas.into(), address as u64, size, iova];
    structure(iommufd, IOMMU_IOAS_MAP.into(), &mut map).map(drop)
}

/// `IOMMU_IOAS_UNMAP`.
pub fn ioas_unmap(iommufd: BorrowedFd<'_>, ioas: u32, iova: u64, size: u64) -> io::Result<()> {
    // struct iommu_ioas_unmap: size, ioas_id; iova, length.
    let mut unmap = [24 | u64::from(ioas) << 32, iova, size];
    structure(iommufd, IOMMU_IOAS_UNMAP.into(), &mut unmap).map(drop)
}

/// `VFIO_DEVICE_PCI_HOT_RESET` of a device alone in `group`.
pub fn hot_reset(device: BorrowedFd<'_>, group: BorrowedFd<'_>) -> io::Result<()> {
    // struct vfio_pci_hot_reset: argsz, flags, count, group_fds.
    let mut reset = [16, 0, 1, group.as_raw_fd().cast_unsigned()];
    structure(device, VFIO_DEVICE_PCI_HOT_RESET.into(), &mut reset).map(drop)
}

/// A virtual machine with an interrupt controller, and nothing to run.
pub fn create_vm(kvm: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let vm = number(kvm, KVM_CREATE_VM, 0).map(adopt)?;
    let fd = vm.as_raw_fd();
    // SAFETY: no argument.
    check(unsafe { libc::ioctl(fd, KVM_CREATE_IRQCHIP, 0) })?;
    Ok(vm)
}

/// `KVM_IRQFD`: from now on the kernel takes every count of `eventfd`.
pub fn irqfd(vm: BorrowedFd<'_>, eventfd: BorrowedFd<'_>, gsi: u32) -> io::Result<()> {
    // struct kvm_irqfd: fd, gsi, flags, resamplefd, pad[16].
    let mut irqfd = [0_u32; 8];
    irqfd[0] = eventfd.as_raw_fd().cast_unsigned();
    irqfd[1] = gsi;
    structure(vm, KVM_IRQFD, &mut irqfd).map(drop)
}

/// Does something, and gives how many page faults this thread took, by the kernel's own count. The
/// process's own pages are locked before, so that only what is touched can fault; that does not
/// populate the regions of a device.
pub fn faults_of<T>(act: impl FnOnce() -> T) -> io::Result<(T, i64)> {
    // SAFETY: no memory is handed over.
    if unsafe { libc::mlockall(libc::MCL_CURRENT) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let before = faults();
    let done = act();
    Ok((done, faults() - before))
}

fn faults() -> i64 {
    // SAFETY: zeros are a valid struct of plain integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the struct.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_minflt
}

/// fork(2): whether this is the child.
///
/// Only for a process with one thread: the child has no other.
pub fn fork() -> io::Result<bool> {
    // SAFETY: no pointers; with a single thread no lock is held by a thread that the child lacks.
    Ok(check(unsafe { libc::fork() })? == 0)
}

/// Bytes of stack for a process that only waits.
const STACK: usize = 64 * 1024;

/// Starts a process that shares this one's mm and waits until `hold` is written to, or closed by all
/// other processes: the mm lives on when this process has ended.
pub fn hold_space(hold: RawFd) -> io::Result<()> {
    extern "C" fn wait(hold: *mut libc::c_void) -> c_int {
        let mut byte = 0u8;
        // SAFETY: it touches its own stack alone, and leaves without running anything of the
        // process's.
        unsafe {
            libc::read(hold as c_int, (&raw mut byte).cast(), 1);
            libc::_exit(0)
        }
    }
    // Never freed: it is the other process's stack.
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice()).as_mut_ptr_range();
    // SAFETY: `wait` needs nothing but its stack, which is used for nothing else, and the number.
    let process = unsafe {
        libc::clone(
            wait,
            stack.end.cast(),
            libc::CLONE_VM,
            hold as *mut libc::c_void,
        )
    };
    check(process).map(drop)
}

/// Memory of whole pages, for a device to reach.
pub struct Memory {
    address: NonNull<libc::c_void>,
    size: usize,
}

// SAFETY: an address range of the process; nothing is read or written through it here.
unsafe impl Send for Memory {}

impl Memory {
    /// So many bytes.
    pub fn new(size: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, size })
    }

    /// Where it begins.
    pub fn address(&self) -> usize {
        self.address.as_ptr().addr()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, unmapped once.
        unsafe { libc::munmap(self.address.as_ptr(), self.size) };
    }
}
