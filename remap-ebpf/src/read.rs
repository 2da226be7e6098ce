//! The only reads of kernel and user memory, by the offsets that user space measured.
#![expect(
    unsafe_code,
    reason = "kernel and user memory is read through helpers that take raw pointers"
)]

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, bpf_probe_read_user, generated,
};
use remap_common::{
    layout::{ABSENT, KernelAddresses, KernelLayout},
    uapi::EFD_SEMAPHORE,
};

/// Written by the loader before the programs are verified; a constant to the verifier.
#[unsafe(no_mangle)]
static LAYOUT: KernelLayout = KernelLayout::UNKNOWN;

/// The same for addresses.
#[unsafe(no_mangle)]
static ADDRESSES: KernelAddresses = KernelAddresses::UNKNOWN;

/// Reads one member of [`LAYOUT`], volatile: the compiler must not assume the value that is written here.
macro_rules! layout {
    ($member:ident) => {
        // SAFETY: a static of plain integers; volatile because the loader replaces it.
        unsafe { core::ptr::read_volatile(&raw const $crate::read::LAYOUT.$member) }
    };
}

/// Reads one member of [`ADDRESSES`], likewise.
macro_rules! address {
    ($member:ident) => {
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const $crate::read::ADDRESSES.$member) }
    };
}

mod memory;
mod node;
mod stream;
mod task;
mod walk;

pub use memory::*;
pub use node::*;
pub use stream::*;
pub use task::*;
pub use walk::*;

/// The word at `base + offset` in kernel memory.
#[inline(always)]
fn word<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if base == 0 || offset == ABSENT {
        return None;
    }
    // SAFETY: the helper checks the address and fails where it cannot be read.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// The `struct vfio_device` behind a device file.
#[inline(always)]
pub fn device_of(file: u64) -> Option<u64> {
    let private = private_of(file)?;
    let member = layout!(device_file_device);
    let device = if member == ABSENT {
        private
    } else {
        word(private, member)?
    };
    if device == 0 { None } else { Some(device) }
}

/// A file's private data.
#[inline(always)]
pub fn private_of(file: u64) -> Option<u64> {
    word(file, layout!(file_private_data))
}

/// The parent device: a PCI device's `struct device`.
#[inline(always)]
pub fn parent_of(device: u64) -> Option<u64> {
    word(device, layout!(vfio_device_dev))
}

/// How many device files are open; `None` where the kernel has no such count.
#[inline(always)]
pub fn open_count(device: u64) -> Option<u32> {
    word(device, layout!(vfio_device_open_count))
}

/// The name of the device's parent: the BDF of a PCI device.
#[inline(always)]
pub fn device_name(device: u64, name: &mut [u8]) -> bool {
    let Some(parent) = parent_of(device) else {
        return false;
    };
    let Some(text) = word::<u64>(parent, layout!(device_name)) else {
        return false;
    };
    read_text(text, name)
}

/// Reads a string that ends with 0, cut to the length of `to`. Returns whether it could be read.
#[inline(always)]
pub fn read_text(text: u64, to: &mut [u8]) -> bool {
    // SAFETY: the helper checks the address and ends the copy at `to`'s length.
    unsafe { bpf_probe_read_kernel_str_bytes(text as *const u8, to) }.is_ok()
}

/// The name of the driver that the device's parent is bound to.
#[inline(always)]
pub fn driver_name(device: u64, name: &mut [u8]) -> bool {
    let Some(parent) = parent_of(device) else {
        return false;
    };
    let Some(driver) = word::<u64>(parent, layout!(device_driver)) else {
        return false;
    };
    let Some(text) = word::<u64>(driver, layout!(driver_name)) else {
        return false;
    };
    read_text(text, name)
}

/// The eventfd context of an eventfd's file.
#[inline(always)]
pub fn context_of(file: u64) -> Option<u64> {
    private_of(file)
}

/// The file of a `struct kiocb`.
#[inline(always)]
pub fn file_of_kiocb(kiocb: u64) -> Option<u64> {
    word(kiocb, layout!(kiocb_filp))
}

