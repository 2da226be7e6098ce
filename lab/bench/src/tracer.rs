//! `remap trace` beside the benchmark.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The file that the tracer creates when its probes are in place.
const READY: &str = "/run/remap-bench-ready";
/// Its output. A file, so that nothing has to read it meanwhile.
const OUTPUT: &str = "/run/remap-bench-output";
/// MiB of ring: more than all records of a measurement need, so that none is lost.
const BUFFER: &str = "64";

/// A tracer that runs.
pub struct Tracer(Child);

impl Tracer {
    /// Starts it with further arguments; returns when its probes are in place.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        if Path::new(READY).exists() {
            fs::remove_file(READY).context("removing the old ready file failed")?;
        }
        let mut child = Command::new("remap")
            .args(["trace", "--json", "--buffer", BUFFER, "--ready-file", READY])
            .args(arguments)
            .stdout(File::create(OUTPUT)?)
            .spawn()
            .context("cannot run remap")?;
        while !Path::new(READY).exists() {
            if let Some(status) = child.try_wait()? {
                bail!("remap trace ended before it was ready: {status}");
            }
            std::thread::yield_now();
        }
        Ok(Self(child))
    }

    /// Ends it. A lost record costs less than a delivered one, so that the figures hold only while
    /// almost none is lost. (A kernel that preempts its own code skips a program now and then.)
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "remap trace failed: {status}");
        let output = fs::read_to_string(OUTPUT)?;
        let summary = output.lines().last().context("remap trace wrote nothing")?;
        let summary: Value = serde_json::from_str(summary)?;
        let lost = summary["lost"].as_object().context("no summary")?;
        let lost: u64 = lost.values().filter_map(Value::as_u64).sum();
        let seen = summary["seen"].as_u64().context("an unknown loss")?;
        ensure!(seen > 0, "no operation was recorded: {summary}");
        ensure!(lost * 1000 <= seen, "{lost} of {seen} records were lost");
        Ok(())
    }
}
