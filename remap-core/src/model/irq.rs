//! Interrupts of every kind: names, changes, reads.

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Errno, ResultName, Task, UNKNOWN_INDEX};
use crate::json;
use crate::word::{upper_word, word};

/// What an IRQ index is.
#[apply(upper_word!)]
pub enum IrqName {
    /// `VFIO_PCI_INTX_IRQ_INDEX`.
    Intx,
    /// `VFIO_PCI_MSI_IRQ_INDEX`.
    Msi,
    /// `VFIO_PCI_MSIX_IRQ_INDEX`.
    Msix,
    /// `VFIO_PCI_ERR_IRQ_INDEX`.
    Err,
    /// `VFIO_PCI_REQ_IRQ_INDEX`.
    Req,
    /// An index that its description names a remap IRQ.
    #[serde(rename = "remap")]
    #[strum(serialize = "remap")]
    Remap,
    /// The index is not known: its eventfd is inferred to be the device's.
    #[serde(rename = "inferred")]
    #[strum(serialize = "inferred")]
    Inferred,
    /// Any other: of a vendor's driver, or of a device that is not PCI.
    #[serde(rename = "other")]
    #[strum(serialize = "other")]
    Other,
}

impl IrqName {
    /// The name of `index` on a PCI device, where it is no remap IRQ.
    pub fn pci(index: u32) -> Self {
        match index {
            0 => Self::Intx,
            1 => Self::Msi,
            2 => Self::Msix,
            3 => Self::Err,
            4 => Self::Req,
            _ => Self::Other,
        }
    }
}

json::written_as! {
    /// An index, null where it is not known.
    pub KnownIndex: u32 as Option<u32> {
        |index| Some(*index).filter(|index| *index != UNKNOWN_INDEX),
        |index| index.unwrap_or(UNKNOWN_INDEX)
    }
}

/// What a `VFIO_DEVICE_SET_IRQS` did.
#[apply(word!)]
pub enum IrqVerb {
    /// Gave eventfds to signal.
    Enable,
    /// Took them away: the whole index, or each one that was named.
    Disable,
    /// Masked.
    Mask,
    /// Unmasked.
    Unmask,
    /// Signalled eventfds on user space's behalf.
    Trigger,
    /// Set or removed eventfds that mask or unmask.
    Arm,
    /// An action or data type of a later uAPI.
    Unknown,
}

impl IrqVerb {
    /// The words in text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Arm => "unmask eventfd set",
            verb => verb.name(),
        }
    }
}

/// A `VFIO_DEVICE_SET_IRQS` returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrqChange {
    /// Name of the device.
    pub device: String,
    /// When it returned (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// IRQ index.
    #[serde(rename = "irq_index", with = "KnownIndex")]
    pub index: u32,
    /// What that is.
    pub name: IrqName,
    /// What it did.
    pub verb: IrqVerb,
    /// First sub-index.
    pub start: u32,
    /// Number of sub-indexes; 0 for the whole index.
    pub count: u32,
    /// Success, or the errno.
    #[serde(with = "ResultName")]
    pub result: Result<(), Errno>,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}

/// A signalled eventfd was read, or taken by the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interrupt {
    /// Name of the device.
    pub device: String,
    /// IRQ index; [`UNKNOWN_INDEX`] where it is inferred.
    #[serde(rename = "irq_index", with = "KnownIndex")]
    pub index: u32,
    /// What that is.
    pub name: IrqName,
    /// Sub-index.
    #[serde(rename = "sub_index")]
    pub sub: u32,
    /// The first signal that it got (CLOCK_MONOTONIC ns); `None` if that was not observed.
    pub signal_ns: Option<u64>,
    /// When it was read or taken (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// How many signals it got; `None` if that is not known.
    pub signals: Option<u64>,
    /// Whether the kernel itself took it (KVM's irqfd, a virqfd), and not user space.
    pub in_kernel: bool,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}

impl Interrupt {
    /// From the first signal to the read, ns.
    pub fn latency(&self) -> Option<u64> {
        self.time_ns.checked_sub(self.signal_ns?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_of_pci_devices_have_the_names_of_the_uapi() {
        let names = (0..6).map(IrqName::pci);
        let expected = [
            IrqName::Intx,
            IrqName::Msi,
            IrqName::Msix,
            IrqName::Err,
            IrqName::Req,
            IrqName::Other,
        ];
        assert!(names.eq(expected));
    }
}
