//! The cause of a zap, from the call that its thread is in.

use std::ops::Range;

use remap_common::uapi::{
    PCI_COMMAND, PCI_EXP_DEVCTL_BCR_FLR, PCI_PM_CTRL_STATE_MASK,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_RESET,
};

use crate::event::ZapCause;
use crate::model::{Cause, CauseKind};

/// The bytes of the command register.
const COMMAND: Range<u64> = PCI_COMMAND as u64..PCI_COMMAND as u64 + 2;

impl Cause {
    /// What the call that a zap happened in was for. vfio_pci_core zaps for few writes of config
    /// space (vfio_pci_config.c): the command register without its memory bit, a power state of
    /// D3, and the two bits that reset a function.
    pub(in crate::correlate) fn of(cause: ZapCause) -> Self {
        let kind = match cause {
            ZapCause::StateWrite => CauseKind::StateChange,
            ZapCause::Ioctl { request, feature } => of_ioctl(request, feature),
            ZapCause::ConfigWrite { offset, .. } if COMMAND.contains(&offset) => {
                CauseKind::MemoryOff
            }
            ZapCause::ConfigWrite { value, .. } => match value {
                Some(value) if value & PCI_PM_CTRL_STATE_MASK != PCI_PM_CTRL_STATE_MASK => {
                    CauseKind::FunctionReset
                }
                Some(value) if value & PCI_EXP_DEVCTL_BCR_FLR == 0 => CauseKind::D3,
                _ => CauseKind::ConfigWrite,
            },
            ZapCause::Unknown => CauseKind::Unknown,
        };
        let mut of = Self::from(kind);
        match (kind, cause) {
            (CauseKind::ConfigWrite, ZapCause::ConfigWrite { offset, .. }) => {
                of.config_offset = Some(offset);
            }
            (CauseKind::Feature, ZapCause::Ioctl { feature, .. }) => of.feature = feature,
            (CauseKind::Ioctl, ZapCause::Ioctl { request, .. }) => of.request = Some(request),
            _ => {}
        }
        of
    }
}

fn of_ioctl(request: u32, feature: Option<u32>) -> CauseKind {
    match (request, feature) {
        (_, Some(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE)) => CauseKind::StateChange,
        (_, Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY)) => CauseKind::LowPowerEntry,
        (_, Some(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)) => {
            CauseKind::LowPowerEntryWithWakeup
        }
        (_, Some(_)) => CauseKind::Feature,
        (VFIO_DEVICE_RESET, None) => CauseKind::Reset,
        (VFIO_DEVICE_PCI_HOT_RESET, None) => CauseKind::HotReset,
        (_, None) => CauseKind::Ioctl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_config_write_was_for() {
        let cause = |offset, value| Cause::of(ZapCause::ConfigWrite { offset, value });
        assert_eq!(cause(4, Some(0x0100)), CauseKind::MemoryOff.into());
        assert_eq!(cause(5, None), CauseKind::MemoryOff.into());
        // PMCSR with D3hot, DEVCTL with FLR, AF_CTRL with FLR.
        assert_eq!(cause(0x44, Some(0x0003)), CauseKind::D3.into());
        assert_eq!(cause(0x78, Some(0xa810)), CauseKind::FunctionReset.into());
        assert_eq!(cause(0x9c, Some(0x0001)), CauseKind::FunctionReset.into());
        // PMCSR that clears PME_Status, or DEVCTL: its bits fit both.
        let offset = 0x44;
        let either = Cause {
            config_offset: Some(offset),
            ..CauseKind::ConfigWrite.into()
        };
        assert_eq!(cause(offset, Some(0x8103)), either);
        assert_eq!(cause(offset, None), either);
    }
}
