//! Traces `vfio_device_fops_unl_ioctl` (drivers/vfio/vfio_main.c), entry and return: every
//! request on any device.
//! Emits `Device`, `Enter`, `Exit`. Without it there are no requeries, no acks by unmask, no
//! transitions, and no eventfd can be attributed to a device.

use aya_ebpf::{
    macros::{kprobe, kretprobe, map},
    maps::PerCpuArray,
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::info;
use remap_common::{
    counter::Counter,
    record::{ARGUMENT_BYTES, Device, Enter, Exit, LostKind, Origin},
    uapi::{
        EFAULT, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_FEATURE,
        VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET,
        VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_NUM_IRQS, vfio_irq_set,
    },
};

use super::{migration_data, probed_argument, probed_return};
use crate::{
    contexts,
    emit::{self, Loss, Run},
    filter, infer,
    maps::{self, Ioctl},
    phase, read,
};

/// 1 where the user has enabled the programs' own diagnostics; otherwise the verifier removes them.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the loader finds the symbol")]
static DIAGNOSTICS: u32 = 0;

/// Memory to prepare one call in flight: too large for the stack.
#[map]
static SCRATCH: PerCpuArray<Ioctl> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
#[expect(
    unsafe_code,
    reason = "volatile read of a static that the loader replaces"
)]
fn diagnostics() -> bool {
    // SAFETY: a plain integer.
    unsafe { core::ptr::read_volatile(&raw const DIAGNOSTICS) != 0 }
}

#[kprobe]
pub fn vfio_ioctl_kprobe(ctx: ProbeContext) -> u32 {
    let request = probed_argument(&ctx, 1) as u32;
    let Some(device) = emit::required(read::device_of(probed_argument(&ctx, 0))) else {
        return 0;
    };
    filter::involve_process();
    introduce(Run::of(&ctx), device);
    if !phase::is_open() {
        // The map drops the least used thread by itself.
        let _ = maps::EARLY.insert(emit::thread(), 1, 0);
        return 0;
    }
    let _ = maps::EARLY.remove(emit::thread());
    if request != VFIO_DEVICE_GET_REGION_INFO {
        infer::interrupted();
    }
    entered(Run::of(&ctx), device, request, probed_argument(&ctx, 2));
    if diagnostics() {
        info!(
            &ctx,
            "ioctl {:x} enters, thread {}",
            request,
            emit::thread() as u32
        );
    }
    0
}

#[kretprobe]
pub fn vfio_ioctl_kretprobe(ctx: RetProbeContext) -> u32 {
    let (thread, result) = (emit::thread(), probed_return(&ctx) as i64);
    if let Some(call) = call_in_flight() {
        read_again(call);
    }
    if !emit::end(&maps::IOCTLS, |call| returned(Run::of(&ctx), call, result)) {
        // The entry hook was attached before this one: calls that began before it are in EARLY.
        if maps::EARLY.remove(thread).is_err() {
            emit::lose(Counter::EntryMissed, Loss::UNKNOWN);
        }
    } else if diagnostics() {
        info!(&ctx, "ioctl returns {}, thread {}", result, thread as u32);
    }
    0
}

/// Emits the device's name once, before any other record about it.
#[inline(always)]
#[expect(unsafe_code, reason = "asks a map")]
pub fn introduce(run: Run, device: u64) {
    // SAFETY: only the presence is of interest.
    if unsafe { maps::DEVICES.get(device) }.is_none() {
        introduce_as(run, device, Origin::Seen, &emit::Subject::current());
    }
}

/// Emits the name of a device that is not known yet, and its origin.
#[inline(always)]
#[expect(unsafe_code, reason = "asks a map")]
pub fn introduce_as(run: Run, device: u64, origin: Origin, subject: &emit::Subject) {
    if maps::DEVICES.insert(device, 1, emit::NEW_ONLY).is_err() {
        // Another program may have been first: the hook of a call, or the walk.
        // SAFETY: only the presence is of interest.
        if unsafe { maps::DEVICES.get(device) }.is_none() {
            emit::lose(Counter::ContextsFull, Loss::of(device));
        }
        return;
    }
    if let Some(mapping) = read::inode_mapping_of(device) {
        filter::learn_inode_mapping(mapping, device);
    }
    let mut name = emit::NO_NAME;
    if !read::device_name(device, &mut name) {
        name = emit::NO_NAME;
    }
    let mut driver = emit::NO_NAME;
    if !read::driver_name(device, &mut driver) {
        driver = emit::NO_NAME;
    }
    let introduced = emit::emit_about(run, subject, Loss::of(device), || Device {
        device,
        name,
        driver,
        origin: origin.wire(),
        reserved: 0,
    });
    if !introduced {
        let _ = maps::DEVICES.remove(device);
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "fills a map value in place")]
fn entered(run: Run, device: u64, request: u32, pointer: u64) {
    let Some(call) = SCRATCH.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the slot belongs to this CPU, and kprobe programs do not nest on one.
    let call = unsafe { &mut *call };
    call.begin_ns = emit::now();
    call.device = device;
    call.pointer = pointer;
    call.inner_context = 0;
    call.request = request;
    call.cursor = 0;
    call.unread = 0;
    call.wakeup_context = 0;
    call.argument = [0; ARGUMENT_BYTES];
    call.argument_len = 0;
    if request != VFIO_DEVICE_RESET {
        read_argument(call);
    }
    emit::emit_at(run, call.begin_ns, loss_of(call), || Enter {
        device,
        request,
        argument_len: call.argument_len,
        argument: call.argument,
    });
    emit::begin(&maps::IOCTLS, Loss::of(call.device), call);
}

