//! The result of a drill: the table at its end.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::respond::report::{Report, Totals};
use crate::vfio::sysfs::Bdf;
use remap_core::event::DeviceState;

/// One line of a drill.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line {
    /// A state change returned.
    State(StateChange),
    /// Something failed. The drill continues if it can.
    Failure {
        /// The cycle, from 1.
        cycle: u64,
        /// The failure: one sentence.
        text: String,
    },
    /// The end.
    Verdict(Box<Verdict>),
    /// A report of the service.
    #[serde(untagged)]
    Service(Report),
}

/// A state change that returned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StateChange {
    /// The cycle, from 1.
    pub cycle: u64,
    /// From which state.
    pub from: String,
    /// To which state.
    pub to: String,
    /// How long the call took, ns.
    pub took_ns: u64,
    /// `ok`, or the error.
    pub result: String,
}

/// The times of one kind of state change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Times {
    /// From which state.
    pub from: String,
    /// To which state.
    pub to: String,
    /// How many succeeded.
    pub count: u64,
    /// How many failed.
    pub failed: u64,
    /// The median of those that succeeded, ns.
    pub p50_ns: u64,
    /// The 99th percentile, ns.
    pub p99_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
    #[serde(skip)]
    ns: Vec<u64>,
}

/// Reads of the device's memory: through its mappings, and through its file where it is trapped.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Checks {
    /// Words read through a mapping.
    pub mapped: u64,
    /// Words read through the file, where no mapping is allowed.
    pub trapped: u64,
    /// Words that could not be read.
    pub failed: u64,
}

/// The result of a drill.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// The device.
    pub device: Bdf,
    /// How it migrates.
    pub migration: &'static str,
    /// Requested cycles.
    pub asked: u64,
    /// Cycles that completed without a failure.
    pub cycles: u64,
    /// Failures.
    pub failures: u64,
    /// The totals of the service.
    pub service: Totals,
    /// State changes, by from and to.
    pub changes: Vec<Times>,
    /// Bytes of state data read.
    pub saved_bytes: u64,
    /// Bytes of state data written back and verified by the driver.
    pub verified_bytes: u64,
    /// Reads of the device's memory.
    pub checks: Checks,
}

impl Verdict {
    /// An empty one.
    pub fn new(device: Bdf, migration: &'static str, asked: u64) -> Self {
        Self {
            device,
            migration,
            asked,
            cycles: 0,
            failures: 0,
            service: Totals::default(),
            changes: Vec::new(),
            saved_bytes: 0,
            verified_bytes: 0,
            checks: Checks::default(),
        }
    }

    /// Whether everything succeeded.
    pub fn is_good(&self) -> bool {
        self.failures == 0 && self.service.problems == 0 && self.cycles == self.asked
    }

    /// Counts a state change.
    pub fn change(&mut self, from: DeviceState, to: DeviceState, took: Duration, ok: bool) {
        let (from, to) = (from.to_string(), to.to_string());
        let found = self
            .changes
            .iter()
            .position(|times| times.from == from && times.to == to);
        let at = found.unwrap_or_else(|| {
            self.changes.push(Times {
                from,
                to,
                count: 0,
                failed: 0,
                p50_ns: 0,
                p99_ns: 0,
                max_ns: 0,
                ns: Vec::new(),
            });
            self.changes.len() - 1
        });
        if let Some(times) = self.changes.get_mut(at) {
            if ok {
                times.count += 1;
                times.ns.push(nanoseconds(took));
            } else {
                times.failed += 1;
            }
        }
    }

    /// Computes the percentiles.
    pub fn finish(&mut self) {
        for times in &mut self.changes {
            times.ns.sort_unstable();
            let at = |percent: usize| {
                let rank = (times.ns.len() * percent).div_ceil(100).max(1);
                times.ns.get(rank - 1).copied().unwrap_or(0)
            };
            (times.p50_ns, times.p99_ns, times.max_ns) = (at(50), at(99), at(100));
        }
    }
}

