//! Asynchronous reads that signal an eventfd when they are done (`IOCB_FLAG_RESFD` of
//! include/uapi/linux/aio_abi.h), and an anonymous mapping: the calls that have no safe form.
#![expect(unsafe_code, reason = "io_submit and mmap take raw pointers")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
    ptr,
};

use anyhow::{Context as _, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

const IOCB_CMD_PREAD: u16 = 0;
const IOCB_FLAG_RESFD: u32 = 1;

/// `struct iocb`, little endian.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct IoEvent {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// An AIO context.
pub struct Aio(libc::c_ulong);

impl Aio {
    /// Sets one up.
    pub fn new() -> Result<Self> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the kernel writes one word to a live place.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) };
        ensure!(
            result == 0,
            "io_setup failed: {}",
            io::Error::last_os_error()
        );
        Ok(Self(context))
    }

    /// Reads 8 bytes of `source`; the kernel signals `eventfd` when that is done.
    pub fn read(&self, source: RawFd, eventfd: BorrowedFd<'_>) -> Result<()> {
        let mut buffer = [0u8; 8];
        let mut request = Iocb {
            opcode: IOCB_CMD_PREAD,
            fd: u32::try_from(source)?,
            buffer: buffer.as_mut_ptr() as u64,
            bytes: 8,
            flags: IOCB_FLAG_RESFD,
            result_fd: u32::try_from(eventfd.as_raw_fd())?,
            ..Iocb::default()
        };
        let mut requests = [&raw mut request];
        let mut event = IoEvent::default();
        // SAFETY: request and buffer live until io_getevents has reported the request.
        let (submitted, reported) = unsafe {
            (
                libc::syscall(libc::SYS_io_submit, self.0, 1, requests.as_mut_ptr()),
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.0,
                    1,
                    1,
                    &raw mut event,
                    ptr::null_mut::<libc::timespec>(),
                ),
            )
        };
        ensure!(
            submitted == 1 && reported == 1,
            "AIO failed: {}",
            io::Error::last_os_error()
        );
        ensure!(event.result == 8, "AIO read {} bytes", event.result);
        Ok(())
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and no request is under way.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// Maps a page and unmaps it.
pub fn map_and_unmap() -> Result<()> {
    // SAFETY: a new mapping that nothing refers to.
    unsafe {
        let page = mmap_anonymous(ptr::null_mut(), 4096, ProtFlags::READ, MapFlags::PRIVATE)
            .context("mmap failed")?;
        munmap(page, 4096).context("munmap failed")
    }
}