/// What is lost with a record of the call. One that signals, masks or unmasks interrupts of vfio-pci's
/// own changes nothing else, and may come as often as the interrupts.
#[inline(always)]
fn loss_of(call: &Ioctl) -> Loss {
    let interrupts = call.request == VFIO_DEVICE_SET_IRQS
        && call.argument_len as usize >= vfio_irq_set::DATA
        && call.word(vfio_irq_set::FLAGS) & VFIO_IRQ_SET_DATA_EVENTFD == 0
        && call.word(vfio_irq_set::COUNT) != 0
        && call.word(vfio_irq_set::INDEX) < VFIO_PCI_NUM_IRQS;
    let kind = if interrupts {
        LostKind::Interrupt
    } else {
        LostKind::Other
    };
    Loss::kind(call.device, kind)
}

/// Reads the argument. Every structure begins with its own size.
#[inline(always)]
fn read_argument(call: &mut Ioctl) {
    let size = read::user_word::<u32>(call.pointer);
    let length = size.unwrap_or(0);
    call.argument_len = read::user_bytes(&mut call.argument, call.pointer, length);
    // A size of 0 is one that was read.
    call.unread = u32::from(call.argument_len == 0 && size != Some(0));
}

/// The device ioctl that this thread is in.
#[inline(always)]
#[expect(unsafe_code, reason = "changes a map value in place")]
pub fn call_in_flight() -> Option<&'static mut Ioctl> {
    let call = maps::IOCTLS.get_ptr_mut(emit::thread())?;
    // SAFETY: the entry belongs to this thread, which is here and nowhere else.
    Some(unsafe { &mut *call })
}

/// Reads an argument that lay in a page without memory at the entry: the kernel has read it since.
/// Returns whether it is known.
#[inline(always)]
pub fn read_again(call: &mut Ioctl) -> bool {
    if call.unread != 0 {
        read_argument(call);
    }
    call.unread == 0
}

/// Whether a request has an argument of a known structure, so that one that cannot be read is a loss.
#[inline(always)]
const fn has_argument(request: u32) -> bool {
    matches!(
        request,
        VFIO_DEVICE_GET_REGION_INFO
            | VFIO_DEVICE_GET_IRQ_INFO
            | VFIO_DEVICE_SET_IRQS
            | VFIO_DEVICE_FEATURE
            | VFIO_DEVICE_BIND_IOMMUFD
            | VFIO_DEVICE_ATTACH_IOMMUFD_PT
    )
}

#[inline(always)]
fn returned(run: Run, call: &Ioctl, result: i64) {
    // The kernel could not read it either where it says so.
    if call.unread != 0 && has_argument(call.request) && result != -EFAULT {
        emit::lose(Counter::Unreadable, Loss::of(call.device));
    }
    if call.request == VFIO_DEVICE_SET_IRQS {
        if result == 0 {
            contexts::settle(call);
        } else {
            contexts::restore(call);
        }
    }
    if call.request == VFIO_DEVICE_GET_REGION_INFO && result == 0 {
        infer::described(run, call);
    }
    if call.request == VFIO_DEVICE_FEATURE && result >= 0 {
        migration_data::learn(call);
        contexts::settle_wakeup(run, call);
    }
    let asks = matches!(
        call.request,
        VFIO_DEVICE_GET_IRQ_INFO | VFIO_DEVICE_GET_REGION_INFO | VFIO_DEVICE_FEATURE
    ) && result >= 0;
    // No more than the caller's own size: the kernel may have raised the field to what it needs.
    let size = if asks && call.argument_len >= 4 {
        call.word(0)
    } else {
        0
    };
    emit::emit_in_place(run, &emit::Subject::current(), loss_of(call), |answer| {
        let answer_len = read::user_bytes_in_place(answer, call.pointer, size);
        Exit {
            device: call.device,
            begin_ns: call.begin_ns,
            result,
            request: call.request,
            argument_len: call.argument_len,
            answer_len,
            answer_unreadable: u32::from(asks && answer_len == 0),
            argument: call.argument,
        }
    });
}