/// The counter of an eventfd context.
#[inline(always)]
pub fn eventfd_count(context: u64) -> Option<u64> {
    word(context, layout!(eventfd_count))
}

/// Whether a read decrements the counter by one (`EFD_SEMAPHORE`) and does not reset it.
#[inline(always)]
pub fn eventfd_is_semaphore(context: u64) -> Option<bool> {
    let flags: u32 = word(context, layout!(eventfd_flags))?;
    Some(flags & EFD_SEMAPHORE != 0)
}

/// The references to an eventfd context (`kref` holds one refcount_t, one int).
#[inline(always)]
pub fn eventfd_references(context: u64) -> Option<u32> {
    word(context, layout!(eventfd_kref))
}

/// Whether `eventfd_signal_mask` has the addend as its second parameter.
#[inline(always)]
pub fn signal_has_addend() -> bool {
    layout!(signal_has_addend) != 0
}

/// The last eight bytes that were copied to user space through an `iov_iter` of kind `ITER_UBUF`.
#[inline(always)]
pub fn value_behind(iter: u64) -> Option<u64> {
    let plain = layout!(iter_ubuf);
    if plain == ABSENT {
        return None;
    }
    let found: u8 = word(iter, layout!(iov_iter_type))?;
    if u32::from(found) != plain {
        return None;
    }
    let buffer: u64 = word(iter, layout!(iov_iter_ubuf))?;
    let offset: u64 = word(iter, layout!(iov_iter_offset))?;
    user_word(buffer.wrapping_add(offset).wrapping_sub(8))
}

/// A VMA as `(start, end, offset in the device file)`, bytes.
#[inline(always)]
pub fn range_of_vma(vma: u64) -> Option<(u64, u64, u64)> {
    let start: u64 = word(vma, layout!(vma_start))?;
    let end: u64 = word(vma, layout!(vma_end))?;
    let page: u64 = word(vma, layout!(vma_pgoff))?;
    Some((start, end, offset_in_device(vma, page << 12)))
}

/// The file of a VMA; `None` for an anonymous one.
#[inline(always)]
pub fn file_of_vma(vma: u64) -> Option<u64> {
    let file: u64 = word(vma, layout!(vma_file))?;
    if file == 0 { None } else { Some(file) }
}

/// The operations of a file: VFIO device files all have the same ones.
#[inline(always)]
pub fn operations_of(file: u64) -> Option<u64> {
    word(file, layout!(file_f_op))
}

/// A 64-bit word of kernel memory.
#[inline(always)]
pub fn kernel_word(address: u64) -> Option<u64> {
    word(address, 0)
}

/// A word of user memory.
#[inline(always)]
pub fn user_word<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails where it cannot be read.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Copies `len` bytes of user memory, at most `N`. Returns how many were copied: `len` or 0.
#[inline(always)]
pub fn user_bytes<const N: usize>(to: &mut [u8; N], address: u64, len: u32) -> u32 {
    // SAFETY: a copy only initialises bytes.
    let to: &mut MaybeUninit<[u8; N]> = unsafe { &mut *core::ptr::from_mut(to).cast() };
    user_bytes_in_place(to, address, len)
}

/// The same into memory that is not initialised: what is behind the copied bytes stays so.
#[inline(always)]
pub fn user_bytes_in_place<const N: usize>(
    to: &mut MaybeUninit<[u8; N]>,
    address: u64,
    len: u32,
) -> u32 {
    let len = core::hint::black_box(if len > N as u32 { N as u32 } else { len });
    // The verifier must see the bound at the call, whatever the optimiser made of the first one.
    if len == 0 || len > N as u32 {
        return 0;
    }
    let (to, from) = (to.as_mut_ptr().cast(), address as *const core::ffi::c_void);
    // SAFETY: `to` has room for `len`; the helper checks the source.
    let failed = unsafe { generated::bpf_probe_read_user(to, len, from) };
    if failed == 0 { len } else { 0 }
}
