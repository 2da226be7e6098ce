//! Program runs that the kernel skipped, by its own counters. It skips a program while another
//! one runs on that CPU (`recursion`). A kprobe does not fire while another one runs, and a
//! kretprobe does not while its `maxactive` threads are in the function (`probe_missed`).
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for this")]

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_prog_info};

/// Offset in `struct bpf_prog_info` of the number of skipped runs.
const RECURSION: usize = mem::offset_of!(bpf_prog_info, recursion_misses);
/// Offset in `struct bpf_link_info` of the number of missed kprobe runs:
/// `perf_event.kprobe.missed` in the union, after a type and padding, `func_name`, `name_len`,
/// `offset` and `addr`.
const MISSED: usize = mem::offset_of!(bpf_link_info, __bindgen_anon_1) + 8 + 8 + 4 + 4 + 8;

/// How often the kernel has skipped a program because another one was running on that CPU (since
/// 5.12: 9ed9e9ba2337); `None` if the kernel does not count it. Before 6.7 (dd8657894c11) the kernel
/// does not count a skipped kprobe; the programs then see a return without an entry, or an entry
/// without a return, and count those.
///
/// # Errors
/// If the program cannot be queried.
pub fn skipped(program: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    word::<{ size_of::<bpf_prog_info>().div_ceil(8) }>(program, RECURSION)
}

/// How often the kprobe or kretprobe of a link was missed; `None` if the kernel does not count it
/// (before 6.7: 7ac8d0d26192).
///
/// # Errors
/// If the link cannot be queried.
pub fn missed(link: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    word::<{ size_of::<bpf_link_info>().div_ceil(8) + 1 }>(link, MISSED)
}

/// A file descriptor of the link with this id, to query it with.
///
/// # Errors
/// If there is no such link, or this process may not open it.
pub fn open_link(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: all zeros is a valid value of this union of integers.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.__bindgen_anon_6.__bindgen_anon_1.link_id = id;
    let fd = bpf(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: a new fd without another owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The word at `offset` of the information about a program or link; `None` if that is shorter.
fn word<const WORDS: usize>(fd: BorrowedFd<'_>, offset: usize) -> io::Result<Option<u64>> {
    let mut info = [0u64; WORDS];
    // SAFETY: all zeros is a valid value of this union of integers.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.info.bpf_fd = fd.as_raw_fd().cast_unsigned();
    attr.info.info_len = u32::try_from(size_of_val(&info)).unwrap_or(u32::MAX);
    attr.info.info = info.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the kernel stored the length that it wrote.
    let length = unsafe { attr.info.info_len } as usize;
    Ok((length >= offset + 8)
        .then(|| info.get(offset / 8).copied())
        .flatten())
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes at most the size that is passed, and the memory that
    // `attr` points to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

const _: () = assert!(RECURSION.is_multiple_of(8) && MISSED.is_multiple_of(8));
