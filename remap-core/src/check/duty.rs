//! The table of duties: the sentence that obliges, what breaks it, what exercises it.

use macro_rules_attribute::apply;

use super::define::duties;
use crate::model::{Evidence, Rule};
use crate::word::{kebab_word, word};

/// Who has a duty.
#[apply(word!)]
pub enum Party {
    /// The driver in the kernel.
    Driver,
    /// The process that opened the device.
    User,
}

/// What a duty is about.
#[apply(word!)]
pub enum Subject {
    /// The remap IRQ.
    RemapIrq,
    /// Migration v2; where it applies, the legacy migration region too.
    Migration,
    /// Interrupts, regions and their mappings.
    Device,
}

impl Subject {
    /// The words in text.
    pub fn words(self) -> &'static str {
        match self {
            Self::RemapIrq => "remap IRQ",
            Self::Migration => "migration",
            Self::Device => "interrupts and regions",
        }
    }
}

/// How much a duty obliges.
#[apply(word!)]
pub enum Level {
    /// It must be done.
    Required,
    /// Another behaviour is legal, but the source advises against it.
    Recommended,
}

/// Where a duty's sentence is.
#[apply(word!)]
pub enum Source {
    /// `remap_irq.h`, the header of the remap IRQ.
    RemapIrqH,
    /// `include/uapi/linux/vfio.h` of the kernel.
    VfioH,
}

impl Source {
    /// The file.
    pub fn file(self) -> &'static str {
        match self {
            Self::RemapIrqH => "remap_irq.h",
            Self::VfioH => "include/uapi/linux/vfio.h",
        }
    }
}

/// A duty's row.
#[derive(Debug)]
pub struct Row {
    /// Who has it.
    pub party: Party,
    /// What it is about.
    pub subject: Subject,
    /// How much it obliges.
    pub level: Level,
    /// Where its sentence is.
    pub source: Source,
    /// The section, structure or enumeration that has the sentence.
    pub place: &'static str,
    /// The sentence that obliges, word by word; ` … ` where a part is left out.
    pub sentence: &'static str,
    /// The findings that break it.
    pub broken_by: &'static [Rule],
    /// What is counted as an exercise of it.
    pub exercised_by: &'static str,
}

/// The findings that break no duty.
pub const NO_DUTY: &[Rule] = &[Rule::RequestIgnored];

impl Duty {
    /// The duty that a finding breaks; `None`: it is a problem, but no sentence forbids it.
    pub fn of(evidence: &Evidence) -> Option<Self> {
        match evidence {
            Evidence::RefusedChange { .. } => Some(Self::AllowedChange),
            Evidence::ImpossibleChange { .. } => Some(Self::ImpossibleRefused),
            // A wait is bounded; other calls may take as long as they like.
            Evidence::NeverReturned { call, .. } if !call.call.changes_state() => None,
            other => {
                let breaks = |duty: &&Self| duty.row().broken_by.contains(&other.rule());
                Self::ALL.iter().find(breaks).copied()
            }
        }
    }
}

