//! The tests that need a device. They run as root inside the lab guest, where `remap` is on the
//! PATH and the devices are bound to the reference driver or to vfio-pci. A trace is compared with
//! the driver's own log, and with what the users of a device recorded.
//!
//! One at a time: each starts from a clean device, and leaves one that can be used.

mod ack;
mod attach;
mod bounded;
mod busy;
mod cdev;
mod check;
mod cycles;
mod death;
mod fault;
mod finding;
mod fleet;
mod input;
mod loss;
mod migration;
mod perf;
mod qemu;
mod recycle;
mod replay;
mod rig;
mod rights;
mod rt;
mod soak;
mod states;
mod stock;
mod trust;

use std::process::ExitCode;

use anyhow::{Context, Result};
use libtest_mimic::Arguments;

use rig::lab::Lab;
use rig::stock::Stock;
use rig::suite::{self, Group};
use rig::{peer, qemu::play, recording};

/// A test on the reference driver's device.
type Test = suite::Test<Lab>;

/// The two encodings of the remap IRQ.
const ALL: &[Group] = &[Group::Bitmap, Group::Vectors];
/// Those, and a device that has a cdev.
const ANY: &[Group] = &[Group::Bitmap, Group::Vectors, Group::Cdev];
const BITMAP: &[Group] = &[Group::Bitmap];
const VECTORS: &[Group] = &[Group::Vectors];
const RT: &[Group] = &[Group::Rt];
const SOAK: &[Group] = &[Group::Soak];
const QEMU: &[Group] = &[Group::Qemu];
const PERF: &[Group] = &[Group::Perf];
const CDEV: &[Group] = &[Group::Cdev];
/// Once for each encoding: the kernel has no part in it.
const EACH: &[Group] = &[Group::Bitmap, Group::Cdev];
/// What the kernel and the encoding have no part in: once, on the device that has a cdev.
const ONCE: &[Group] = CDEV;

/// Every test on the reference driver's device, in the order in which they run: those with a tracer
/// of their own come first, before the shared one is started.
fn tests() -> Vec<Test> {
    let own = [
        cycles::tests(),
        loss::tests(),
        bounded::tests(),
        trust::tests(),
        busy::tests(),
        recycle::tests(),
        migration::tests(),
        attach::tests(),
        rt::tests(),
        soak::tests(),
        replay::tests(),
        perf::tests(),
        fleet::tests(),
        check::tests(),
        rights::tests(),
    ];
    let shared = [
        ack::tests(),
        fault::tests(),
        finding::tests(),
        states::tests(),
        death::tests(),
        input::tests(),
        cdev::tests(),
        qemu::tests(),
    ];
    let all = own.into_iter().chain(shared).flatten();
    all.chain([rights::last()]).collect()
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("remap-lab-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some(peer::OPTION) => return peer::main(words),
        Some(soak::OPTION) => return soak::main(words),
        Some(play::OPTION) => return play::play(&words.next().context("which scenario?")?),
        Some(recording::OPTION) => {
            return recording::make(&words.next().context("which recording?")?);
        }
        _ => {}
    }
    let (name, rest) = group(std::env::args())?;
    let arguments = Arguments::from_iter(rest);
    match Group::named(&name)? {
        group @ Group::Stock => suite::run(arguments, group, Stock::new, stock::tests()),
        group => suite::run(arguments, group, || Lab::new(group), tests()),
    }
}

/// Takes `--group NAME` out of the command line.
fn group(arguments: impl Iterator<Item = String>) -> Result<(String, Vec<String>)> {
    let (mut group, mut rest) = (None, Vec::new());
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--group" {
            group = Some(arguments.next().context("--group needs a name")?);
        } else {
            rest.push(argument);
        }
    }
    Ok((group.context("--group NAME is missing")?, rest))
}
