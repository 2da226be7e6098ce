//! Every kind of record. A field names its unit where it has one.

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{
    ANSWER_BYTES, ARGUMENT_BYTES, Cause, DmaKind, Frame, FromRecord, NAME_BYTES, NodeKind, Origin,
    Record, Role, Tristate, Truncated,
    field::{self, Field, FieldType, Kind, Member, Shape, Unit},
    number::Wire,
    take,
};

wire_struct! {
    /// What every record begins with.
    Header {
        /// The number of its kind.
        kind: u32,
        /// The CPU it was recorded on.
        cpu: u32,
        /// CLOCK_MONOTONIC.
        time_ns: u64 => Nanoseconds,
        /// Process id (tgid), initial namespace.
        pid: u32,
        /// Thread id, initial namespace.
        tid: u32,
        /// The thread's command name.
        comm: [u8; 16] => Text,
    }
}

wire_struct! {
    /// What an eventfd context stands for.
    Target {
        /// The device.
        device: u64 => KernelAddress,
        /// IRQ index, or [`UNKNOWN_INDEX`](super::UNKNOWN_INDEX).
        index: u32,
        /// Sub-index.
        sub: u32,
        /// What the device was given it for.
        role: Wire<Role>,
        /// The generation of the index in which it was stored; a disabled index has a newer one.
        generation: u32,
    }
}

