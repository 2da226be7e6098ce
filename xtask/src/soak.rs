//! `cargo xtask soak`: everything that happens on a host, at random, for a long time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Parser;

use crate::build;
use crate::kernel::{self, Choice};
use crate::lab;
use crate::spec::{Driver, Spec};
use crate::test::lab::equip_with_two;
use crate::watch::Output;
use crate::{driver, interrupt, setup};

/// Let everything happen to tracers that happens on a host, at random, for a long time.
///
/// Drills, services, VMMs, floods, SIGKILL and SIGSTOP, several tracers, reloads of the driver, a processor
/// that goes and comes, steps of the clock, full disks. Fails if the account of a trace is not exact, if
/// the tracer's memory grows, if anything is left behind, or if the device does not work at the end.
#[derive(Parser)]
pub struct Args {
    /// For so long, by the guest's clock; at least one round of all actions
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// The kernel to boot: 6.1, 6.12, 6.12-rt, newest (or its number) or all
    #[arg(long, default_value = "6.12")]
    kernel: Choice,
    /// Take the same decisions as a run that printed this
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs `cargo xtask soak`.
pub fn main(args: &Args) -> Result<u8> {
    let series = setup::lab(&args.kernel)?;
    build::binaries(&build::LAB)?;
    interrupt::watch()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = args.seed.unwrap_or(now).to_string();
    let minutes = args.minutes.to_string();
    let mut code = 0;
    for series in series {
        let kernel = kernel::ensure(series, false)?;
        let module = driver::ensure(&kernel)?;
        let argv = ["remap-lab-tests", "--soak", &minutes, &seed];
        let mut spec = Spec {
            driver_args: "encoding=vectors".into(),
            // The clock of a guest on a busy host is not that of the host.
            timeout: Duration::from_secs(args.minutes * 240 + 1500),
            ..Spec::new(
                kernel,
                Driver::Built(module),
                argv.map(str::to_owned).to_vec(),
            )
        };
        equip_with_two(&mut spec)?;
        let outcome = lab::run(&spec, Output::Streamed)?;
        println!("soak: the log is {}", outcome.log.display());
        if let Err(why) = outcome.succeeded("the soak") {
            println!("FAILED on {}: {why}", series.label());
            code = 1;
        }
    }
    Ok(code)
}
