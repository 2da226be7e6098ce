//! `remap list`: the devices that are offered through VFIO.

use clap::Args;

use crate::exit::Error;

/// Lists the devices that are bound to a vfio driver.
#[derive(Args, Debug)]
pub struct List {
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
}

impl List {
    /// Lists them.
    pub fn run(self) -> Result<(), Error> {
        let _ = self.json;
        Ok(())
    }
}
