//! The tests that need a device. They run as root inside the lab guest, where `remap` is on the
//! PATH and the device is bound to the reference driver; what the driver's own log says is the
//! truth that `remap` is held against.
//!
//! One at a time: each starts from a clean device, and leaves one that can be used.

mod ack;
mod attach;
mod cdev;
mod cycles;
mod death;
mod fault;
mod finding;
mod input;
mod ledger;
mod loss;
mod member;
mod migration;
mod qemu;
mod recycle;
mod replay;
mod rig;
mod states;
mod stock;
mod truth;
mod user;
mod vmm;
mod words;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};

use rig::{Group, Lab};

/// What a test does.
type Body = Box<dyn FnOnce(&mut Lab) -> Result<()> + Send>;

/// One test, and where it applies.
struct Test {
    /// Theme and name.
    name: String,
    groups: &'static [Group],
    body: Body,
}

/// Both groups.
const ALL: &[Group] = &[Group::Bitmap, Group::Vectors];
/// Those, and where a device has a node of its own.
const ANY: &[Group] = &[Group::Bitmap, Group::Vectors, Group::Cdev];
const BITMAP: &[Group] = &[Group::Bitmap];
const VECTORS: &[Group] = &[Group::Vectors];
const QEMU: &[Group] = &[Group::Qemu];
const CDEV: &[Group] = &[Group::Cdev];

impl Test {
    fn new(
        name: impl Into<String>,
        groups: &'static [Group],
        body: impl FnOnce(&mut Lab) -> Result<()> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            groups,
            body: Box::new(body),
        }
    }
}

/// Every test, in the order in which they run: those that need a tracer of their own come first,
/// before the one that all others share is started.
fn tests() -> Vec<Test> {
    let own = [
        cycles::tests(),
        loss::tests(),
        recycle::tests(),
        migration::tests(),
        attach::tests(),
        replay::tests(),
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
    own.into_iter().chain(shared).flatten().collect()
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
        Some(member::OPTION) => return member::main(words),
        Some(qemu::OPTION) => return qemu::play(&words.next().context("a scenario has a name")?),
        _ => {}
    }
    let (name, rest) = group(std::env::args())?;
    let mut arguments = Arguments::from_iter(rest);
    arguments.test_threads = Some(1);
    let group = match name.as_str() {
        "bitmap" => Group::Bitmap,
        "vectors" => Group::Vectors,
        "qemu" => Group::Qemu,
        "cdev" => Group::Cdev,
        "stock" => return stock::run(&arguments),
        _ => bail!("no group is named {name}: say --group bitmap, vectors, cdev, qemu or stock"),
    };
    let lab = Arc::new(Mutex::new(Lab::new(group)?));
    let trials = tests()
        .into_iter()
        .filter(|test| test.groups.contains(&group))
        .map(|test| {
            let lab = Arc::clone(&lab);
            Trial::test(test.name, move || {
                let mut lab = lab.lock().unwrap_or_else(PoisonError::into_inner);
                lab.test(test.body)
                    .map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    lab.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .finish()?;
    Ok(conclusion.exit_code())
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
    Ok((group.context("say --group NAME")?, rest))
}
