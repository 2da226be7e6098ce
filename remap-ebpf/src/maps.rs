//! The maps with the state that programs share; those of records and counters are in `emit`.

use crate::emit::{self, Subject};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use remap_common::{
    in_flight,
    record::{ARGUMENT_BYTES, NodeKind, Role, Target, Wire},
    walk::{Met, Thread},
};

/// eventfd context → its target: the device, IRQ index, sub-index and role.
#[map]
pub static CONTEXTS: HashMap<u64, Target> = HashMap::with_max_entries(16384, 0);

/// Slot of a device → the context that it has now.
#[map]
pub static SLOTS: LruHashMap<Slot, u64> = LruHashMap::with_max_entries(16384, 0);

/// Slot of a device → the context that it had before a call in flight replaced it: forgotten if the
/// call succeeds.
#[map]
pub static PREVIOUS: LruHashMap<Slot, u64> = LruHashMap::with_max_entries(4096, 0);

/// Slot of a device → what the context that a call in flight has put there was before: restored if the
/// call fails.
#[map]
pub static DISPLACED: LruHashMap<Slot, Displaced> = LruHashMap::with_max_entries(4096, 0);

/// How often a device's IRQ index has been disabled: contexts of an older generation are stale.
#[map]
pub static GENERATIONS: HashMap<Index, u32> = HashMap::with_max_entries(4096, 0);

/// The devices whose name was sent: 1, or [`PRIOR`].
#[map]
pub static DEVICES: HashMap<u64, u8> = HashMap::with_max_entries(4096, 0);

/// The file operations of VFIO device files, from user space or from the first mmap; 0 before.
#[map]
pub static OPERATIONS: Array<u64> = Array::with_max_entries(1, 0);

/// The devices that the current walk has found. User space reads and empties it.
#[map]
pub static MET: HashMap<u64, Met> = HashMap::with_max_entries(4096, 0);

/// The device files that the current walk has found: the process (upper half) and its fd → the
/// device. User space reads and empties it.
#[map]
pub static DEVICE_FILES: HashMap<u64, u64> = HashMap::with_max_entries(4096, 0);

/// The threads (tgid in the upper half, tid in the lower) that user space asks about; a walk fills in
/// what they do.
#[map]
pub static THREADS: HashMap<u64, Thread> = HashMap::with_max_entries(4096, 0);

/// The threads whose device ioctl began before that, and may return after it.
#[map]
pub static EARLY: LruHashMap<u64, u8> = LruHashMap::with_max_entries(4096, 0);

/// mm → the process that has mapped a device there.
#[map]
pub static MMS: LruHashMap<u64, Subject> = LruHashMap::with_max_entries(4096, 0);

/// Thread → the eventfd that it has read last, if that eventfd has no target.
#[map]
pub static LAST_READS: LruHashMap<u64, LastRead> = LruHashMap::with_max_entries(1024, 0);

/// The regions whose description user space has; `index` is the region, `sub` the generation of
/// the device.
#[map]
pub static DESCRIBED: LruHashMap<Slot, u8> = LruHashMap::with_max_entries(4096, 0);

/// Thread → the device ioctl that it is in.
#[map]
pub static IOCTLS: HashMap<u64, Ioctl> = HashMap::with_max_entries(4096, 0);

/// Thread → the device mmap that it is in.
#[map]
pub static MMAPS: HashMap<u64, Mmap> = HashMap::with_max_entries(1024, 0);

/// Thread → the write to a region that it is in: config space, or a device_state word.
#[map]
pub static REGION_WRITES: HashMap<u64, RegionWrite> = HashMap::with_max_entries(1024, 0);

/// Inode mapping of a device → the device.
#[map]
pub static INODE_MAPPINGS: HashMap<u64, u64> = HashMap::with_max_entries(4096, 0);

/// Thread → the fault on a mapped region that it is in.
#[map]
pub static FAULTS: HashMap<u64, Fault> = HashMap::with_max_entries(4096, 0);

/// Thread → the VMA copy that it opens: the kernel zaps it next.
#[map]
pub static COPIES: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1024, 0);

/// Thread → the call on a group, container or iommufd that it is in.
#[map]
pub static NODE_CALLS: HashMap<u64, NodeCall> = HashMap::with_max_entries(1024, 0);

/// Migration data file → its device. The least used is forgotten first; a file that was freed
/// is distinguished from a later one at its address when that is used.
#[map]
pub static DATA_FILES: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1024, 0);

/// Thread → the call on a migration data file that it is in.
#[map]
pub static DATA_CALLS: HashMap<u64, DataCall> = HashMap::with_max_entries(1024, 0);

/// Thread → the eventfd write that it is in.
#[map]
pub static EVENTFD_WRITES: HashMap<u64, EventfdWrite> = HashMap::with_max_entries(1024, 0);

/// Thread → the eventfd read that it is in (only where the kernel has no fexit).
#[map]
pub static EVENTFD_READS: HashMap<u64, EventfdRead> = HashMap::with_max_entries(4096, 0);

/// `BPF_EXIST`: an insertion fails where there is no entry.
pub const EXISTING_ONLY: u64 = 2;

/// An IRQ index of a device; `index` [`WHOLE_DEVICE`] stands for all of them.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Index {
    pub device: u64,
    pub index: u32,
    pub zero: u32,
}

/// The generation of a device as a whole: it grows when the device is closed.
pub const WHOLE_DEVICE: u32 = u32::MAX;

