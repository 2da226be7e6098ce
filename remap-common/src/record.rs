//! The wire records: one struct for each kind, all in host byte order, none with padding.

mod memory;
mod migration;
mod node;

pub use memory::{ConfigWrite, Dma, Fault, UNKNOWN_SIZE, Zap, cause, dma};
pub use migration::{Data, PrecopyInfo};
pub use node::{DeviceFile, Node, UNKNOWN_NUMBER, node_kind};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of an ioctl's argument that are captured at its entry.
pub const ARGUMENT_BYTES: usize = 64;
/// Bytes of an ioctl's argument that are captured at its return.
pub const ANSWER_BYTES: usize = 512;
/// Bytes of a device's name that are captured.
pub const NAME_BYTES: usize = 32;

/// Kinds of records; the wire carries the number.
pub mod kind {
    /// [`super::Device`].
    pub const DEVICE: u32 = 1;
    /// [`super::Close`].
    pub const CLOSE: u32 = 2;
    /// [`super::Enter`].
    pub const ENTER: u32 = 3;
    /// [`super::Exit`].
    pub const EXIT: u32 = 4;
    /// [`super::Context`].
    pub const CONTEXT: u32 = 5;
    /// [`super::Signal`].
    pub const SIGNAL: u32 = 6;
    /// [`super::Read`].
    pub const READ: u32 = 7;
    /// [`super::Write`].
    pub const WRITE: u32 = 8;
    /// [`super::Release`].
    pub const RELEASE: u32 = 9;
    /// [`super::Map`].
    pub const MAP: u32 = 10;
    /// [`super::Unmap`].
    pub const UNMAP: u32 = 11;
    /// [`super::StateEnter`].
    pub const STATE_ENTER: u32 = 12;
    /// [`super::StateExit`].
    pub const STATE_EXIT: u32 = 13;
    /// [`super::Consumed`].
    pub const CONSUMED: u32 = 14;
    /// [`super::Fault`].
    pub const FAULT: u32 = 15;
    /// [`super::Zap`].
    pub const ZAP: u32 = 16;
    /// [`super::ConfigWrite`].
    pub const CONFIG_WRITE: u32 = 17;
    /// [`super::Dma`].
    pub const DMA: u32 = 18;
    /// [`super::Node`].
    pub const NODE: u32 = 19;
    /// [`super::DeviceFile`].
    pub const DEVICE_FILE: u32 = 20;
    /// [`super::Data`].
    pub const DATA: u32 = 21;
    /// [`super::PrecopyInfo`].
    pub const PRECOPY_INFO: u32 = 22;
}

/// How something came to be known; the wire carries the number.
pub mod origin {
    /// It happened during the trace.
    pub const SEEN: u32 = 0;
    /// Found in the kernel's structures when the trace began.
    pub const FOUND: u32 = 1;
    /// Inferred: signalled by a thread inside a call on the device.
    pub const SIGNALLED_INSIDE: u32 = 2;
    /// Inferred: read by a thread that next described a region anew which the counter named.
    pub const READ_BEFORE_REQUERY: u32 = 3;
}

/// An answer that may not be known; the wire carries the number.
pub mod answer {
    /// It could not be read.
    pub const UNKNOWN: u32 = 0;
    /// Yes.
    pub const YES: u32 = 1;
    /// No.
    pub const NO: u32 = 2;
}

/// The IRQ index of a target whose index is unknown, or that has none.
pub const UNKNOWN_INDEX: u32 = u32::MAX;

/// The roles of an eventfd context; the wire carries the number.
pub mod role {
    /// The kernel signals it (`VFIO_IRQ_SET_ACTION_TRIGGER`).
    pub const TRIGGER: u32 = 0;
    /// User space writes it to mask (`VFIO_IRQ_SET_ACTION_MASK`).
    pub const MASK: u32 = 1;
    /// User space writes it to unmask (`VFIO_IRQ_SET_ACTION_UNMASK`).
    pub const UNMASK: u32 = 2;
    /// The kernel signals it when the device leaves low power
    /// (`VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP`).
    pub const WAKEUP: u32 = 3;
}

/// What every record begins with.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Header {
    /// One of [`kind`].
    pub kind: u32,
    /// The CPU it was recorded on.
    pub cpu: u32,
    /// CLOCK_MONOTONIC, ns.
    pub time_ns: u64,
    /// Process id (tgid), initial namespace.
    pub pid: u32,
    /// Thread id, initial namespace.
    pub tid: u32,
    /// The thread's command name, padded with zeros.
    pub comm: [u8; 16],
}

