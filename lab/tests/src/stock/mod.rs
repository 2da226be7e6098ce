//! Devices bound to vfio-pci as it is, used as a VMM uses them: what mainline has in place of the
//! remap IRQ. A user records what it does, and the trace must report the same, equally often: no
//! more and no less.

mod agree;
mod irq;
mod late;
mod memory;
mod passed;
mod power;

use anyhow::Result;

use crate::rig::stock::Stock;
use crate::rig::suite::{Group, Test};

/// Tests by name, each with what it does.
type Tests = &'static [(&'static str, fn(&mut Stock) -> Result<()>)];

/// Every test, in the order in which they run.
pub fn tests() -> Vec<Test<Stock>> {
    let last: Tests = &[("stock::nothing_was_lost_or_found_beside", Stock::account)];
    let all = [
        irq::TESTS,
        memory::TESTS,
        power::TESTS,
        passed::TESTS,
        late::TESTS,
        agree::TESTS,
        last,
    ];
    let all = all.into_iter().flatten();
    all.map(|(name, body)| Test::new(*name, &[Group::Stock], *body))
        .collect()
}