/// A duration in ns, saturating.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(report) => write!(f, "{report}"),
            Self::State(change) => write!(
                f,
                "state: cycle {}, {} → {} in {}: {}",
                change.cycle,
                change.from,
                change.to,
                Time(change.took_ns),
                change.result
            ),
            Self::Failure { cycle, text } => write!(f, "failure: cycle {cycle}: {text}"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
        }
    }
}

/// A time as text.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match Duration::from_nanos(self.0) {
            time if time.as_secs() > 0 => format!("{:.2} s", time.as_secs_f64()),
            time if time.as_millis() > 0 => format!("{:.2} ms", time.as_secs_f64() * 1e3),
            time => format!("{:.0} µs", time.as_secs_f64() * 1e6),
        };
        f.pad(&text)
    }
}

impl Verdict {
    /// The rows above the table: name and value.
    fn rows(&self) -> [(&'static str, String); 7] {
        let Totals {
            triggers,
            acks,
            requeries,
            remaps,
            kept,
            unmapped,
            mapped,
            problems,
        } = self.service;
        let (saved, verified) = (self.saved_bytes, self.verified_bytes);
        let checks = &self.checks;
        let memory = format!(
            "{} words read by mapping, {} through the device file, {} failed",
            checks.mapped, checks.trapped, checks.failed
        );
        let areas = format!("{kept} kept, {unmapped} unmapped, {mapped} mapped");
        let failures = format!("{}, and {problems} problems of the service", self.failures);
        [
            ("cycles", format!("{} of {}", self.cycles, self.asked)),
            ("triggers", format!("{triggers}, acknowledged {acks}")),
            ("remaps", format!("{remaps} of {requeries} requeries")),
            ("areas", areas),
            (
                "state data",
                format!("{saved} bytes saved, {verified} verified"),
            ),
            ("memory", memory),
            ("failures", failures),
        ]
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "drill of {}, migration {}", self.device, self.migration)?;
        for (name, value) in self.rows() {
            writeln!(f, "  {name:<11} {value}")?;
        }
        writeln!(
            f,
            "  {:<27} {:>6} {:>6} {:>10} {:>10} {:>10}",
            "state change", "ok", "failed", "p50", "p99", "max"
        )?;
        for times in &self.changes {
            writeln!(f, "  {times}")?;
        }
        let word = if self.is_good() { "good" } else { "FAILED" };
        write!(f, "verdict: {word}")
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<27} {:>6} {:>6} {:>10} {:>10} {:>10}",
            format!("{} → {}", self.from, self.to),
            self.count,
            self.failed,
            Time(self.p50_ns),
            Time(self.p99_ns),
            Time(self.max_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ranked_and_failures_kept_apart() {
        let mut verdict = Verdict::new("0000:01:00.0".parse().unwrap(), "v2", 100);
        for ms in 1..=100 {
            let took = Duration::from_millis(ms);
            verdict.change(DeviceState::Running, DeviceState::PreCopy, took, true);
        }
        let long = Duration::from_secs(3);
        verdict.change(DeviceState::Running, DeviceState::PreCopy, long, false);
        verdict.finish();
        let [times] = verdict.changes.as_slice() else {
            panic!("one kind of change")
        };
        assert_eq!((times.count, times.failed), (100, 1));
        let ms = |ns: u64| ns / 1_000_000;
        assert_eq!(
            (ms(times.p50_ns), ms(times.p99_ns), ms(times.max_ns)),
            (50, 99, 100)
        );
    }

    #[test]
    fn a_verdict_is_good_only_if_all_of_it_is() {
        let mut verdict = Verdict::new("0000:01:00.0".parse().unwrap(), "v2", 1);
        assert!(!verdict.is_good(), "no cycle completed");
        verdict.cycles = 1;
        assert!(verdict.is_good());
        verdict.service.problems = 1;
        assert!(!verdict.is_good());
    }
}
