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

/// What a test does.
type Body = fn(&mut Stock) -> Result<()>;

/// Every test, in the order in which they run.
pub fn tests() -> Vec<Test<Stock>> {
    let last: &[(&str, Body)] = &[("stock::nothing_was_lost_or_found_beside", Stock::account)];
    let all = [
        irq::TESTS,
        memory::TESTS,
        power::TESTS,
        passed::TESTS,
        late::TESTS,
        agree::TESTS,
        last,
    ];
    let test = |(name, body): &(&str, Body)| Test::new(*name, &[Group::Stock], *body);
    all.into_iter().flatten().map(test).collect()
}
