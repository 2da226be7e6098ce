//! The table at the end: per device the time in each state, where the time went, times of each
//! stage, interrupts and mappings; findings with advice, and the account of every record.

mod irqs;
mod memory;
mod migration;
mod regions;

use std::fmt;

use super::sentence;
use super::vmm::LogText;
use super::words::Count;
use crate::account::Loses;
use crate::model::{DeviceStats, Evicted, Exported, Ns, Quantiles, Rule, Summary, Withheld};
use crate::printable::Name;

/// A summary as text.
pub struct Table<'a>(
    /// What is shown.
    pub &'a Summary,
);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        for blind in &summary.blind {
            writeln!(f, "BLIND: {}", sentence::blind(blind))?;
        }
        for (name, device) in &summary.stats.devices {
            one_device(f, name, device)?;
        }
        if summary.stats.cycles() == 0 {
            writeln!(f, "no cycles{}", self.as_far_as_seen())?;
        }
        if summary.stats.unknown_data.any() {
            let data = migration::data(&summary.stats.unknown_data);
            writeln!(f, "state data of a device that is not known: {data}")?;
        }
        self.findings(f)?;
        for log in &summary.logs {
            writeln!(f, "{}", Name(&LogText(log).to_string()))?;
        }
        self.withheld(f)?;
        self.exported(f)?;
        self.evicted(f)?;
        self.identity(f)
    }
}

fn one_device(f: &mut fmt::Formatter<'_>, name: &str, device: &DeviceStats) -> fmt::Result {
    write!(f, "{}", Name(name))?;
    if let Some(driver) = &device.driver {
        write!(f, " ({})", Name(driver))?;
    }
    write!(f, ": {}", Count(device.transitions, "state change"))?;
    if device.deaths > 0 {
        write!(
            f,
            ", closed {} by a process that ended",
            Count(device.deaths, "time")
        )?;
    }
    writeln!(f)?;
    for user in &device.users {
        write!(f, "  used by {} {}", Name(&user.comm), user.pid)?;
        match &user.vm {
            Some(vm) => writeln!(f, ", VM {}", Name(vm))?,
            None => writeln!(f)?,
        }
    }
    migration::show(f, &device.migration)?;
    memory::show(f, &device.zaps)?;
    irqs::show(f, &device.irqs)?;
    for (region, stats) in &device.regions {
        regions::show(f, *region, stats)?;
    }
    writeln!(f)
}

impl Table<'_> {
    /// Follows a statement that nothing happened, where remap may not have seen it.
    fn as_far_as_seen(&self) -> &'static str {
        match self.0.blind.is_empty() {
            true => "",
            false => " while the hooks fired",
        }
    }

    fn findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.0.stats.findings();
        if findings.is_empty() {
            return writeln!(f, "no findings{}", self.as_far_as_seen());
        }
        for (rule, count) in findings {
            writeln!(f, "{} ({count}): {}", rule.name(), rule.advice())?;
            for (name, device) in &self.0.stats.devices {
                if let Some(example) = example(device, rule) {
                    writeln!(f, "    {}: {}", Name(name), Name(&example))?;
                }
            }
        }
        Ok(())
    }

    /// What became of the spans for a collector.
    fn exported(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Exported { spans, dropped }) = &self.0.exported else {
            return Ok(());
        };
        writeln!(f, "{} sent to the collector", Count(*spans, "span"))?;
        for (why, count) in dropped {
            writeln!(f, "{} not sent ({why})", Count(*count, "span"))?;
        }
        Ok(())
    }

    /// What was left out of the lines.
    fn withheld(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Withheld {
            records,
            by_class,
            by_latency,
            by_region,
            by_time,
            unread,
        } = self.0.withheld;
        if records > 0 {
            let records = Count(records, "record");
            writeln!(
                f,
                "{records} of other devices or processes left out (--device, --pid, --vm)"
            )?;
        }
        for (count, option) in [
            (by_class, "--class"),
            (by_region, "--region"),
            (by_time, "--between"),
            (by_latency, "--min-latency"),
        ] {
            if count > 0 {
                let lines = Count(count, "line");
                writeln!(f, "{lines} not shown ({option}), but counted above")?;
            }
        }
        if unread > 0 {
            let lines = Count(unread, "line");
            writeln!(
                f,
                "{lines} dropped, because the reader did not read, but counted above"
            )?;
        }
        Ok(())
    }

    /// What the sums had no room for.
    fn evicted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evicted {
            devices,
            users,
            interrupts,
            tables,
            rows,
        } = self.0.evicted;
        for (count, what) in [
            (devices, "devices are only counted in “other devices”"),
            (users, "users of devices are not listed"),
            (
                interrupts,
                "signals, reads and calls of interrupts are not listed",
            ),
            (
                tables,
                "times what was open about a device was dropped, as if records had been lost",
            ),
            (rows, "sums of regions and states are not listed"),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}: a trace holds no more")?;
            }
        }
        Ok(())
    }

    fn identity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        writeln!(f, "{}", Identity(summary))?;
        for miss in &summary.missed {
            let function = miss.function.as_deref().unwrap_or("several functions");
            let (reason, program) = (&miss.reason, &miss.program);
            write!(f, "    {reason} {}: {program} on {function}", miss.count)?;
            f.write_str(match miss.loses {
                Loses::Always => "\n",
                Loses::Possibly => POSSIBLY,
                Loses::Nothing => NO_RECORD,
            })?;
        }
        Ok(())
    }
}

/// The account of a summary, on one line.
pub struct Identity<'a>(
    /// The summary.
    pub &'a Summary,
);

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        match summary.seen {
            Some(seen) => write!(f, "seen {seen}")?,
            None => f.write_str("seen unknown")?,
        }
        let sign = match summary.exact() {
            Some(false) => "≠",
            _ => "=",
        };
        let (delivered, lost) = (summary.delivered, summary.lost_total());
        write!(f, " {sign} delivered {delivered} + lost {lost}")?;
        let reasons: Vec<String> = summary
            .lost
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        if summary.skipped > 0 {
            write!(f, "; skipped {}", summary.skipped)?;
        }
        Ok(())
    }
}

fn example(device: &DeviceStats, rule: Rule) -> Option<String> {
    device.examples.get(&rule).map(sentence::finding)
}

/// Follows the misses of a program on a function that anyone calls.
const POSSIBLY: &str = " (not counted as lost: the calls may have been about no VFIO device)\n";

/// Follows the misses of a program that only removes a context from a map.
const NO_RECORD: &str =
    " (no record lost; the target of a freed eventfd context may stay stored)\n";

/// The head of the columns of [`Times`].
struct TimesHead;

impl fmt::Display for TimesHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}{:>10}{:>10}{:>10}", "p50", "p90", "p99", "max")
    }
}

/// A distribution; dashes where nothing was observed.
struct Times(Option<Quantiles>);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(times) = self.0 else {
            return write!(f, "{:>10}{:>10}{:>10}{:>10}", "-", "-", "-", "-");
        };
        for ns in [times.p50, times.p90, times.p99, times.max] {
            write!(f, "{:>10}", Ns(ns))?;
        }
        Ok(())
    }
}
