//! Traces `vfio_device_fops_write` (drivers/vfio/vfio_main.c), entry and return, for the first
//! word of a device-specific region: in the legacy migration region that is `device_state`.
//! Emits `StateEnter` and `StateExit`. Without it migration v1 has no transitions.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use remap_common::{
    counter::Counter,
    ioctl::{FIRST_DEVICE_REGION, REGION_SHIFT},
    record::{StateEnter, StateExit, kind},
};

use super::{probed_argument, probed_return, vfio_ioctl};
use crate::{emit, maps, read};

#[kprobe(function = "vfio_device_fops_write")]
#[expect(unsafe_code, reason = "fills a record behind a raw pointer")]
pub fn vfio_write_kprobe(ctx: ProbeContext) -> u32 {
    let Some(offset) = read::kernel_word(probed_argument(&ctx, 3)) else {
        return 0;
    };
    let word_offset = offset & ((1 << REGION_SHIFT) - 1);
    if offset >> REGION_SHIFT < FIRST_DEVICE_REGION || word_offset != 0 {
        return 0;
    }
    let Some(device) = read::device_of(probed_argument(&ctx, 0)) else {
        emit::lose(Counter::Unreadable);
        return 0;
    };
    vfio_ioctl::introduce(device);
    let word = if probed_argument(&ctx, 2) >= 4 {
        read::user_word::<u32>(probed_argument(&ctx, 1))
    } else {
        None
    };
    let call = maps::StateWrite {
        begin_ns: emit::now(),
        device,
        offset,
        word: word.unwrap_or(0),
        word_known: u32::from(word.is_some()),
    };
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<StateEnter>(kind::STATE_ENTER, call.begin_ns, |record| {
            (*record).device = device;
            (*record).offset = offset;
            (*record).word = call.word;
            (*record).word_known = call.word_known;
        });
    }
    emit::begin(&maps::STATE_WRITES, &call);
    0
}

#[kretprobe(function = "vfio_device_fops_write")]
#[expect(unsafe_code, reason = "fills a record behind a raw pointer")]
pub fn vfio_write_kretprobe(ctx: RetProbeContext) -> u32 {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    let Some(call) = (unsafe { maps::STATE_WRITES.get(thread) }) else {
        return 0;
    };
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<StateExit>(kind::STATE_EXIT, emit::now(), |record| {
            (*record).device = call.device;
            (*record).offset = call.offset;
            (*record).begin_ns = call.begin_ns;
            (*record).result = probed_return(&ctx) as i64;
            (*record).word = call.word;
            (*record).word_known = call.word_known;
        });
    }
    let _ = maps::STATE_WRITES.remove(thread);
    0
}
