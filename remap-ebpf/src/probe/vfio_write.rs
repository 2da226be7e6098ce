//! Traces `vfio_device_fops_write` (drivers/vfio/vfio_main.c), entry and return: writes to config
//! space, and to the first word of a device-specific region, which in the legacy migration region
//! is `device_state`. Emits `ConfigWrite`, `StateEnter` and `StateExit`. Without it migration v1
//! has no transitions, and a zap by memory decode or power state has no cause.

use remap_common::{
    counter::Counter,
    record::{ConfigWrite, StateEnter, StateExit},
    uapi::{EFAULT, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_REGIONS, VFIO_PCI_OFFSET_SHIFT},
};

use super::vfio_ioctl;
use crate::{
    emit::{self, Loss, Run},
    maps::{self, RegionWrite},
    read,
};

/// The offset within a region.
const WITHIN: u64 = (1 << VFIO_PCI_OFFSET_SHIFT) - 1;

program!(kprobe, vfio_write_kprobe, run, |argument| entered(
    run,
    argument(0),
    argument(1),
    argument(2),
    argument(3)
));

#[inline(always)]
fn entered(run: Run, file: u64, buffer: u64, count: u64, position: u64) -> Option<()> {
    let offset = read::kernel_word(position)?;
    let region = (offset >> VFIO_PCI_OFFSET_SHIFT) as u32;
    let is_state = region >= VFIO_PCI_NUM_REGIONS && offset & WITHIN == 0;
    if !is_state && region != VFIO_PCI_CONFIG_REGION_INDEX {
        return None;
    }
    let device = emit::required(read::device_of(file))?;
    vfio_ioctl::introduce(run, device);
    let word = written(buffer, count, is_state);
    let call = RegionWrite {
        begin_ns: emit::now(),
        device,
        offset,
        word: word.unwrap_or(0),
        word_known: u32::from(word.is_some()),
        buffer,
        count,
    };
    if is_state {
        emit::emit_at(run, call.begin_ns, Loss::of(device), || StateEnter {
            device,
            offset,
            word: call.word,
            word_known: call.word_known,
        });
    }
    emit::begin(&maps::REGION_WRITES, Loss::of(device), &call);
    Some(())
}

/// The written value: a whole word of a state, the first one, two or four bytes of config space.
#[inline(always)]
fn written(buffer: u64, count: u64, is_state: bool) -> Option<u32> {
    if count >= 4 {
        return read::user_word(buffer);
    }
    match count {
        1 if !is_state => read::user_word::<u8>(buffer).map(u32::from),
        2 if !is_state => read::user_word::<u16>(buffer).map(u32::from),
        _ => None,
    }
}

program!(kretprobe, vfio_write_kretprobe, run, |result| emit::end(
    &maps::REGION_WRITES,
    |call| {
        let result = result as i64;
        let is_config =
            call.offset >> VFIO_PCI_OFFSET_SHIFT == u64::from(VFIO_PCI_CONFIG_REGION_INDEX);
        let word = word_of(call, !is_config, result);
        if is_config {
            end_config(run, call, word, result);
        } else {
            end_state(run, call, word, result);
        }
    }
));

/// The written value. It may have been in a page without memory at the entry; the kernel has read it
/// since.
#[inline(always)]
fn word_of(call: &RegionWrite, is_state: bool, result: i64) -> Option<u32> {
    if call.word_known != 0 {
        return Some(call.word);
    }
    let word = written(call.buffer, call.count, is_state);
    let is_read = if is_state {
        call.count >= 4
    } else {
        matches!(call.count, 1 | 2 | 4..)
    };
    if word.is_none() && is_read && result != -EFAULT {
        emit::lose(Counter::Unreadable, Loss::of(call.device));
    }
    word
}

#[inline(always)]
fn end_config(run: Run, call: &RegionWrite, word: Option<u32>, result: i64) {
    emit::emit(run, Loss::of(call.device), || ConfigWrite {
        device: call.device,
        offset: call.offset & WITHIN,
        begin_ns: call.begin_ns,
        result,
        value: word.unwrap_or(0),
        value_known: u32::from(word.is_some()),
    });
}

#[inline(always)]
fn end_state(run: Run, call: &RegionWrite, word: Option<u32>, result: i64) {
    emit::emit(run, Loss::of(call.device), || StateExit {
        device: call.device,
        offset: call.offset,
        begin_ns: call.begin_ns,
        result,
        word: word.unwrap_or(0),
        word_known: u32::from(word.is_some()),
    });
}
