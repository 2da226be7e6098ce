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
    record::{DeviceFile, Node, NodeKind, UNKNOWN_NUMBER, Wire},
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
    opening(&ctx, NodeKind::Group, group, read::group_number(group));
    0
}

#[kprobe(function = "vfio_fops_open")]
pub fn container_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, NodeKind::Container, 0, UNKNOWN_NUMBER);
    0
}

#[kprobe(function = "vfio_device_fops_cdev_open")]
pub fn cdev_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, NodeKind::Cdev, 0, UNKNOWN_NUMBER);
    0
}

#[kprobe(function = "iommufd_fops_open")]
pub fn iommufd_open_kprobe(ctx: ProbeContext) -> u32 {
    opening(&ctx, NodeKind::Iommufd, 0, UNKNOWN_NUMBER);
    0
}

#[inline(always)]
fn opening(ctx: &ProbeContext, node: NodeKind, key: u64, number: u32) {
    emit::begin(
        &maps::NODE_CALLS,
        &NodeCall {
            begin_ns: emit::now(),
            key,
            file: probed_argument(ctx, 1),
            pointer: 0,
            request: 0,
            node: node.wire(),
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
    if call.node == NodeKind::Group.wire() || result != 0 {
        report(call.node, call.key, call.number, true, result);
        return;
    }
    if call.node != NodeKind::Cdev.wire() {
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
        closed(NodeKind::Group, group, read::group_number(group));
    }
    0
}

#[kprobe(function = "vfio_fops_release")]
pub fn container_release_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(container) = read::private_of(probed_argument(&ctx, 1)) {
        closed(NodeKind::Container, container, UNKNOWN_NUMBER);
    }
    0
}

#[kprobe(function = "iommufd_fops_release")]
pub fn iommufd_release_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(iommufd) = read::private_of(probed_argument(&ctx, 1)) {
        closed(NodeKind::Iommufd, iommufd, UNKNOWN_NUMBER);
    }
    0
}

/// A node's last file is closed.
#[inline(always)]
pub fn closed(node: NodeKind, key: u64, number: u32) {
    report(node.wire(), key, number, false, 0);
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
            node: NodeKind::Group.wire(),
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
fn report(node: Wire<NodeKind>, key: u64, number: u32, opened: bool, result: i64) {
    emit::emit(|| Node {
        key,
        result,
        node,
        number,
        opened: u32::from(opened),
        reserved: 0,
    });
}

#[inline(always)]
fn report_file(device: u64, node: Wire<NodeKind>, key: u64, number: u32, fd: i32) {
    emit::emit(|| DeviceFile {
        device,
        key,
        node,
        number,
        fd,
        reserved: 0,
    });
}
