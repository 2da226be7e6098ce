//! Traces the file operations of migration data files, entry and return: functions of the drivers,
//! found by their prototype, `ssize_t (struct file *, char *, size_t, loff_t *)` to save, the same
//! with `const char *` to load, `long (struct file *, unsigned int, unsigned long)` for
//! `VFIO_MIG_GET_PRECOPY_INFO`. A file counts if it is anonymous and its operations name this very
//! function. Its device was stored when the state change that created the file returned.
//! Emits `Data` and `PrecopyInfo`. Without it the amount and the times of migration data are not seen.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated,
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use remap_common::{
    counter::Counter,
    record::{Data, LostKind, PrecopyInfo},
    uapi::{
        VFIO_DEVICE_FEATURE_MASK, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_PROBE,
        VFIO_DEVICE_FEATURE_SET, VFIO_MIG_GET_PRECOPY_INFO, vfio_device_feature,
    },
};

use super::{probed_argument, probed_return};
use crate::{
    emit::{self, Loss, Run},
    maps::{self, DataCall, Ioctl},
    read::{self, Operation},
};

/// A `VFIO_DEVICE_FEATURE` has succeeded: if it was a state change, it may have created a data file.
#[inline(always)]
pub fn learn(call: &Ioctl) -> Option<()> {
    let flags = call.word(vfio_device_feature::FLAGS);
    if (call.argument_len as usize) < vfio_device_feature::DATA
        || flags & VFIO_DEVICE_FEATURE_MASK != VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
        || flags & (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE) != VFIO_DEVICE_FEATURE_SET
    {
        return None;
    }
    // struct vfio_device_feature, then struct vfio_device_feature_mig_state: its second word.
    let fd = emit::required(read::user_word::<i32>(call.pointer + 12))?;
    if fd < 0 {
        return None;
    }
    let file = emit::required(read::file_of_fd(fd))?;
    if maps::DATA_FILES.insert(file, call.device, 0).is_err() {
        emit::lose(Counter::ContextsFull, Loss::UNKNOWN);
    }
    Some(())
}

#[kprobe]
pub fn data_read_kprobe(ctx: ProbeContext) -> u32 {
    entered(&ctx, Operation::Read, probed_argument(&ctx, 2));
    0
}

#[kprobe]
pub fn data_write_kprobe(ctx: ProbeContext) -> u32 {
    entered(&ctx, Operation::Write, probed_argument(&ctx, 2));
    0
}

#[kprobe]
pub fn data_ioctl_kprobe(ctx: ProbeContext) -> u32 {
    if probed_argument(&ctx, 1) as u32 == VFIO_MIG_GET_PRECOPY_INFO {
        entered(&ctx, Operation::Ioctl, probed_argument(&ctx, 2));
    }
    0
}

#[inline(always)]
#[expect(unsafe_code, reason = "calls a helper, reads a map value")]
fn entered(ctx: &ProbeContext, operation: Operation, argument: u64) {
    let file = probed_argument(ctx, 0);
    // SAFETY: the context is this program's own.
    let handler = unsafe { generated::bpf_get_func_ip(ctx.as_ptr()) };
    if !read::is_handler_of(file, operation, handler) {
        return;
    }
    emit::begin(
        &maps::DATA_CALLS,
        Loss::kind(0, LostKind::Data),
        &DataCall {
            begin_ns: emit::now(),
            handler,
            // SAFETY: map values live until the program ends.
            device: unsafe { maps::DATA_FILES.get(file) }.copied().unwrap_or(0),
            file,
            argument,
            write: u64::from(matches!(operation, Operation::Write)),
        },
    );
}

/// The call that this thread is in, if `handler` is its outermost handler.
#[inline(always)]
#[expect(unsafe_code, reason = "calls a helper")]
fn returning(ctx: &RetProbeContext) -> Option<&'static DataCall> {
    let call = emit::call_in(&maps::DATA_CALLS)?;
    // SAFETY: the context is this program's own.
    let handler = unsafe { generated::bpf_get_func_ip(ctx.as_ptr()) };
    if handler == call.handler {
        Some(call)
    } else {
        None
    }
}

#[kretprobe]
pub fn data_kretprobe(ctx: RetProbeContext) -> u32 {
    let Some(call) = returning(&ctx) else {
        return 0;
    };
    emit::emit(
        Run::of(&ctx),
        Loss::kind(call.device, LostKind::Data),
        || Data {
            device: call.device,
            file: call.file,
            begin_ns: call.begin_ns,
            requested: call.argument,
            result: probed_return(&ctx) as i64,
            write: call.write as u32,
            reserved: 0,
        },
    );
    let _ = maps::DATA_CALLS.remove(emit::thread());
    0
}

#[kretprobe]
pub fn data_ioctl_kretprobe(ctx: RetProbeContext) -> u32 {
    let Some(call) = returning(&ctx) else {
        return 0;
    };
    let result = probed_return(&ctx) as i64;
    // struct vfio_precopy_info: argsz, flags, initial_bytes, dirty_bytes.
    let initial = read::user_word::<u64>(call.argument + 8);
    let dirty = read::user_word::<u64>(call.argument + 16);
    let known = result == 0 && initial.is_some() && dirty.is_some();
    if result == 0 && !known {
        emit::lose(Counter::Unreadable, Loss::kind(call.device, LostKind::Data));
    }
    emit::emit(
        Run::of(&ctx),
        Loss::kind(call.device, LostKind::Data),
        || PrecopyInfo {
            device: call.device,
            file: call.file,
            begin_ns: call.begin_ns,
            result,
            initial_bytes: initial.unwrap_or(0),
            dirty_bytes: dirty.unwrap_or(0),
            bytes_known: u32::from(known),
            reserved: 0,
        },
    );
    let _ = maps::DATA_CALLS.remove(emit::thread());
    0
}
