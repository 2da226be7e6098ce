//! What happened: one variant for each kind of event.

use super::{
    Answer, Call, ContextKey, DeviceKey, DmaKind, EarlyCall, Errno, FaultOutcome, Node, NodeKey,
    Origin, Target, ZapCause,
};
use crate::json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A device was seen for the first time in this trace, or since it was closed.
    Device {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Its name: the BDF for a PCI device.
        #[serde(skip)]
        name: String,
        /// The kernel driver that it is bound to, if it could be read.
        driver: Option<String>,
        /// How it came to be known.
        origin: Origin,
    },
    /// The device file was closed for the last time.
    Close {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Whether the closing process is about to end; `None` if that could not be read.
        dying: Option<bool>,
    },
    /// A process that uses a device, as user space knows it.
    Owner {
        /// Process id, in the initial PID namespace.
        #[serde(skip)]
        pid: u32,
        /// The virtual machine's name, from the VMM's command line; `None` where a process that
        /// had one runs another program now.
        vm: Option<String>,
    },
    /// An ioctl on the device begins.
    Enter {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Its arguments.
        call: Call,
    },
    /// An ioctl on the device returned.
    Exit {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Its arguments, as at entry.
        call: Call,
        /// When it began (CLOCK_MONOTONIC ns).
        begin_ns: u64,
        /// The return value (not negative), or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
        /// What it handed back.
        #[serde(with = "json::MaybeAnswer")]
        answer: Answer,
    },
    /// A call was under way when the trace began; its return will not be seen as such, since the
    /// kernel arms a return at the entry.
    #[serde(rename = "in_flight_call")]
    Early {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// What was called.
        call: EarlyCall,
        /// The functions in which the thread waits, innermost first; empty if that could not be
        /// read.
        waits_in: Vec<String>,
    },
    /// A thread is in that call no more.
    #[serde(rename = "in_flight_call_over")]
    EarlyOver {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// When it was last seen in it (CLOCK_MONOTONIC ns).
        #[serde(rename = "last_seen_ns")]
        seen_ns: u64,
    },
    /// An eventfd context was looked up inside a `SET_IRQS`, was found, or is inferred to be a
    /// device's: from now on it stands for `target`.
    Context {
        /// The context.
        context: ContextKey,
        /// What it stands for; its index is [`UNKNOWN_INDEX`](super::UNKNOWN_INDEX) where it is inferred.
        #[serde(flatten)]
        target: Target,
        /// The fd number that named it in that process, where a call named it.
        fd: Option<i32>,
        /// How it came to be known.
        origin: Origin,
    },
    /// The kernel signals a context (entry of `eventfd_signal_mask`).
    Signal {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        #[serde(flatten)]
        target: Target,
        /// What is added to the counter; always 1 where eventfd_signal has no count.
        addend: u64,
        /// The counter before the addition, if it could be read.
        count: Option<u64>,
        /// The device whose ioctl or region write the signalling thread is inside of, if any.
        #[serde(with = "json::IsDevice")]
        inside: Option<DeviceKey>,
        /// Whether the thread itself signals, and not an interrupt on top of it; `None` if that
        /// could not be read.
        in_task: Option<bool>,
    },
    /// The kernel itself took the counter (`eventfd_ctx_do_read`): KVM's irqfd, or a virqfd.
    Consumed {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        #[serde(flatten)]
        target: Target,
        /// The value that was taken, if it could be read.
        value: Option<u64>,
    },
    /// User space read the counter (return of `eventfd_read`).
    Read {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        #[serde(flatten)]
        target: Target,
        /// The value that user space got, if it could be read.
        value: Option<u64>,
        /// 8, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// User space wrote to the counter (return of `eventfd_write`; `begin_ns` is its entry).
    Write {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        #[serde(flatten)]
        target: Target,
        /// When it began.
        begin_ns: u64,
        /// The value written, if it could be read.
        value: Option<u64>,
        /// 8, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// The last file of the eventfd was closed by user space.
    Release {
        /// The context.
        context: ContextKey,
        /// What it stood for.
        #[serde(flatten)]
        target: Target,
    },
    /// A part of a region was mapped (return of the device's mmap).
    Map {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// Offset within the region, bytes.
        offset: u64,
        /// Length, bytes.
        size: u64,
        /// Start address in the process.
        address: u64,
        /// Success, or the errno.
        #[serde(with = "json::ResultName")]
        result: Result<(), Errno>,
        /// How it came to be known.
        origin: Origin,
    },
    /// A mapping of a region (or a part of one) is gone.
    Unmap {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// Offset within the region, bytes.
        offset: u64,
        /// Length, bytes.
        size: u64,
        /// Start address in the process.
        address: u64,
    },
    /// A write(2) to the start of a device-specific region begins: where the region is the
    /// legacy migration region, this is its `device_state` word.
    StateWriteEnter {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// The word that is written, if it could be read.
        word: Option<u32>,
    },
    /// That write returned.
    StateWriteExit {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// The word that was written, if it could be read.
        word: Option<u32>,
        /// When it began.
        begin_ns: u64,
        /// Bytes written, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// A touch of a mapped region without a page behind it (return of the fault handler).
    Fault {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// Offset within the region, bytes.
        offset: u64,
        /// The address in the process.
        address: u64,
        /// When it began.
        begin_ns: u64,
        /// What came of it.
        #[serde(flatten)]
        outcome: FaultOutcome,
    },
    /// The kernel takes the pages of a region, or a part of it, out of every mapping.
    Zap {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// First and last region index that it concerns.
        #[serde(flatten, with = "json::Regions")]
        regions: (u32, u32),
        /// Offset within the first region, bytes.
        offset: u64,
        /// Length, bytes; reaches over several regions where `regions` says so.
        size: u64,
        /// In which call.
        cause: ZapCause,
    },
    /// A write to the device's config space through its file returned.
    ConfigWrite {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Offset in config space, bytes.
        offset: u64,
        /// What was written, as far as four bytes hold it and if it could be read.
        value: Option<u32>,
        /// When it began.
        begin_ns: u64,
        /// Bytes written, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// A mapping for the device's DMA was made or ended (return of the ioctl on the container or
    /// the iommufd).
    Dma {
        /// The container or iommufd.
        node: NodeKey,
        /// What was done.
        #[serde(rename = "what")]
        kind: DmaKind,
        /// First address on the device's side.
        iova: u64,
        /// Length, bytes; for an unmap what the kernel says it has unmapped.
        size: u64,
        /// Address in the process, for a map.
        vaddr: Option<u64>,
        /// When it began.
        begin_ns: u64,
        /// Success, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// A group, container, device node or iommufd was opened.
    NodeOpen {
        /// The node.
        node: Node,
        /// Success, or the errno.
        #[serde(with = "json::ResultName")]
        result: Result<(), Errno>,
    },
    /// The last file of one was closed.
    NodeClose {
        /// The node.
        node: Node,
    },
    /// A device's file was made: `VFIO_GROUP_GET_DEVICE_FD`, or the open of its node.
    DeviceFile {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Through which node.
        node: Node,
        /// The fd in that process, where the kernel hands it out there.
        fd: Option<i32>,
    },
    /// A read or a write of a migration data fd returned.
    Data {
        /// The device, if it is known which one the file belongs to.
        #[serde(skip)]
        device: Option<DeviceKey>,
        /// The file: names it within the trace, until it is closed.
        file: u64,
        /// Whether it was a write (the destination's side).
        write: bool,
        /// Bytes asked for.
        requested: u64,
        /// When it began.
        begin_ns: u64,
        /// Bytes moved, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// `VFIO_MIG_GET_PRECOPY_INFO` on a migration data fd returned.
    PrecopyInfo {
        /// The device, if it is known.
        #[serde(skip)]
        device: Option<DeviceKey>,
        /// The file.
        file: u64,
        /// When it began.
        begin_ns: u64,
        /// `initial_bytes` and `dirty_bytes`, if they could be read.
        #[serde(flatten, with = "json::PrecopyBytes")]
        bytes: Option<(u64, u64)>,
        /// Success, or the errno.
        #[serde(flatten, with = "json::Returned")]
        result: Result<i64, Errno>,
    },
    /// A record of a kind that this version does not know: programs of another version are attached.
    Unknown {
        /// The number of the kind.
        #[serde(rename = "record_kind")]
        kind: u32,
    },
    /// Records were lost before this point: what follows may miss a part.
    Lost {
        /// How many, at least.
        count: u64,
    },
}