/// The device of the ioctl or region write that the current thread is in.
#[inline(always)]
pub fn device_in_call() -> Option<u64> {
    if let Some(call) = emit::call_in(&IOCTLS) {
        return Some(call.device);
    }
    Some(emit::call_in(&REGION_WRITES)?.device)
}

/// In [`DEVICES`]: the device was open before the trace and has a vendor's driver, so it may have
/// unknown eventfds.
pub const PRIOR: u8 = 2;

/// The last read of a thread.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LastRead {
    pub context: u64,
    pub value: u64,
    pub time_ns: u64,
}

/// A place where a device holds an eventfd.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Slot {
    pub device: u64,
    pub index: u32,
    pub sub: u32,
    pub role: Wire<Role>,
    pub zero: u32,
}

/// A device ioctl in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Ioctl {
    pub begin_ns: u64,
    pub device: u64,
    /// The user's pointer.
    pub pointer: u64,
    /// The context that `eventfd_ctx_fileget` reported last; its caller reports it again.
    pub inner_context: u64,
    pub request: u32,
    pub argument_len: u32,
    /// Next element of the fd array of a `SET_IRQS`.
    pub cursor: u32,
    /// 1 if the argument lay in memory that could not be read at the entry.
    pub unread: u32,
    /// The context that is to wake the user of the device, if the call succeeds.
    pub wakeup_context: u64,
    pub argument: [u8; ARGUMENT_BYTES],
}

/// A context and its target before a call gave it another one.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Displaced {
    pub context: u64,
    pub target: Target,
}

impl Slot {
    /// The place that a target names.
    #[inline(always)]
    pub fn of(target: &Target) -> Self {
        Self {
            device: target.device,
            index: target.index,
            sub: target.sub,
            role: target.role,
            zero: 0,
        }
    }
}

impl Ioctl {
    /// The four-byte word at `offset` of the captured argument.
    #[inline(always)]
    pub fn word(&self, offset: usize) -> u32 {
        let bytes = &self.argument;
        u32::from_ne_bytes([
            bytes[offset],
            bytes[offset + 1],
            bytes[offset + 2],
            bytes[offset + 3],
        ])
    }
}

/// A device mmap in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mmap {
    pub device: u64,
    pub address: u64,
    pub size: u64,
    pub offset: u64,
}

/// A write to config space or a device_state word in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RegionWrite {
    pub begin_ns: u64,
    pub device: u64,
    pub offset: u64,
    pub word: u32,
    pub word_known: u32,
    /// The user's buffer and its length.
    pub buffer: u64,
    pub count: u64,
}

/// A fault on a mapped region in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Fault {
    pub begin_ns: u64,
    /// The handler that was entered first; those that it calls are a part of it.
    pub handler: u64,
    pub vmf: u64,
    pub device: u64,
    pub offset: u64,
    pub address: u64,
    /// What is populated if it succeeds, bytes.
    pub size: u64,
}

/// A call on a group, container, device node or iommufd in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NodeCall {
    pub begin_ns: u64,
    /// The kernel object, or 0 before it is made.
    pub key: u64,
    pub file: u64,
    /// The user's pointer of an ioctl.
    pub pointer: u64,
    /// The ioctl number, or 0 for an open.
    pub request: u32,
    pub node: Wire<NodeKind>,
    pub number: u32,
    /// [`NodeCall::ALL`] for an unmap of all, or [`NodeCall::UNREAD`].
    pub all: u32,
}

impl NodeCall {
    /// Everything is unmapped.
    pub const ALL: u32 = 1;
    /// The argument that says so could not be read at the entry.
    pub const UNREAD: u32 = 2;

    /// A call that begins now.
    #[inline(always)]
    pub fn of(node: NodeKind, key: u64, number: u32) -> Self {
        Self {
            begin_ns: emit::now(),
            key,
            file: 0,
            pointer: 0,
            request: 0,
            node: node.wire(),
            number,
            all: 0,
        }
    }
}

/// A call on a migration data file in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DataCall {
    pub begin_ns: u64,
    pub handler: u64,
    pub device: u64,
    pub file: u64,
    /// Bytes asked for; of an ioctl the user's pointer.
    pub argument: u64,
    pub write: u64,
}

/// A write to a device's eventfd in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EventfdWrite {
    pub begin_ns: u64,
    pub context: u64,
    pub value: u64,
    pub value_known: u64,
    /// The user's buffer.
    pub buffer: u64,
    pub target: Target,
}

/// A read of a device's eventfd in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EventfdRead {
    pub file: u64,
    pub iter: u64,
}

// User space reads these maps.
const _: () = {
    assert!(size_of::<Ioctl>() == in_flight::IOCTLS.bytes);
    assert!(size_of::<Mmap>() == in_flight::MMAPS.bytes);
    assert!(size_of::<RegionWrite>() == in_flight::REGION_WRITES.bytes);
    assert!(size_of::<EventfdWrite>() == in_flight::EVENTFD_WRITES.bytes);
    assert!(size_of::<EventfdRead>() == in_flight::EVENTFD_READS.bytes);
    assert!(size_of::<Fault>() == in_flight::FAULTS.bytes);
    assert!(size_of::<NodeCall>() == in_flight::NODE_CALLS.bytes);
    assert!(size_of::<DataCall>() == in_flight::DATA_CALLS.bytes);
};
