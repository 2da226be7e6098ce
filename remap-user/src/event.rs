//! What happened, decoded: the vocabulary between the probes and the correlation.
//!
//! An [`Event`] is one record of the kernel side after decoding. Nothing here knows a wire
//! layout, a clock or a file; whatever could not be read is `None` or an `Unknown` variant.

use std::fmt;

use crate::vfio::{irq::IrqInfo, region::Region};

/// A device: the address of its kernel object. Names a device within one trace; never printed
/// unless addresses were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub u64);

/// An eventfd context: the address of its kernel object (`struct eventfd_ctx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextKey(pub u64);

/// The task that an event happened in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Process id (the kernel's tgid), in the initial PID namespace.
    pub pid: u32,
    /// Thread id (the kernel's pid).
    pub tid: u32,
    /// Command name of the thread, at most 15 bytes.
    pub comm: String,
}

/// What an eventfd context stands for on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The device.
    pub device: DeviceKey,
    /// IRQ index.
    pub index: u32,
    /// Sub-index within the IRQ index.
    pub sub: u32,
    /// Whether the kernel signals it or listens to it.
    pub role: Role,
}

/// The direction of an eventfd that was given to `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `ACTION_TRIGGER`: the kernel signals it.
    Trigger,
    /// `ACTION_MASK`: user space writes it to mask.
    Mask,
    /// `ACTION_UNMASK`: user space writes it to unmask.
    Unmask,
}

/// A migration state: `enum vfio_device_mig_state` of the uAPI, or the legacy word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceState {
    /// `VFIO_DEVICE_STATE_ERROR` (0).
    Error,
    /// `VFIO_DEVICE_STATE_STOP` (1).
    Stop,
    /// `VFIO_DEVICE_STATE_RUNNING` (2).
    Running,
    /// `VFIO_DEVICE_STATE_STOP_COPY` (3).
    StopCopy,
    /// `VFIO_DEVICE_STATE_RESUMING` (4).
    Resuming,
    /// `VFIO_DEVICE_STATE_RUNNING_P2P` (5).
    RunningP2p,
    /// `VFIO_DEVICE_STATE_PRE_COPY` (6).
    PreCopy,
    /// `VFIO_DEVICE_STATE_PRE_COPY_P2P` (7).
    PreCopyP2p,
    /// A value that this version of remap does not know.
    Unknown(u32),
    /// The `device_state` word of the legacy (v1) migration region:
    /// bit 0 _RUNNING, bit 1 _SAVING, bit 2 _RESUMING.
    Legacy(u32),
}

impl DeviceState {
    /// The state for a value of `struct vfio_device_feature_mig_state.device_state`.
    pub fn from_uapi(value: u32) -> Self {
        match value {
            0 => Self::Error,
            1 => Self::Stop,
            2 => Self::Running,
            3 => Self::StopCopy,
            4 => Self::Resuming,
            5 => Self::RunningP2p,
            6 => Self::PreCopy,
            7 => Self::PreCopyP2p,
            other => Self::Unknown(other),
        }
    }

    /// The uAPI's value; `None` for a legacy word, which lives in another number space.
    pub fn to_uapi(self) -> Option<u32> {
        Some(match self {
            Self::Error => 0,
            Self::Stop => 1,
            Self::Running => 2,
            Self::StopCopy => 3,
            Self::Resuming => 4,
            Self::RunningP2p => 5,
            Self::PreCopy => 6,
            Self::PreCopyP2p => 7,
            Self::Unknown(value) => value,
            Self::Legacy(_) => return None,
        })
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Error => "ERROR",
            Self::Stop => "STOP",
            Self::Running => "RUNNING",
            Self::StopCopy => "STOP_COPY",
            Self::Resuming => "RESUMING",
            Self::RunningP2p => "RUNNING_P2P",
            Self::PreCopy => "PRE_COPY",
            Self::PreCopyP2p => "PRE_COPY_P2P",
            Self::Unknown(value) => return write!(f, "state {value}"),
            Self::Legacy(0) => "_STOP",
            Self::Legacy(word) => {
                let names = [(1, "_RUNNING"), (2, "_SAVING"), (4, "_RESUMING")];
                let mut rest = *word;
                let mut separator = "";
                for (bit, name) in names {
                    if rest & bit != 0 {
                        write!(f, "{separator}{name}")?;
                        separator = "|";
                        rest &= !bit;
                    }
                }
                if rest != 0 {
                    write!(f, "{separator}{rest:#x}")?;
                }
                return Ok(());
            }
        };
        f.pad(name)
    }
}

