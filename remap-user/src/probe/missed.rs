//! How often a kprobe did not fire: because another one ran on that CPU, or because more threads
//! were in the function than the kretprobe has room for (`maxactive`). Only the kernel knows, and
//! tells it of a BPF link since 6.7 (7ac8d0d26192).
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for this")]

use std::{
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info};

/// What is asked of a link that is a kprobe: the offset of the answer's end.
const END_OF_MISSED: usize = mem::offset_of!(bpf_link_info, __bindgen_anon_1) + MISSED + 8;
/// `perf_event.kprobe.missed` within the union: a type and padding, then `func_name`, `name_len`,
/// `offset`, `addr`.
const MISSED: usize = 8 + 8 + 4 + 4 + 8;

/// How often the kprobe or kretprobe of this link was missed; `None` where the kernel does not
/// tell.
///
/// # Errors
/// If the link cannot be asked.
pub fn missed(link: u32) -> io::Result<Option<u64>> {
    let fd = open(link)?;
    let mut info = [0u64; size_of::<bpf_link_info>() / 8 + 1];
    // SAFETY: all zeros is a valid value of this union of integers.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.info.bpf_fd = fd.as_raw_fd().cast_unsigned();
    attr.info.info_len = u32::try_from(size_of_val(&info)).unwrap_or(u32::MAX);
    attr.info.info = info.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the kernel has filled in how much it wrote.
    let length = unsafe { attr.info.info_len } as usize;
    Ok((length >= END_OF_MISSED).then(|| info[END_OF_MISSED / 8 - 1]))
}

fn open(link: u32) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.__bindgen_anon_6.__bindgen_anon_1.link_id = link;
    let fd = bpf(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: a new fd that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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

const _: () = assert!(END_OF_MISSED.is_multiple_of(8));
