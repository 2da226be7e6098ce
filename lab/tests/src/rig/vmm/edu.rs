//! The edu device of QEMU, which raises an interrupt when it is asked to.

use anyhow::Result;
use remap_core::parse::region::Region;
use remap_user::vfio::device::{Action, Data};

use super::assigned::{Assigned, INTX, MSI};
use crate::rig::judge::sentence::{Place, Whence};

/// Registers in BAR 0: raise an interrupt, and clear it.
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
/// `PCI_COMMAND`, and in it memory and bus master.
const COMMAND: u64 = 4;
const MASTER: u16 = 6;

/// How many interrupts the device is made to raise.
const INTERRUPTS: u32 = 20;

/// An interrupt that is raised, signalled and cleared.
fn interrupt(edu: &Assigned<'_>, bar: &Region, index: u32) -> Result<()> {
    edu.device().write(bar, RAISE, &1_u32.to_le_bytes())?;
    edu.signalled(Place::trigger(index, 0), Whence::of_a_device())?;
    edu.device().write(bar, ACKNOWLEDGE, &1_u32.to_le_bytes())?;
    Ok(())
}

/// Interrupts by its pin.
pub fn intx(edu: &mut Assigned<'_>) -> Result<()> {
    let bar = edu.region(0)?;
    edu.enable(INTX, 1)?;
    for _ in 0..INTERRUPTS {
        // The kernel masks it, and the device asserts it until it is cleared.
        interrupt(edu, &bar, INTX)?;
        edu.set_irqs(INTX, 0, Action::Unmask, Data::None(1))?;
    }
    edu.disable(INTX)
}

/// Interrupts by messages.
pub fn msi(edu: &mut Assigned<'_>) -> Result<()> {
    let bar = edu.region(0)?;
    edu.set_config(COMMAND, MASTER)?;
    edu.enable(MSI, 1)?;
    for _ in 0..INTERRUPTS {
        interrupt(edu, &bar, MSI)?;
    }
    edu.disable(MSI)
}
