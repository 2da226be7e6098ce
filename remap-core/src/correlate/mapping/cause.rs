//! The cause of a zap, from the call that its thread is in.

use std::ops::Range;

use remap_common::uapi::{
    PCI_COMMAND, PCI_EXP_DEVCTL_BCR_FLR, PCI_PM_CTRL_STATE_MASK,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_RESET,
};

use crate::event::ZapCause;
use crate::model::Cause;

/// The bytes of the command register.
const COMMAND: Range<u64> = PCI_COMMAND as u64..PCI_COMMAND as u64 + 2;

impl Cause {
    /// What the call that a zap happened in was for. vfio_pci_core zaps for few writes of config
    /// space (vfio_pci_config.c): the command register without its memory bit, a power state of
    /// D3, and the two bits that reset a function.
    pub(in crate::correlate) fn of(cause: ZapCause) -> Self {
        match cause {
            ZapCause::Ioctl {
                feature: Some(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE),
                ..
            }
            | ZapCause::StateWrite => Self::StateChange,
            ZapCause::Ioctl {
                feature: Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),
                ..
            } => Self::LowPowerEntry,
            ZapCause::Ioctl {
                feature: Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP),
                ..
            } => Self::LowPowerEntryWithWakeup,
            ZapCause::Ioctl {
                feature: Some(feature),
                ..
            } => Self::Feature(feature),
            ZapCause::Ioctl { request, .. } => match request {
                VFIO_DEVICE_RESET => Self::Reset,
                VFIO_DEVICE_PCI_HOT_RESET => Self::HotReset,
                request => Self::Ioctl { request },
            },
            ZapCause::ConfigWrite { offset, .. } if COMMAND.contains(&offset) => Self::MemoryOff,
            ZapCause::ConfigWrite { offset, value } => match value {
                Some(value) if value & PCI_PM_CTRL_STATE_MASK != PCI_PM_CTRL_STATE_MASK => {
                    Self::FunctionReset
                }
                Some(value) if value & PCI_EXP_DEVCTL_BCR_FLR == 0 => Self::D3,
                _ => Self::ConfigWrite { offset },
            },
            ZapCause::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_config_write_was_for() {
        let cause = |offset, value| Cause::of(ZapCause::ConfigWrite { offset, value });
        assert_eq!(cause(4, Some(0x0100)), Cause::MemoryOff);
        assert_eq!(cause(5, None), Cause::MemoryOff);
        // PMCSR with D3hot, DEVCTL with FLR, AF_CTRL with FLR.
        assert_eq!(cause(0x44, Some(0x0003)), Cause::D3);
        assert_eq!(cause(0x78, Some(0xa810)), Cause::FunctionReset);
        assert_eq!(cause(0x9c, Some(0x0001)), Cause::FunctionReset);
        // PMCSR that clears PME_Status, or DEVCTL: its bits fit both.
        let offset = 0x44;
        assert_eq!(cause(offset, Some(0x8103)), Cause::ConfigWrite { offset });
        assert_eq!(cause(offset, None), Cause::ConfigWrite { offset });
    }
}
