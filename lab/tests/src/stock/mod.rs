//! Devices bound to vfio-pci as it is, used as a VMM uses them: what mainline does in place of
//! the remap IRQ. Whoever uses a device writes down what it does, and the trace must say the same,
//! equally often: no more and no less.

mod agree;
mod irq;
mod late;
mod memory;
mod passed;
mod power;
mod rig;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use rig::Stock;

/// What a test does.
type Body = fn(&mut Stock) -> Result<()>;

/// Every test, in the order in which they run.
fn tests() -> Vec<(&'static str, Body)> {
    let last: &[(&str, Body)] = &[("stock::nothing_was_lost_or_found_beside", Stock::end)];
    [
        irq::TESTS,
        memory::TESTS,
        power::TESTS,
        passed::TESTS,
        late::TESTS,
        agree::TESTS,
        last,
    ]
    .concat()
}

/// Runs the group.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rig = Arc::new(Mutex::new(Stock::new()?));
    let trial = |(name, body): (&str, Body)| {
        let rig = Arc::clone(&rig);
        Trial::test(name, move || {
            let mut rig = rig.lock().unwrap_or_else(PoisonError::into_inner);
            body(&mut rig).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let trials = tests().into_iter().map(trial).collect();
    Ok(libtest_mimic::run(arguments, trials).exit_code())
}