/// The `ACTION` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// `VFIO_IRQ_SET_ACTION_MASK`.
    Mask,
    /// `VFIO_IRQ_SET_ACTION_UNMASK`.
    Unmask,
    /// `VFIO_IRQ_SET_ACTION_TRIGGER`.
    Trigger,
    /// Flags that name no single action.
    Unknown(u32),
}

/// The `DATA` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IrqData {
    /// `VFIO_IRQ_SET_DATA_NONE`.
    None,
    /// `VFIO_IRQ_SET_DATA_BOOL`: one byte for each sub-index, as far as it was captured.
    Bool(Vec<bool>),
    /// `VFIO_IRQ_SET_DATA_EVENTFD`: one fd for each sub-index (-1: none), as far as captured.
    Eventfd(Vec<i32>),
    /// Flags that name no single kind of data.
    Unknown(u32),
}

/// The operation of a `VFIO_DEVICE_FEATURE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureOp {
    /// `VFIO_DEVICE_FEATURE_GET`.
    pub get: bool,
    /// `VFIO_DEVICE_FEATURE_SET`.
    pub set: bool,
    /// `VFIO_DEVICE_FEATURE_PROBE`.
    pub probe: bool,
}

/// The arguments of an ioctl on a VFIO device, read once at its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `VFIO_DEVICE_SET_IRQS`.
    SetIrqs {
        /// IRQ index.
        index: u32,
        /// First sub-index.
        start: u32,
        /// Number of sub-indexes; 0 with `IrqData::None` and `Trigger` disables the index.
        count: u32,
        /// What is done.
        action: IrqAction,
        /// With what; may hold fewer than `count` values.
        data: IrqData,
    },
    /// `VFIO_DEVICE_GET_IRQ_INFO`.
    GetIrqInfo {
        /// IRQ index.
        index: u32,
    },
    /// `VFIO_DEVICE_GET_REGION_INFO`.
    GetRegionInfo {
        /// Region index.
        index: u32,
    },
    /// `VFIO_DEVICE_FEATURE`.
    Feature {
        /// The feature number (`VFIO_DEVICE_FEATURE_MASK`).
        feature: u32,
        /// The operation.
        op: FeatureOp,
        /// For a SET of `MIG_DEVICE_STATE`: the state asked for.
        state: Option<DeviceState>,
    },
    /// `VFIO_DEVICE_RESET`.
    Reset,
    /// Any other request.
    Other {
        /// The ioctl number.
        request: u32,
    },
    /// The arguments could not be read from user memory.
    Unreadable {
        /// The ioctl number.
        request: u32,
    },
}

/// What an ioctl handed back, read once at its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to read, or the call failed.
    None,
    /// The answer of `GET_REGION_INFO`.
    Region(Region),
    /// The answer of `GET_IRQ_INFO`.
    Irq(IrqInfo),
    /// A migration state (`MIG_DEVICE_STATE`, GET or SET) and, where one was made, the data fd.
    State {
        /// The state that the kernel reports; for SET, the state asked for.
        state: DeviceState,
        /// The data fd of the new state; `None` if there is none.
        data_fd: Option<i32>,
    },
    /// The answer is there but it cannot be understood: the reason.
    Malformed(String),
    /// The memory that holds the answer could not be read.
    Unreadable,
}