/// A device was seen for the first time.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Device {
    /// The header.
    pub header: Header,
    /// Address of its `struct vfio_device`.
    pub device: u64,
    /// The parent device's name, padded with zeros; all zeros if it could not be read.
    pub name: [u8; NAME_BYTES],
    /// The name of the driver that it is bound to, likewise.
    pub driver: [u8; NAME_BYTES],
    /// One of [`origin`].
    pub origin: u32,
    /// Zero.
    pub reserved: u32,
}

/// The last file of a device is being closed.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Close {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Whether the process is about to end: one of [`answer`].
    pub dying: u32,
    /// Zero.
    pub reserved: u32,
}

/// An ioctl on a device begins.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Enter {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// The ioctl number.
    pub request: u32,
    /// How many of `argument` were read; 0 if user memory could not be read.
    pub argument_len: u32,
    /// The first bytes behind the ioctl's pointer.
    pub argument: [u8; ARGUMENT_BYTES],
}

/// An ioctl on a device returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Exit {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// When the ioctl began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// What it returned: not negative, or minus the errno.
    pub result: i64,
    /// The ioctl number.
    pub request: u32,
    /// How many of `argument` were read at entry.
    pub argument_len: u32,
    /// How many of `answer` were read at the return; 0 if there was nothing to read.
    pub answer_len: u32,
    /// 1 if reading the answer failed.
    pub answer_unreadable: u32,
    /// As at entry.
    pub argument: [u8; ARGUMENT_BYTES],
    /// The same memory at the return.
    pub answer: [u8; ANSWER_BYTES],
}

/// What an eventfd context stands for.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Target {
    /// The device.
    pub device: u64,
    /// IRQ index.
    pub index: u32,
    /// Sub-index.
    pub sub: u32,
    /// One of [`role`].
    pub role: u32,
    /// The generation of the index in which it was learned; a disabled index has a newer one.
    pub generation: u32,
}

/// An eventfd context was looked up inside a `SET_IRQS`, was found, or is inferred.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Context {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stands for.
    pub target: Target,
    /// The fd that named it; -1 for none.
    pub fd: i32,
    /// One of [`origin`].
    pub origin: u32,
}

/// The kernel signals a context.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Signal {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stands for.
    pub target: Target,
    /// What is added to the counter.
    pub addend: u64,
    /// The counter before; valid if `count_known` is 1.
    pub count: u64,
    /// The device in whose call the signalling thread is; 0 for none.
    pub inside: u64,
    /// 1 if `count` was read.
    pub count_known: u32,
    /// Whether the thread itself signals, and no interrupt on top of it: one of [`answer`].
    pub in_task: u32,
}

/// The kernel itself took the counter.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Consumed {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stands for.
    pub target: Target,
    /// What was taken; valid if `value_known` is 1.
    pub value: u64,
    /// 1 if `value` was read.
    pub value_known: u32,
    /// Zero.
    pub reserved: u32,
}

/// User space read a counter.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Read {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stands for.
    pub target: Target,
    /// What user space got; valid if `value_known` is 1.
    pub value: u64,
    /// 8, or minus the errno.
    pub result: i64,
    /// 1 if `value` was read.
    pub value_known: u32,
    /// Zero.
    pub reserved: u32,
}

/// User space wrote to a counter.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Write {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stands for.
    pub target: Target,
    /// When the write began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// What was written; valid if `value_known` is 1.
    pub value: u64,
    /// 8, or minus the errno.
    pub result: i64,
    /// 1 if `value` was read.
    pub value_known: u32,
    /// Zero.
    pub reserved: u32,
}

/// The last file of an eventfd was closed.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Release {
    /// The header.
    pub header: Header,
    /// The context.
    pub context: u64,
    /// What it stood for.
    pub target: Target,
}

/// The device's mmap returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Map {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Start address in the process.
    pub address: u64,
    /// Length, bytes.
    pub size: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
    /// 0, or minus the errno.
    pub result: i64,
    /// One of [`origin`].
    pub origin: u32,
    /// Zero.
    pub reserved: u32,
}

/// A mapping of the device file is gone.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Unmap {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Start address in the process.
    pub address: u64,
    /// Length, bytes.
    pub size: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
}

/// A write(2) to the first word of a device-specific region begins.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct StateEnter {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
    /// The word; valid if `word_known` is 1.
    pub word: u32,
    /// 1 if `word` was read.
    pub word_known: u32,
}

/// That write returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct StateExit {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// Bytes written, or minus the errno.
    pub result: i64,
    /// The word; valid if `word_known` is 1.
    pub word: u32,
    /// 1 if `word` was read.
    pub word_known: u32,
}
