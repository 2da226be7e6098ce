//! A mapping of an area of a region.

#![expect(unsafe_code, reason = "mmap(2), munmap(2) and access to that memory")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use remap_core::parse::region::{Area, Region};

/// A mapped area of a region. Dropping it unmaps it.
#[derive(Debug)]
pub struct Mapping {
    address: NonNull<u8>,
    length: usize,
    region: u32,
    area: Area,
}

// SAFETY: a mapping is an address range of the process; no thread owns it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference it is only read, by volatile reads or by the kernel.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `area` of `region` of `device`, as far as the region's flags allow reads and writes.
    pub fn new(device: BorrowedFd<'_>, region: &Region, area: Area) -> io::Result<Self> {
        use vfio_bindings::bindings::vfio::{
            VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
        };
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let length = usize::try_from(area.size).map_err(|_| invalid())?;
        let offset = region.offset.checked_add(area.offset).ok_or_else(invalid)?;
        let offset = libc::off_t::try_from(offset).map_err(|_| invalid())?;
        let allowed = [
            (VFIO_REGION_INFO_FLAG_READ, libc::PROT_READ),
            (VFIO_REGION_INFO_FLAG_WRITE, libc::PROT_WRITE),
        ];
        let protection = allowed
            .into_iter()
            .filter(|(flag, _)| region.flags & flag != 0)
            .fold(libc::PROT_NONE, |all, (_, protection)| all | protection);
        // SAFETY: a new mapping, at an address that the kernel chooses, overlaps no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                device.as_raw_fd(),
                offset,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast()).ok_or_else(invalid)?;
        Ok(Self {
            address,
            length,
            region: region.index,
            area,
        })
    }

    /// Its address.
    pub fn address(&self) -> usize {
        self.address.as_ptr().addr()
    }

    /// Region index.
    pub fn region(&self) -> u32 {
        self.region
    }

    /// The mapped area, relative to the start of the region.
    pub fn area(&self) -> Area {
        self.area
    }

    /// Unmaps it. Dropping does the same, and ignores an error.
    pub fn unmap(self) -> io::Result<()> {
        let mapping = std::mem::ManuallyDrop::new(self);
        mapping.munmap()
    }

    fn munmap(&self) -> io::Result<()> {
        // SAFETY: this range was mapped by `new` and is unmapped once: here, and then forgotten.
        match unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Reads the aligned 32-bit word at `offset` within the area; `None` outside of it.
    ///
    /// If the driver has revoked the area, the process gets SIGBUS. [`Self::probe_u32`] does not
    /// risk that.
    pub fn read_u32(&self, offset: usize) -> Option<u32> {
        let word = self.word(offset)?;
        // SAFETY: `word` is aligned and inside the mapping; device memory requires a volatile access.
        Some(unsafe { word.read_volatile() })
    }

    /// Reads the aligned 32-bit word at `offset` within the area; the kernel makes the access.
    ///
    /// # Errors
    /// `EFAULT` if the driver has revoked the area, `EINVAL` outside of it.
    pub fn probe_u32(&self, offset: usize) -> io::Result<u32> {
        use std::io::Read;
        let word = self
            .word(offset)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let (mut reader, writer) = io::pipe()?;
        // SAFETY: `word` points at four bytes of the mapping; the kernel copies from there and
        // returns EFAULT instead of a signal if it may not.
        let copied = unsafe { libc::write(writer.as_raw_fd(), word.cast(), size_of::<u32>()) };
        if copied < 0 {
            return Err(io::Error::last_os_error());
        }
        drop(writer);
        let mut value = [0; 4];
        reader.read_exact(&mut value)?;
        Ok(u32::from_ne_bytes(value))
    }

    fn word(&self, offset: usize) -> Option<*const u32> {
        let end = offset.checked_add(size_of::<u32>())?;
        (offset.is_multiple_of(size_of::<u32>()) && end <= self.length).then(|| {
            self.address
                .as_ptr()
                .wrapping_add(offset)
                .cast_const()
                .cast()
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // munmap(2) of an owned range does not fail, and there is no remedy here.
        let _ = self.munmap();
    }
}
