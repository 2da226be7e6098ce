//! The runner: the tests of one group, one after the other on one rig.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};

/// Which devices, drivers and VMM the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The reference driver: one eventfd, whose counter is a bitmap.
    Bitmap,
    /// The reference driver: one eventfd per region.
    Vectors,
    /// As [`Self::Vectors`], with QEMU and a device for each end of a migration.
    Qemu,
    /// As [`Self::Vectors`], and the device has a cdev beside its group.
    Cdev,
    /// Three devices bound to vfio-pci.
    Stock,
    /// As [`Self::Vectors`], for a round of everything that happens on a host.
    Soak,
    /// As [`Self::Vectors`], with programs that read a trace beside its output.
    Perf,
    /// As [`Self::Vectors`], on a PREEMPT_RT kernel; the last device raises interrupts.
    Rt,
}

impl Group {
    /// The group of this name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "bitmap" => Self::Bitmap,
            "vectors" => Self::Vectors,
            "qemu" => Self::Qemu,
            "cdev" => Self::Cdev,
            "stock" => Self::Stock,
            "rt" => Self::Rt,
            "soak" => Self::Soak,
            "perf" => Self::Perf,
            _ => bail!(
                "unknown group {name}: use bitmap, vectors, qemu, cdev, stock, rt, soak or perf"
            ),
        })
    }

    /// The encoding that the reference driver is loaded with.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            _ => "vectors",
        }
    }
}

/// The devices of a group, and the tracers beside them.
pub trait Rig: Send + 'static {
    /// Runs the body of one test: from a clean device to a clean device.
    fn test(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()>;
    /// Ends what outlives a test.
    fn finish(&mut self) -> Result<()>;
}

/// What a test does on the rig `R`.
type Body<R> = Box<dyn FnOnce(&mut R) -> Result<()> + Send>;

/// One test, and the groups that it belongs to.
pub struct Test<R> {
    name: String,
    groups: &'static [Group],
    body: Body<R>,
}

impl<R> Test<R> {
    /// `name`: module and test.
    pub fn new(
        name: impl Into<String>,
        groups: &'static [Group],
        body: impl FnOnce(&mut R) -> Result<()> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            groups,
            body: Box::new(body),
        }
    }
}

/// Runs the tests of `group`, in their order, on `rig`; or only lists them, which needs no rig.
pub fn run<R: Rig>(
    mut arguments: Arguments,
    group: Group,
    rig: impl FnOnce() -> Result<R>,
    tests: Vec<Test<R>>,
) -> Result<ExitCode> {
    arguments.test_threads = Some(1);
    let tests = tests.into_iter();
    let tests = tests.filter(|test| test.groups.contains(&group));
    if arguments.list {
        let names = tests.map(|test| Trial::test(test.name, || Ok(())));
        return Ok(libtest_mimic::run(&arguments, names.collect()).exit_code());
    }
    let rig = Arc::new(Mutex::new(rig()?));
    let trials = tests
        .map(|test| {
            let rig = Arc::clone(&rig);
            Trial::test(test.name, move || {
                let result = locked(&rig).test(test.body);
                result.map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    locked(&rig).finish()?;
    Ok(conclusion.exit_code())
}

/// A test that panicked has left the rig as a failed one does.
fn locked<R>(rig: &Mutex<R>) -> MutexGuard<'_, R> {
    rig.lock().unwrap_or_else(PoisonError::into_inner)
}