/// An errno as the kernel returned it, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A device was seen for the first time in this trace.
    Device {
        /// The device.
        device: DeviceKey,
        /// Its name: the BDF for a PCI device.
        name: String,
    },
    /// The device file was closed for the last time.
    Close {
        /// The device.
        device: DeviceKey,
    },
    /// An ioctl on the device begins.
    Enter {
        /// The device.
        device: DeviceKey,
        /// Its arguments.
        call: Call,
    },
    /// An ioctl on the device returned.
    Exit {
        /// The device.
        device: DeviceKey,
        /// Its arguments, as at entry.
        call: Call,
        /// When it began (CLOCK_MONOTONIC ns).
        begin_ns: u64,
        /// The return value (not negative), or the errno.
        result: Result<i64, Errno>,
        /// What it handed back.
        answer: Answer,
    },
    /// An eventfd context was looked up inside a `SET_IRQS`: from now on it stands for `target`.
    Context {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        target: Target,
        /// The fd number that named it in that process.
        fd: i32,
    },
    /// The kernel signals a context (entry of `eventfd_signal_mask`).
    Signal {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        target: Target,
        /// What is added to the counter; always 1 where eventfd_signal has no count.
        addend: u64,
        /// The counter before the addition, if it could be read.
        count: Option<u64>,
        /// The device whose ioctl or region write the signalling thread is inside of, if any.
        inside: Option<DeviceKey>,
    },
    /// User space read the counter (return of `eventfd_read`).
    Read {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        target: Target,
        /// The value that user space got, if it could be read.
        value: Option<u64>,
        /// 8, or the errno.
        result: Result<i64, Errno>,
    },
    /// User space wrote to the counter (return of `eventfd_write`; `begin_ns` is its entry).
    Write {
        /// The context.
        context: ContextKey,
        /// What it stands for.
        target: Target,
        /// When it began.
        begin_ns: u64,
        /// The value written, if it could be read.
        value: Option<u64>,
        /// 8, or the errno.
        result: Result<i64, Errno>,
    },
    /// The last file of the eventfd was closed by user space.
    Release {
        /// The context.
        context: ContextKey,
        /// What it stood for.
        target: Target,
    },
    /// A part of a region was mapped (return of the device's mmap).
    Map {
        /// The device.
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
        result: Result<(), Errno>,
    },
    /// A mapping of a region (or a part of one) is gone.
    Unmap {
        /// The device.
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
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// The word that is written, if it could be read.
        word: Option<u32>,
    },
    /// That write returned.
    StateWriteExit {
        /// The device.
        device: DeviceKey,
        /// Region index.
        region: u32,
        /// The word that was written, if it could be read.
        word: Option<u32>,
        /// When it began.
        begin_ns: u64,
        /// Bytes written, or the errno.
        result: Result<i64, Errno>,
    },
    /// Records were lost before this point: what follows may miss a part.
    Lost {
        /// How many, at least.
        count: u64,
    },
}

/// One thing that happened, with its time and task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// CLOCK_MONOTONIC, ns.
    pub time_ns: u64,
    /// The CPU that it was recorded on.
    pub cpu: u32,
    /// The task that it happened in.
    pub task: Task,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// The device that it is about; `None` for what is about the trace itself.
    pub fn device(&self) -> Option<DeviceKey> {
        Some(match &self.body {
            Body::Device { device, .. }
            | Body::Close { device }
            | Body::Enter { device, .. }
            | Body::Exit { device, .. }
            | Body::Map { device, .. }
            | Body::Unmap { device, .. }
            | Body::StateWriteEnter { device, .. }
            | Body::StateWriteExit { device, .. } => *device,
            Body::Context { target, .. }
            | Body::Signal { target, .. }
            | Body::Read { target, .. }
            | Body::Write { target, .. }
            | Body::Release { target, .. } => target.device,
            Body::Lost { .. } => return None,
        })
    }
}
