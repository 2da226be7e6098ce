//! The init of the lab guest: prepares the machine, loads modules, binds
//! devices, runs one command and reports one verdict.

mod channel;
mod command;
mod device;
mod errno;
mod klog;
mod machine;
mod module;

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result};
use channel::Channel;
use remap_guest::handover::{PATH, Run, Verdict};

fn main() {
    let Err(error) = run();
    // No channel to report on: the console is all there is.
    eprintln!("remap-guest: FAILED: {error:#}");
    machine::end()
}

fn run() -> Result<std::convert::Infallible> {
    machine::mount_all()?;
    let text = fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
    let run: Run = serde_json::from_str(&text).with_context(|| format!("reading {PATH}"))?;
    let channel = Arc::new(Channel::open(&run.line)?);
    let verdict =
        serve(&run, &channel).unwrap_or_else(|error| Verdict::Failed(format!("{error:#}")));
    channel.log(&klog::read())?;
    channel.verdict(&verdict)?;
    machine::await_end()
}

fn serve(run: &Run, channel: &Arc<Channel>) -> Result<Verdict> {
    machine::prepare()?;
    for module in &run.modules {
        module::load(module)?;
    }
    if let Some(driver) = &run.driver {
        module::load(driver)?;
    }
    if let Some(driver) = &run.bind {
        for bdf in &run.devices {
            device::bind(bdf, driver)?;
        }
    }
    channel.step(&format!("ready: {}", summary(run)));
    let status = command::run(run, channel)?;
    command::end_all()?;
    tear_down(run)?;
    Ok(Verdict::Exited(status))
}

/// Unbinds and unloads, so that a reference that the driver leaks is noticed.
fn tear_down(run: &Run) -> Result<()> {
    let Some(driver) = &run.driver else {
        return Ok(());
    };
    if module::is_loaded(driver) {
        for bdf in &run.devices {
            device::unbind(bdf)?;
        }
        module::unload(driver)?;
    }
    Ok(())
}

fn summary(run: &Run) -> String {
    let driver = run.bind.as_deref().unwrap_or("no driver");
    let args = run
        .driver
        .as_ref()
        .map_or("", |module| module.args.as_str());
    match run.devices.as_slice() {
        [] => "no devices".into(),
        devices => format!("{} on {driver} {args}", devices.join(", "))
            .trim_end()
            .into(),
    }
}
