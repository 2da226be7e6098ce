//! Calls on a device's file that began before the trace.

use super::Call;

/// A system call on a device's file, of those that the probes see begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyCall {
    /// ioctl(2).
    Ioctl(Call),
    /// pwrite(2) to config space, or to the start of a device-specific region: a legacy state change
    /// where that is the migration region.
    Write {
        /// Region index.
        region: u32,
    },
}

impl EarlyCall {
    /// Whether it changes the migration state; a legacy state change is not recognised as one.
    pub fn changes_state(&self) -> bool {
        matches!(self, Self::Ioctl(call) if call.changes_state())
    }
}