duties! {
    /// The capability chain of an IRQ is well formed.
    Driver RemapIrq Required IrqInfoChain {
        source: RemapIrqH "Discovery"
            "All offsets are multiples of 8; 0 ends the chain.",
        broken_by: [MalformedIrqInfo],
        exercised_by: "an answer of GET_IRQ_INFO with a chain",
    }
    /// A remap IRQ has the flags of its encoding.
    Driver RemapIrq Required IrqInfoFlags {
        source: RemapIrqH "Discovery"
            "The flags of the IRQ: EVENTFD and NORESIZE always; with vectors MASKABLE and AUTOMASKED too.",
        broken_by: [],
        exercised_by: "a description of a remap IRQ",
    }
    /// More than 64 regions have one IRQ for each 64, with a base.
    Driver RemapIrq Required NextIrqHasBase {
        source: RemapIrqH "Discovery"
            "the device offers one IRQ index for each 64, each with its own base … the base is a multiple of 64",
        broken_by: [],
        exercised_by: "a description of a remap IRQ whose base is not 0",
    }
    /// Only regions of the mask are signalled.
    Driver RemapIrq Required RegionInMask {
        source: RemapIrqH "Discovery"
            "names the regions that may be signalled: bit n of mask is region base + n",
        broken_by: [OutsideMask],
        exercised_by: "a trigger of a region",
    }
    /// A region that is signalled has changed.
    Driver RemapIrq Recommended NamedRegionChanged {
        source: RemapIrqH "Trigger, requery, remap"
            "A region that is named and has not changed is legal and needs the ack alone; a driver should not name it",
        broken_by: [NamedUnchanged],
        exercised_by: "a cycle whose region was described before and after the trigger",
    }
    /// A region keeps its size.
    Driver RemapIrq Required RegionKeepsSize {
        source: RemapIrqH "Trigger, requery, remap"
            "Only what may be mapped changes; a region keeps its size and its offset.",
        broken_by: [SizeChanged],
        exercised_by: "a second description of a region",
    }
    /// A region without the mmap flag has no sparse areas.
    Driver RemapIrq Recommended NoSparseWithoutMmap {
        source: RemapIrqH "Trigger, requery, remap"
            "Without the flag nothing may be mapped, even if the capability is still there; a driver should leave it out.",
        broken_by: [StaleSparse],
        exercised_by: "a description without the mmap flag of a region that a remap IRQ may name",
    }
    /// A page that is trapped cannot be mapped.
    Driver RemapIrq Required TrappedMmapRefused {
        source: RemapIrqH "Trigger, requery, remap"
            "mmap(2) of a page that is trapped fails with EBUSY.",
        broken_by: [],
        exercised_by: "an mmap(2) outside of the areas of a region that a remap IRQ may name",
    }
    /// A region is not signalled again before its ack.
    Driver RemapIrq Required SignalAfterAck {
        source: RemapIrqH "Trigger, requery, remap"
            "The driver does not signal a region again before the ack of its last signal.",
        broken_by: [AliasedTrigger, TriggerBeforeAck],
        exercised_by: "a cycle that was acknowledged",
    }
    /// The user cannot signal itself by SET_IRQS.
    Driver RemapIrq Required LoopbackRefused {
        source: RemapIrqH "Enable"
            "DATA_NONE and DATA_BOOL with ACTION_TRIGGER and a count are refused (EINVAL): the user does not signal itself.",
        broken_by: [],
        exercised_by: "such a call on a remap IRQ",
    }
    /// A state change that traps regions waits for every ack.
    Driver RemapIrq Required ChangeWaitsForAcks {
        source: RemapIrqH "State changes that wait"
            "traps, signals, and returns when every region that it signalled is acked and no mapping of a trapped page is alive in any process",
        broken_by: [],
        exercised_by: "a cycle of a trapped region in a state change that succeeded",
    }
    /// Its wait ends with the last ack.
    Driver RemapIrq Required AcksEndTheWait {
        source: RemapIrqH "State changes that wait"
            "traps, signals, and returns when every region that it signalled is acked",
        broken_by: [WaitTimeout],
        exercised_by: "a state change that waited and succeeded",
    }
    /// Its wait has a limit.
    Driver RemapIrq Required WaitIsBounded {
        source: RemapIrqH "State changes that wait"
            "Timeout: the wait is bounded by the driver.",
        broken_by: [NeverReturned],
        exercised_by: "a state change with triggers that returned",
    }
    /// A state change whose wait failed leaves the old state.
    Driver RemapIrq Required OldStateStays {
        source: RemapIrqH "State changes that wait"
            "The change fails with ETIMEDOUT, the regions are untrapped, and the old state stays in force.",
        broken_by: [],
        exercised_by: "a query of the state after a change that failed with ETIMEDOUT, EINTR or ECANCELED",
    }
    /// The wait ends when the user is gone.
    Driver RemapIrq Required UserGoneEndsTheWait {
        source: RemapIrqH "State changes that wait"
            "when during a wait the user exits, closes an eventfd for good, or disables the IRQ, or when the device is reset, no ack will come. The wait ends at once, the change fails with ECANCELED",
        broken_by: [],
        exercised_by: "a state change that failed with ECANCELED",
    }
    /// A device with migration has STOP_COPY.
    Driver Migration Required StopCopySupported {
        source: VfioH "VFIO_DEVICE_FEATURE_MIGRATION"
            "at least VFIO_MIGRATION_STOP_COPY must be set",
        broken_by: [],
        exercised_by: "a query of the migration flags",
    }
    /// The device leaves a state only when it is asked to.
    Driver Migration Required StateAsSet {
        source: VfioH "struct vfio_device_feature_mig_state"
            "The kernel migration driver must not generate asynchronous device state transitions outside of manipulation by the user or the VFIO_DEVICE_RESET ioctl as described above.",
        broken_by: [UnexpectedState],
        exercised_by: "a query of the state",
    }
    /// A state that the device does not support is refused.
    Driver Migration Required ImpossibleRefused {
        source: VfioH "enum vfio_device_mig_state"
            "The optional states cannot be used with SET_STATE if the device does not support them.",
        broken_by: [ImpossibleChange],
        exercised_by: "a state change from a known state",
    }
    /// A state with data gives a data fd.
    Driver Migration Required DataFdReturned {
        source: VfioH "struct vfio_device_feature_mig_state"
            "If the new_state starts a new data transfer session then the FD associated with that session is returned in data_fd.",
        broken_by: [],
        exercised_by: "a change into PRE_COPY, RESUMING, or STOP_COPY without PRE_COPY before",
    }
    /// A query of the state gives no data fd.
    Driver Migration Required QueryGivesNoFd {
        source: VfioH "struct vfio_device_feature_mig_state"
            "get the current migration state of the VFIO device, data_fd will be -1",
        broken_by: [],
        exercised_by: "a query of the state",
    }
    /// A stopped device raises no interrupts.
    Driver Migration Required QuietWhileStopped {
        source: VfioH "enum vfio_device_mig_state"
            "While in STOP the device must stop the operation of the device. The device must not generate interrupts, DMA, or any other change to external state.",
        broken_by: [],
        exercised_by: "a time in STOP or STOP_COPY",
    }
    /// The device is not in ERROR.
    Driver Migration Recommended NoError {
        source: VfioH "enum vfio_device_mig_state"
            "any transition request can be failed with an errno return and may then move the device_state into ERROR. In this case the device was unable to execute the requested arc",
        broken_by: [ErrorState],
        exercised_by: "a query of the state",
    }
    /// The capability chain of a region is well formed.
    Driver Device Required RegionInfoChain {
        source: VfioH "struct vfio_info_cap_header"
            "This offset field is relative to the start of the INFO buffer, as is the next field within each capability header.",
        broken_by: [MalformedRegionInfo],
        exercised_by: "a description of a region with a chain",
    }
    /// An IRQ with the EVENTFD flag takes eventfds.
    Driver Device Required EventfdSupported {
        source: VfioH "VFIO_DEVICE_GET_IRQ_INFO"
            "The EVENTFD flag indicates the interrupt index supports eventfd based signaling.",
        broken_by: [],
        exercised_by: "a SET_IRQS that gives eventfds to an index with that flag",
    }
    /// An IRQ with the MASKABLE flag can be masked and unmasked.
    Driver Device Required MaskingSupported {
        source: VfioH "VFIO_DEVICE_GET_IRQ_INFO"
            "The MASKABLE flags indicates the index supports MASK and UNMASK actions described below.",
        broken_by: [],
        exercised_by: "a SET_IRQS that masks or unmasks an index with that flag",
    }
    /// The user looks for a remap IRQ.
    User RemapIrq Required LooksForIrq {
        source: RemapIrqH "Discovery"
            "The user calls VFIO_DEVICE_GET_IRQ_INFO for each index above the bus's own and looks for a capability chain",
        broken_by: [NeverAsked],
        exercised_by: "a description of a remap IRQ",
    }
    /// The user enables the IRQ before the state change that needs it.
    User RemapIrq Required EnablesIrq {
        source: RemapIrqH "Enable"
            "Enabling is the handshake: the user commits itself to remap.",
        broken_by: [NotEnabled],
        exercised_by: "a SET_IRQS that enables a remap IRQ",
    }
    /// The user queries each region that is named.
    User RemapIrq Required QueriesAgain {
        source: RemapIrqH "Trigger, requery, remap"
            "For each region that a trigger names, the user … queries VFIO_DEVICE_GET_REGION_INFO again",
        broken_by: [AckBeforeRequery],
        exercised_by: "a cycle with a requery and an ack",
    }
    /// The user unmaps before it acks.
    User RemapIrq Required UnmapsBeforeAck {
        source: RemapIrqH "Trigger, requery, remap"
            "unmaps what may no longer be mapped … acks, and not before 3.",
        broken_by: [AckWithMapping],
        exercised_by: "a cycle with an unmap and an ack",
    }
    /// The user acks every trigger.
    User RemapIrq Required AcksEveryTrigger {
        source: RemapIrqH "Trigger, requery, remap"
            "For each region that a trigger names, the user … acks",
        broken_by: [MissingAck],
        exercised_by: "a cycle that was acknowledged",
    }
    /// The user answers on another thread than the one that changes the state.
    User RemapIrq Required AnswersElsewhere {
        source: RemapIrqH "State changes that wait"
            "The user has to answer in another thread than the one that changes the state.",
        broken_by: [Deadlock],
        exercised_by: "a state change that waited and succeeded",
    }
    /// An ack leaves the counter as it is.
    User RemapIrq Recommended AckLeavesCounter {
        source: RemapIrqH "Ack"
            "Prefer 0: it wakes the driver and does not change the counter",
        broken_by: [SelfTrigger],
        exercised_by: "an ack by a write of 0, or by an unmask",
    }
    /// The user removes mappings for DMA too.
    User RemapIrq Required RemovesDmaMappings {
        source: RemapIrqH "Trigger, requery, remap"
            "Mappings of the region for DMA (peer to peer) are mappings too.",
        broken_by: [DmaMapped],
        exercised_by: "the removal of a region's mapping for DMA",
    }
    /// The user does not access what is not mapped any more.
    User RemapIrq Required NoAccessWhileTrapped {
        source: RemapIrqH "Trigger, requery, remap"
            "maps what may newly be mapped, or uses read and write where it cannot",
        broken_by: [AccessRefused],
        exercised_by: "an access to a mapped region that faulted and succeeded",
    }
    /// The user only asks for state changes that there are.
    User Migration Required AllowedChange {
        source: VfioH "enum vfio_device_mig_state"
            "The user can discover if these states are supported by using VFIO_DEVICE_FEATURE_MIGRATION.",
        broken_by: [ImpossibleChange],
        exercised_by: "a state change from a known state",
    }
    /// The user reads the state data to its end.
    User Migration Required ReadsDataToTheEnd {
        source: VfioH "enum vfio_device_mig_state"
            "End of stream on the FD indicates the entire device state has been transferred.",
        broken_by: [DataLeft],
        exercised_by: "a time in STOP_COPY with a read that returned 0",
    }
    /// The user loads what was saved.
    User Migration Required LoadsWhatWasSaved {
        source: VfioH "enum vfio_device_mig_state"
            "The data stream fed into the data_fd should be taken from the data transfer output of a single FD during saving from a compatible device.",
        broken_by: [ResumeFailed],
        exercised_by: "a change out of RESUMING that succeeded",
    }
    /// The user looks at the state after a change that failed.
    User Migration Recommended HandlesFailedChange {
        source: VfioH "struct vfio_device_feature_mig_state"
            "The user can then decide if it should execute a VFIO_DEVICE_RESET, attempt to return to the original state, or attempt to return to some other state such as RUNNING or STOP.",
        broken_by: [StateUnknown],
        exercised_by: "a query, a change or a reset after a change that failed",
    }
    /// The user takes the interrupts that it has enabled.
    User Device Required TakesInterrupts {
        source: VfioH "VFIO_DEVICE_SET_IRQS"
            "Setting of an event triggering mechanism to userspace for ACTION_TRIGGER enables the interrupt index for the device. Individual subindex interrupts can be disabled",
        broken_by: [NeverRead],
        exercised_by: "a read of a signalled eventfd, by the user or by the kernel",
    }
    /// The user maps only the areas that may be mapped.
    User Device Recommended MapsAreas {
        source: VfioH "VFIO_REGION_INFO_CAP_SPARSE_MMAP"
            "When specified, the user should only mmap the offset ranges specified by the areas array.",
        broken_by: [],
        exercised_by: "an mmap(2) of a region with sparse areas",
    }
}
