//! `cargo xtask fixtures`: captures the recordings that the unit tests of remap-core replay.

use fs_err as fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::build;
use crate::kernel::{self, Choice, Series};
use crate::lab;
use crate::process::step;
use crate::scenario::equip_with_qemu;
use crate::spec::{Driver, Spec};
use crate::watch::Output;
use crate::{cache, driver, interrupt, setup};

/// Capture the recordings below remap-core/tests/fixtures anew, on each kernel.
///
/// They change with the layout of the records. The expected text and JSON beside them follow by
/// `REMAP_BLESS=1 cargo test -p remap-core --test replay`.
#[derive(Parser)]
pub struct Args {
    /// The kernel to boot: 6.1, 6.12, 6.12-rt, newest (or its number) or all
    #[arg(long, default_value = "all")]
    kernel: Choice,
}

/// A recording that the lab's test program makes, under this name.
struct Fixture {
    name: &'static str,
    /// Gives the guest what it needs beyond the usual.
    equip: fn(&mut Spec) -> Result<()>,
}

const FIXTURES: [Fixture; 2] = [
    Fixture {
        name: "drill",
        equip: |_| Ok(()),
    },
    Fixture {
        name: "migration",
        equip: |spec| {
            // 6.1 faults the BARs in page by page for DMA, a record each.
            spec.bar_mib = 1;
            equip_with_qemu(spec)
        },
    },
];

/// Runs `cargo xtask fixtures`.
pub fn main(args: &Args) -> Result<u8> {
    let series = setup::lab(&args.kernel)?;
    step("building remap", || build::binaries(&build::LAB))?;
    interrupt::watch()?;
    for series in series {
        for fixture in &FIXTURES {
            interrupt::check()?;
            let name = format!("{}-{}", fixture.name, series.label());
            let bytes = step(&name, || fixture.capture(series)).context(name.clone())?;
            let at = folder().join(format!("{name}.perf.data"));
            fs::create_dir_all(folder())?;
            fs::write(&at, &bytes)?;
            println!("{} bytes: {}", bytes.len(), at.display());
        }
    }
    Ok(0)
}

fn folder() -> PathBuf {
    cache::root().join("remap-core/tests/fixtures")
}

impl Fixture {
    /// Boots a guest; its stdout is the recording.
    fn capture(&self, series: Series) -> Result<Vec<u8>> {
        let kernel = kernel::ensure(series, false)?;
        let module = driver::ensure(&kernel)?;
        let argv = ["remap-lab-tests", "--recording", self.name];
        let mut spec = Spec {
            driver_args: "encoding=vectors".into(),
            ..Spec::new(
                kernel,
                Driver::Built(module),
                argv.map(str::to_owned).to_vec(),
            )
        };
        (self.equip)(&mut spec)?;
        let outcome = lab::run(&spec, Output::Captured)?;
        eprint!("{}", String::from_utf8_lossy(&outcome.stderr));
        outcome.succeeded("the lab's test program")?;
        Ok(outcome.stdout)
    }
}
