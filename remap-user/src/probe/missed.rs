//! Runs of programs that never happened, as the kernel counts them: it skips a program while another
//! one runs on that CPU (`recursion`), and a kprobe does not fire while another one does, or while more
//! threads are in the function than a kretprobe has room for (`probe_missed`, its `maxactive`).
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for this")]

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_prog_info};

/// Where `struct bpf_prog_info` says how often the program was skipped.
const RECURSION: usize = mem::offset_of!(bpf_prog_info, recursion_misses);
/// Where `struct bpf_link_info` of a kprobe says how often it was missed: `perf_event.kprobe.missed`
/// within the union, behind a type and padding, `func_name`, `name_len`, `offset` and `addr`.
const MISSED: usize = mem::offset_of!(bpf_link_info, __bindgen_anon_1) + 8 + 8 + 4 + 4 + 8;

/// How often the kernel has skipped a program because another one was running on that CPU (since
/// 5.12: 9ed9e9ba2337); `None` where it does not tell. Before 6.7 (dd8657894c11) a skipped kprobe is
/// not counted; what the programs see of it is a return without an entry, or an entry without a
/// return, which they count.
///
/// # Errors
/// If the program cannot be asked.
pub fn skipped(program: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    word::<{ size_of::<bpf_prog_info>().div_ceil(8) }>(program, RECURSION)
}

/// How often the kprobe or kretprobe of a link was missed; `None` where the kernel does not tell
/// (before 6.7: 7ac8d0d26192).
///
/// # Errors
/// If the link cannot be asked.
pub fn missed(link: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    word::<{ size_of::<bpf_link_info>().div_ceil(8) + 1 }>(link, MISSED)
}

/// A file of the link with this id, to ask it by.
///
/// # Errors
/// If there is no such link, or it may not be seen.
pub fn open_link(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: all zeros is a valid value of this union of integers.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.__bindgen_anon_6.__bindgen_anon_1.link_id = id;
    let fd = bpf(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: a new fd that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The word at `offset` of what the kernel tells of a program or link; `None` if it tells less.
fn word<const WORDS: usize>(fd: BorrowedFd<'_>, offset: usize) -> io::Result<Option<u64>> {
    let mut info = [0u64; WORDS];
    // SAFETY: all zeros is a valid value of this union of integers.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.info.bpf_fd = fd.as_raw_fd().cast_unsigned();
    attr.info.info_len = u32::try_from(size_of_val(&info)).unwrap_or(u32::MAX);
    attr.info.info = info.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the kernel has filled in how much it wrote.
    let length = unsafe { attr.info.info_len } as usize;
    Ok((length >= offset + 8)
        .then(|| info.get(offset / 8).copied())
        .flatten())
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes no more than the size that it is given, and the memory
    // that `attr` points to outlives the call.
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
