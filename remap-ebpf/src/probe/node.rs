//! Traces opens and closes of groups (drivers/vfio/group.c), containers (container.c), devices' own
//! nodes (device_cdev.c) and iommufds (drivers/iommu/iommufd/main.c), and the creation of a device
//! file: by `VFIO_GROUP_GET_DEVICE_FD`, or by the open of the device's own node.
//! Emits `Node` and `DeviceFile`. Without it the group or node of a device is not seen.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use remap_common::{
    counter::Counter,
    record::{DeviceFile, Node, UNKNOWN_NUMBER, kind, node_kind},
    uapi::VFIO_GROUP_GET_DEVICE_FD,
};

use super::{probed_argument, probed_return, vfio_ioctl::introduce};
use crate::{
    emit,
    maps::{self, NodeCall},
    read,
};

#[kprobe(function = "vfio_group_fops_open")]
pub fn group_open_kprobe(ctx: ProbeContext) -> u32 {
    let Some(group) = read::group_of_inode(probed_argument(&ctx, 0)) else {
        emit::lose(Counter::Unreadable);
        return 0;
    };
    opening(&ctx, node_kind::GROUP, group, read::group_number(group));
    0
}

#[kprobe(function = "vfio_fops_open")]
pub fn container_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, node_kind::CONTAINER, 0, UNKNOWN_NUMBER);
    0
}

#[kprobe(function = "vfio_device_fops_cdev_open")]
pub fn cdev_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, node_kind::CDEV, 0, UNKNOWN_NUMBER);
    0
}

#[kprobe(function = "iommufd_fops_open")]
pub fn iommufd_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, node_kind::IOMMUFD, 0, UNKNOWN_NUMBER);
    0
}

#[inline(always)]
fn opening(ctx: &ProbeContext, node: u32, key: u64, number: u32) {
    emit::begin(
        &maps::NODE_CALLS,
        &NodeCall {
            begin_ns: emit::now(),
            key,
            file: probed_argument(ctx, 1),
            pointer: 0,
            request: 0,
            node,
            number,
            all: 0,
        },
    );
}

#[kretprobe]
#[expect(unsafe_code, reason = "reads a map value")]
pub fn node_open_kretprobe(ctx: RetProbeContext) -> u32 {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    let Some(call) = (unsafe { maps::NODE_CALLS.get(thread) }) else {
        return 0;
    };
    opened(call, i64::from(probed_return(&ctx) as i32));
    let _ = maps::NODE_CALLS.remove(thread);
    0
}

/// The kernel object of a container or an iommufd, and the device of a node, exist after the open.
#[inline(always)]
fn opened(call: &NodeCall, result: i64) {
    if call.node == node_kind::GROUP || result != 0 {
        report(call.node, call.key, call.number, true, result);
        return;
    }
    if call.node != node_kind::CDEV {
        let key = read::private_of(call.file).unwrap_or(0);
        report(call.node, key, UNKNOWN_NUMBER, true, result);
        return;
    }
    let Some(device) = read::device_of(call.file) else {
        emit::lose(Counter::Unreadable);
        return;
    };
    introduce(device);
    let number = read::device_number(device);
    report(call.node, device, number, true, result);
    report_file(device, call.node, device, number, -1);
}

#[kprobe(function = "vfio_group_fops_release")]
pub fn group_release_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(group) = read::private_of(probed_argument(&ctx, 1)) {
        closed(node_kind::GROUP, group, read::group_number(group));
    }
    0
}

#[kprobe(function = "vfio_fops_release")]
pub fn container_release_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(container) = read::private_of(probed_argument(&ctx, 1)) {
        closed(node_kind::CONTAINER, container, UNKNOWN_NUMBER);
    }
    0
}

#[kprobe(function = "iommufd_fops_release")]
pub fn iommufd_release_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(iommufd) = read::private_of(probed_argument(&ctx, 1)) {
        closed(node_kind::IOMMUFD, iommufd, UNKNOWN_NUMBER);
    }
    0
}

/// A node's last file is closed.
#[inline(always)]
pub fn closed(node: u32, key: u64, number: u32) {
    report(node, key, number, false, 0);
}

#[kprobe(function = "vfio_group_fops_unl_ioctl")]
pub fn group_ioctl_kprobe(ctx: ProbeContext) -> u32 {
    // Every request is recorded: otherwise a missed return would be matched with a later entry.
    let request = probed_argument(&ctx, 1) as u32;
    let Some(group) = read::private_of(probed_argument(&ctx, 0)) else {
        emit::lose(Counter::Unreadable);
        return 0;
    };
    emit::begin(
        &maps::NODE_CALLS,
        &NodeCall {
            begin_ns: emit::now(),
            key: group,
            file: 0,
            pointer: 0,
            request,
            node: node_kind::GROUP,
            number: read::group_number(group),
            all: 0,
        },
    );
    0
}

#[kretprobe(function = "vfio_group_fops_unl_ioctl")]
#[expect(unsafe_code, reason = "reads a map value")]
pub fn group_ioctl_kretprobe(ctx: RetProbeContext) -> u32 {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    let Some(call) = (unsafe { maps::NODE_CALLS.get(thread) }) else {
        return 0;
    };
    let fd = probed_return(&ctx) as i64;
    if call.request == VFIO_GROUP_GET_DEVICE_FD && fd >= 0 {
        made(call, fd as i32);
    }
    let _ = maps::NODE_CALLS.remove(thread);
    0
}

#[inline(always)]
fn made(call: &NodeCall, fd: i32) {
    let Some(file) = read::file_of_fd(fd) else {
        emit::lose(Counter::Unreadable);
        return;
    };
    let Some(device) = read::device_of(file) else {
        emit::lose(Counter::Unreadable);
        return;
    };
    introduce(device);
    report_file(device, call.node, call.key, call.number, fd);
}

#[inline(always)]
#[expect(unsafe_code, reason = "fills a record behind a raw pointer")]
fn report(node: u32, key: u64, number: u32, opened: bool, result: i64) {
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<Node>(kind::NODE, |record| {
            (*record).key = key;
            (*record).result = result;
            (*record).node = node;
            (*record).number = number;
            (*record).opened = u32::from(opened);
            (*record).reserved = 0;
        });
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "fills a record behind a raw pointer")]
fn report_file(device: u64, node: u32, key: u64, number: u32, fd: i32) {
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<DeviceFile>(kind::DEVICE_FILE, |record| {
            (*record).device = device;
            (*record).key = key;
            (*record).node = node;
            (*record).number = number;
            (*record).fd = fd;
            (*record).reserved = 0;
        });
    }
}
