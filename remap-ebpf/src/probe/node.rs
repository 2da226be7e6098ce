//! Traces opens and closes of groups (drivers/vfio/group.c), containers (container.c), devices' own
//! nodes (device_cdev.c) and iommufds (drivers/iommu/iommufd/main.c), and the creation of a device
//! file: by `VFIO_GROUP_GET_DEVICE_FD`, or by the open of the device's own node.
//! Emits `Node` and `DeviceFile`. Without it the group or node of a device is not seen.

use remap_common::{
    record::{DeviceFile, Node, NodeKind, UNKNOWN_NUMBER, Wire},
    uapi::VFIO_GROUP_GET_DEVICE_FD,
};

use super::vfio_ioctl::introduce;
use crate::{
    emit::{self, Loss, Run},
    maps::{self, NodeCall},
    read,
};

program!(kprobe, group_open_kprobe, |argument| open_group(
    argument(0),
    argument(1)
));
program!(kprobe, container_open_kprobe, |argument| opening(
    argument(1),
    NodeCall::of(NodeKind::Container, 0, UNKNOWN_NUMBER)
));
program!(kprobe, cdev_open_kprobe, |argument| opening(
    argument(1),
    NodeCall::of(NodeKind::Cdev, 0, UNKNOWN_NUMBER)
));
program!(kprobe, iommufd_open_kprobe, |argument| opening(
    argument(1),
    NodeCall::of(NodeKind::Iommufd, 0, UNKNOWN_NUMBER)
));

#[inline(always)]
fn open_group(inode: u64, file: u64) -> Option<()> {
    let group = emit::required(read::group_of_inode(inode))?;
    opening(
        file,
        NodeCall::of(NodeKind::Group, group, read::group_number(group)),
    );
    Some(())
}

#[inline(always)]
fn opening(file: u64, call: NodeCall) {
    emit::begin(&maps::NODE_CALLS, Loss::UNKNOWN, &NodeCall { file, ..call });
}

program!(kretprobe, node_open_kretprobe, run, |result| emit::end(
    &maps::NODE_CALLS,
    |call| {
        opened(run, call, i64::from(result as i32));
    }
));

/// The kernel object of a container or an iommufd, and the device of a node, exist after the open.
#[inline(always)]
fn opened(run: Run, call: &NodeCall, result: i64) -> Option<()> {
    if call.node == NodeKind::Group.wire() || result != 0 {
        report(run, call.node, call.key, call.number, true, result);
        return None;
    }
    if call.node != NodeKind::Cdev.wire() {
        let key = read::private_of(call.file).unwrap_or(0);
        report(run, call.node, key, UNKNOWN_NUMBER, true, result);
        return None;
    }
    let device = emit::required(read::device_of(call.file))?;
    introduce(run, device);
    let number = read::device_number(device);
    report(run, call.node, device, number, true, result);
    report_file(run, device, call.node, device, number, -1);
    Some(())
}

program!(kprobe, group_release_kprobe, run, |argument| {
    if let Some(group) = read::private_of(argument(1)) {
        closed(run, NodeKind::Group, group, read::group_number(group));
    }
});
program!(kprobe, container_release_kprobe, run, |argument| closing(
    run,
    NodeKind::Container,
    argument(1)
));
program!(kprobe, iommufd_release_kprobe, run, |argument| closing(
    run,
    NodeKind::Iommufd,
    argument(1)
));

#[inline(always)]
fn closing(run: Run, node: NodeKind, file: u64) {
    if let Some(key) = read::private_of(file) {
        closed(run, node, key, UNKNOWN_NUMBER);
    }
}

/// A node's last file is closed.
#[inline(always)]
pub fn closed(run: Run, node: NodeKind, key: u64, number: u32) {
    report(run, node.wire(), key, number, false, 0);
}

program!(kprobe, group_ioctl_kprobe, |argument| asked(
    argument(0),
    argument(1) as u32
));

/// Every request is recorded: otherwise a missed return would be matched with a later entry.
#[inline(always)]
fn asked(file: u64, request: u32) -> Option<()> {
    let group = emit::required(read::private_of(file))?;
    emit::begin(
        &maps::NODE_CALLS,
        Loss::UNKNOWN,
        &NodeCall {
            request,
            ..NodeCall::of(NodeKind::Group, group, read::group_number(group))
        },
    );
    Some(())
}

program!(kretprobe, group_ioctl_kretprobe, run, |result| emit::end(
    &maps::NODE_CALLS,
    |call| {
        let fd = result as i64;
        if call.request == VFIO_GROUP_GET_DEVICE_FD && fd >= 0 {
            made(run, call, fd as i32);
        }
    }
));

#[inline(always)]
fn made(run: Run, call: &NodeCall, fd: i32) -> Option<()> {
    let file = emit::required(read::file_of_fd(fd))?;
    let device = emit::required(read::device_of(file))?;
    introduce(run, device);
    report_file(run, device, call.node, call.key, call.number, fd);
    Some(())
}

#[inline(always)]
fn report(run: Run, node: Wire<NodeKind>, key: u64, number: u32, opened: bool, result: i64) {
    emit::emit(run, Loss::UNKNOWN, || Node {
        key,
        result,
        node,
        number,
        opened: u32::from(opened),
        reserved: 0,
    });
}

#[inline(always)]
fn report_file(run: Run, device: u64, node: Wire<NodeKind>, key: u64, number: u32, fd: i32) {
    emit::emit(run, Loss::of(device), || DeviceFile {
        device,
        key,
        node,
        number,
        fd,
        reserved: 0,
    });
}