records! {
    /// A device was seen for the first time.
    1 device => Device {
        /// Address of its `struct vfio_device`.
        device: u64 => KernelAddress,
        /// The parent device's name; empty if it could not be read.
        name: [u8; NAME_BYTES] => Text,
        /// The name of the driver that it is bound to, likewise.
        driver: [u8; NAME_BYTES] => Text,
        /// How it came to be known.
        origin: Wire<Origin>,
        /// Zero.
        reserved: u32,
    }

    /// The last file of a device is being closed.
    2 close => Close {
        /// The device.
        device: u64 => KernelAddress,
        /// Whether the process is about to end.
        dying: Wire<Tristate>,
        /// Zero.
        reserved: u32,
    }

    /// An ioctl on a device begins.
    3 enter => Enter {
        /// The device.
        device: u64 => KernelAddress,
        /// The ioctl number.
        request: u32,
        /// How many of `argument` were read; 0 if user memory could not be read.
        argument_len: u32 => Bytes,
        /// The first bytes behind the ioctl's pointer.
        argument: [u8; ARGUMENT_BYTES],
    }

    /// An ioctl on a device returned.
    4 exit => Exit {
        /// The device.
        device: u64 => KernelAddress,
        /// When the ioctl began.
        begin_ns: u64 => Nanoseconds,
        /// What it returned.
        result: i64 => Returned,
        /// The ioctl number.
        request: u32,
        /// How many of `argument` were read at entry.
        argument_len: u32 => Bytes,
        /// How many of `answer` were read at the return; 0 if there was nothing to read.
        answer_len: u32 => Bytes,
        /// Whether reading the answer failed.
        answer_unreadable: u32 => Flag,
        /// As at entry.
        argument: [u8; ARGUMENT_BYTES],
    } + {
        /// The same memory at the return; what is behind `answer_len` has no meaning.
        answer: [u8; ANSWER_BYTES],
    }

    /// An eventfd context was looked up inside a `SET_IRQS`, was found, or is inferred.
    5 context => Context {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stands for.
        target: Target,
        /// The fd that named it; -1 for none.
        fd: i32,
        /// How it came to be known.
        origin: Wire<Origin>,
    }

    /// The kernel signals a context.
    6 signal => Signal {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stands for.
        target: Target,
        /// What is added to the counter.
        addend: u64,
        /// The counter before; valid if `count_known` is 1.
        count: u64,
        /// The device in whose call the signalling thread is; 0 for none.
        inside: u64 => KernelAddress,
        /// Whether `count` was read.
        count_known: u32 => Flag,
        /// Whether the thread itself signals, and no interrupt on top of it.
        in_task: Wire<Tristate>,
    }

    /// User space read a counter.
    7 read => Read {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stands for.
        target: Target,
        /// What user space got; valid if `value_known` is 1.
        value: u64,
        /// 8, or minus the errno.
        result: i64 => Returned,
        /// Whether `value` was read.
        value_known: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// User space wrote to a counter.
    8 write => Write {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stands for.
        target: Target,
        /// When the write began.
        begin_ns: u64 => Nanoseconds,
        /// What was written; valid if `value_known` is 1.
        value: u64,
        /// 8, or minus the errno.
        result: i64 => Returned,
        /// Whether `value` was read.
        value_known: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// The last file of an eventfd was closed.
    9 release => Release {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stood for.
        target: Target,
    }

    /// The device's mmap returned.
    10 map => Map {
        /// The device.
        device: u64 => KernelAddress,
        /// Start address in the process.
        address: u64 => UserAddress,
        /// Length.
        size: u64 => Bytes,
        /// Offset in the device file.
        offset: u64 => Bytes,
        /// 0, or minus the errno.
        result: i64 => Returned,
        /// How it came to be known.
        origin: Wire<Origin>,
        /// Zero.
        reserved: u32,
    }

    /// A mapping of the device file is gone.
    11 unmap => Unmap {
        /// The device.
        device: u64 => KernelAddress,
        /// Start address in the process.
        address: u64 => UserAddress,
        /// Length.
        size: u64 => Bytes,
        /// Offset in the device file.
        offset: u64 => Bytes,
    }

    /// A write(2) to the first word of a device-specific region begins.
    12 state_enter => StateEnter {
        /// The device.
        device: u64 => KernelAddress,
        /// Offset in the device file.
        offset: u64 => Bytes,
        /// The word; valid if `word_known` is 1.
        word: u32,
        /// Whether `word` was read.
        word_known: u32 => Flag,
    }

    /// That write returned.
    13 state_exit => StateExit {
        /// The device.
        device: u64 => KernelAddress,
        /// Offset in the device file.
        offset: u64 => Bytes,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// Bytes written, or minus the errno.
        result: i64 => Returned,
        /// The word; valid if `word_known` is 1.
        word: u32,
        /// Whether `word` was read.
        word_known: u32 => Flag,
    }

    /// The kernel itself took the counter.
    14 consumed => Consumed {
        /// The context.
        context: u64 => KernelAddress,
        /// What it stands for.
        target: Target,
        /// What was taken; valid if `value_known` is 1.
        value: u64,
        /// Whether `value` was read.
        value_known: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// A fault on a mapped region returned.
    15 fault => Fault {
        /// The device.
        device: u64 => KernelAddress,
        /// Offset in the device file.
        offset: u64 => Bytes,
        /// Address in the process.
        address: u64 => UserAddress,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// How much was populated, if it was; [`UNKNOWN_SIZE`](super::UNKNOWN_SIZE) if the handler
        /// has no order and need not fill the mapping.
        size: u64 => Bytes,
        /// What the handler returned (`vm_fault_t`).
        result: u32,
        /// Whether the thread is inside a call on a container or an iommufd: then the kernel itself
        /// wants the page.
        for_dma: u32 => Flag,
    }

    /// The pages of a part of the device file are taken out of every mapping.
    16 zap => Zap {
        /// The device.
        device: u64 => KernelAddress,
        /// Offset in the device file.
        offset: u64 => Bytes,
        /// Length; 0 for all behind the offset.
        size: u64 => Bytes,
        /// In which call.
        cause: Wire<Cause>,
        /// See [`Cause`].
        detail: u32,
        /// See [`Cause`]; valid if `value_known` is 1.
        value: u32,
        /// Whether `value` was read.
        value_known: u32 => Flag,
    }

    /// A write to config space returned.
    17 config_write => ConfigWrite {
        /// The device.
        device: u64 => KernelAddress,
        /// Offset in config space.
        offset: u64 => Bytes,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// Bytes written, or minus the errno.
        result: i64 => Returned,
        /// The first bytes; valid if `value_known` is 1.
        value: u32,
        /// Whether `value` was read.
        value_known: u32 => Flag,
    }

    /// An ioctl of a container or an iommufd about a mapping for DMA returned.
    18 dma => Dma {
        /// Address of the container or iommufd.
        node: u64 => KernelAddress,
        /// First address on the device's side.
        iova: u64 => DeviceAddress,
        /// Length.
        size: u64 => Bytes,
        /// Address in the process; for [`DmaKind::Map`].
        vaddr: u64 => UserAddress,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// 0, or minus the errno.
        result: i64 => Returned,
        /// What was done.
        operation: Wire<DmaKind>,
        /// Zero.
        reserved: u32,
    }

    /// A node was opened, or its last file closed.
    19 node => Node {
        /// Address of its kernel object.
        key: u64 => KernelAddress,
        /// 0, or minus the errno, of an open.
        result: i64 => Returned,
        /// What it is.
        node: Wire<NodeKind>,
        /// Its number (group, device node), or [`UNKNOWN_NUMBER`](super::UNKNOWN_NUMBER).
        number: u32,
        /// 1 for an open, 0 for a close.
        opened: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// A device's file was made.
    20 device_file => DeviceFile {
        /// The device.
        device: u64 => KernelAddress,
        /// Address of the node's kernel object.
        key: u64 => KernelAddress,
        /// Through which node it was made.
        node: Wire<NodeKind>,
        /// The node's number, or [`UNKNOWN_NUMBER`](super::UNKNOWN_NUMBER).
        number: u32,
        /// The fd; -1 where the open is of the device's own node.
        fd: i32,
        /// Zero.
        reserved: u32,
    }

    /// A read or write of a migration data fd returned.
    21 data => Data {
        /// The device; 0 if it is not known.
        device: u64 => KernelAddress,
        /// Address of the file.
        file: u64 => KernelAddress,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// Bytes asked for.
        requested: u64 => Bytes,
        /// Bytes moved, or minus the errno.
        result: i64 => Returned,
        /// 1 for a write.
        write: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// `VFIO_MIG_GET_PRECOPY_INFO` returned.
    22 precopy_info => PrecopyInfo {
        /// The device; 0 if it is not known.
        device: u64 => KernelAddress,
        /// Address of the file.
        file: u64 => KernelAddress,
        /// When it began.
        begin_ns: u64 => Nanoseconds,
        /// 0, or minus the errno.
        result: i64 => Returned,
        /// `initial_bytes`; valid if `bytes_known` is 1.
        initial_bytes: u64 => Bytes,
        /// `dirty_bytes`; likewise.
        dirty_bytes: u64 => Bytes,
        /// Whether they were read.
        bytes_known: u32 => Flag,
        /// Zero.
        reserved: u32,
    }

    /// The kernel asks the user of a device to close it (`vfio_pci_core_request`): an unbind waits.
    23 request => Request {
        /// The device.
        device: u64 => KernelAddress,
        /// How often this unbind has asked before.
        count: u32,
        /// Zero.
        reserved: u32,
    }
}
