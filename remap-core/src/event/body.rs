//! What happened: one variant for each kind of event.

use super::{
    Call, ConfigWrite, Consumed, Context, ContextKey, DeviceFile, DeviceKey, DeviceSeen, DmaCall,
    Errno, Exit, Fault, InFlight, Lost, Map, MigrationData, Node, NodeKey, PrecopyInfo, Read,
    ResultName, Signal, StateWriteEnter, StateWriteExit, Target, Unmap, Write, ZapStep,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened. A variant of more than two fields holds a struct, which the trackers take as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A device was seen for the first time in this trace, or since it was closed.
    Device(DeviceSeen),
    /// The device file was closed for the last time.
    Close {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// Whether the closing process is about to end; `None` if that could not be read.
        dying: Option<bool>,
    },
    /// The kernel asks the user of the device to close it: an unbind waits for that.
    Request {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// How often this unbind has asked before.
        count: u32,
    },
    /// A process that uses a device, and the virtual machine that it runs.
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
    Exit(Exit),
    /// A call was in flight when the trace began; its return will not be seen as such, since the
    /// kernel arms a return at the entry.
    #[serde(rename = "in_flight_call")]
    InFlight(InFlight),
    /// A thread is in that call no more.
    #[serde(rename = "in_flight_call_over")]
    InFlightOver {
        /// The device.
        #[serde(skip)]
        device: DeviceKey,
        /// When it was last seen in it (CLOCK_MONOTONIC ns).
        #[serde(rename = "last_seen_ns")]
        seen_ns: u64,
    },
    /// An eventfd context was looked up inside a `SET_IRQS`, was found, or is inferred to be a
    /// device's: from now on it stands for `target`.
    Context(Context),
    /// The kernel signals a context (entry of `eventfd_signal_mask`).
    Signal(Signal),
    /// The kernel itself took the counter (`eventfd_ctx_do_read`): KVM's irqfd, or a virqfd.
    Consumed(Consumed),
    /// User space read the counter (return of `eventfd_read`).
    Read(Read),
    /// User space wrote to the counter (return of `eventfd_write`; `begin_ns` is its entry).
    Write(Write),
    /// The last file of the eventfd was closed by user space.
    Release {
        /// The context.
        context: ContextKey,
        /// What it stood for.
        #[serde(flatten)]
        target: Target,
    },
    /// A part of a region was mapped (return of the device's mmap).
    Map(Map),
    /// A mapping of a region (or a part of one) was removed.
    Unmap(Unmap),
    /// A write(2) to the start of a device-specific region begins: where the region is the
    /// legacy migration region, this is its `device_state` word.
    StateWriteEnter(StateWriteEnter),
    /// That write returned.
    StateWriteExit(StateWriteExit),
    /// A touch of a mapped region without a page behind it (return of the fault handler).
    Fault(Fault),
    /// A zap: the kernel removes the page table entries of a region, or a part of it, from all mappings.
    Zap(ZapStep),
    /// A write to the device's config space through its file returned.
    ConfigWrite(ConfigWrite),
    /// A mapping for the device's DMA was made or ended (return of the ioctl on the container or
    /// the iommufd).
    Dma(DmaCall),
    /// A group, container, device node or iommufd was opened.
    NodeOpen {
        /// The node.
        node: Node,
        /// Success, or the errno.
        #[serde(with = "ResultName")]
        result: Result<(), Errno>,
    },
    /// The last file of one was closed.
    NodeClose {
        /// The node.
        node: Node,
    },
    /// A device's file was made: `VFIO_GROUP_GET_DEVICE_FD`, or the open of its node.
    DeviceFile(DeviceFile),
    /// A read or a write of a migration data fd returned.
    Data(MigrationData),
    /// `VFIO_MIG_GET_PRECOPY_INFO` on a migration data fd returned.
    PrecopyInfo(PrecopyInfo),
    /// A record of a kind that this version does not know: programs of another version are attached.
    Unknown {
        /// The number of the kind.
        #[serde(rename = "record_kind")]
        kind: u32,
    },
    /// Records were lost before this point: what follows may miss a part.
    Lost(Lost),
}

bodies! {
    Request(raw) => Self::Request {
        device: DeviceKey(raw.device),
        count: raw.count,
    },
}

/// An address of the kernel in an event's body.
pub enum Address<'a> {
    /// Of an eventfd context.
    Context(&'a mut ContextKey),
    /// Of a node, if it has one.
    Node(&'a mut Node),
    /// Of a container or an iommufd.
    DmaNode(&'a mut NodeKey),
    /// Of a migration data file.
    File(&'a mut u64),
}

impl Body {
    /// The device that it is about; `None` for what is about the trace itself.
    pub fn device(&self) -> Option<DeviceKey> {
        Some(match self {
            Self::Device(seen) => seen.device,
            Self::DeviceFile(file) => file.device,
            Self::Close { device, .. }
            | Self::Request { device, .. }
            | Self::Enter { device, .. }
            | Self::InFlightOver { device, .. } => *device,
            Self::Exit(exit) => exit.device,
            Self::InFlight(call) => call.device,
            Self::Map(map) => map.device,
            Self::Unmap(unmap) => unmap.device,
            Self::Fault(fault) => fault.device,
            Self::Zap(step) => step.device,
            Self::StateWriteEnter(write) => write.device,
            Self::StateWriteExit(write) => write.device,
            Self::ConfigWrite(write) => write.device,
            Self::Data(data) => return data.device,
            Self::PrecopyInfo(info) => return info.device,
            Self::Lost(lost) => return lost.device,
            Self::Context(context) => context.target.device,
            Self::Signal(signal) => signal.target.device,
            Self::Consumed(taken) => taken.target.device,
            Self::Read(read) => read.target.device,
            Self::Write(write) => write.target.device,
            Self::Release { target, .. } => target.device,
            // A mapping for DMA belongs to a process; the correlation finds the devices that use it.
            Self::Dma(_)
            | Self::NodeOpen { .. }
            | Self::NodeClose { .. }
            | Self::Owner { .. }
            | Self::Unknown { .. } => return None,
        })
    }

    /// The address of the kernel that is written with it.
    pub fn address_mut(&mut self) -> Option<Address<'_>> {
        Some(match self {
            Self::Context(context) => Address::Context(&mut context.context),
            Self::Signal(signal) => Address::Context(&mut signal.context),
            Self::Consumed(taken) => Address::Context(&mut taken.context),
            Self::Read(read) => Address::Context(&mut read.context),
            Self::Write(write) => Address::Context(&mut write.context),
            Self::Release { context, .. } => Address::Context(context),
            Self::NodeOpen { node, .. } | Self::NodeClose { node } => Address::Node(node),
            Self::DeviceFile(file) => Address::Node(&mut file.node),
            Self::Dma(call) => Address::DmaNode(&mut call.node),
            Self::Data(data) => Address::File(&mut data.file),
            Self::PrecopyInfo(info) => Address::File(&mut info.file),
            Self::Device(_)
            | Self::Close { .. }
            | Self::Request { .. }
            | Self::Owner { .. }
            | Self::Enter { .. }
            | Self::Exit(_)
            | Self::InFlight(_)
            | Self::InFlightOver { .. }
            | Self::Map(_)
            | Self::Unmap(_)
            | Self::StateWriteEnter(_)
            | Self::StateWriteExit(_)
            | Self::Fault(_)
            | Self::Zap(_)
            | Self::ConfigWrite(_)
            | Self::Unknown { .. }
            | Self::Lost(_) => return None,
        })
    }
}
