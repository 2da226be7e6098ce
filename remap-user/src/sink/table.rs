//! The table at the end: times per device, region and stage, findings with advice, and the
//! account of every record.

use std::fmt;

use super::vmm_line::LogText;
use crate::correlate::{
    DeviceStats, Ns, Outcome, Quantiles, RegionStats, Rule, Stage, Summary, Withheld,
};

/// A summary as text.
pub struct Table<'a>(
    /// What is shown.
    pub &'a Summary,
);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        for (name, device) in &summary.stats.devices {
            self.device(f, name, device)?;
        }
        if summary.stats.cycles() == 0 {
            writeln!(f, "no cycles")?;
        }
        self.findings(f)?;
        for log in &summary.logs {
            writeln!(f, "{}", LogText(log))?;
        }
        self.withheld(f)?;
        self.identity(f)
    }
}

impl Table<'_> {
    fn device(&self, f: &mut fmt::Formatter<'_>, name: &str, device: &DeviceStats) -> fmt::Result {
        write!(f, "{name}: {}", Count(device.transitions, "state change"))?;
        for irq in device.irqs.values() {
            write!(
                f,
                ", {} of {}",
                Count(irq.signals(), "signal"),
                irq.name.name()
            )?;
        }
        writeln!(f)?;
        for (region, stats) in &device.regions {
            self.region(f, *region, stats)?;
        }
        writeln!(f)
    }

    fn region(&self, f: &mut fmt::Formatter<'_>, region: u32, stats: &RegionStats) -> fmt::Result {
        write!(f, "  region {region}: {}", Count(stats.cycles(), "cycle"))?;
        for (outcome, count) in &stats.outcomes {
            if *outcome != Outcome::Remapped {
                write!(f, ", {count} {}", outcome.name())?;
            }
        }
        writeln!(f, ", {}", Count(stats.findings(), "finding"))?;
        let rows: Vec<(&str, Quantiles)> = Stage::ALL
            .into_iter()
            .filter_map(|stage| Some((stage.name(), stats.stage(stage)?)))
            .chain(stats.total().map(|total| ("total", total)))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "    {:<9}{:>7}{:>10}{:>10}{:>10}{:>10}",
            "stage", "count", "p50", "p90", "p99", "max"
        )?;
        for (name, times) in rows {
            writeln!(
                f,
                "    {name:<9}{:>7}{:>10}{:>10}{:>10}{:>10}",
                times.count,
                Ns(times.p50),
                Ns(times.p90),
                Ns(times.p99),
                Ns(times.max)
            )?;
        }
        Ok(())
    }

    fn findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.0.stats.findings();
        if findings.is_empty() {
            return writeln!(f, "no findings");
        }
        for (rule, count) in findings {
            writeln!(f, "{} ({count}): {}", rule.id(), rule.advice())?;
            for (name, device) in &self.0.stats.devices {
                if let Some(example) = example(device, rule) {
                    writeln!(f, "    {name}: {example}")?;
                }
            }
        }
        Ok(())
    }

    /// What the filters kept back, so that nobody takes a part for the whole.
    fn withheld(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Withheld {
            records,
            by_class,
            by_latency,
        } = self.0.withheld;
        if records > 0 {
            let records = Count(records, "record");
            writeln!(f, "{records} of others left out (--device, --pid, --vm)")?;
        }
        for (count, option) in [(by_class, "--class"), (by_latency, "--min-latency")] {
            if count > 0 {
                let lines = Count(count, "line");
                writeln!(f, "{lines} not shown ({option}), but counted above")?;
            }
        }
        Ok(())
    }

    fn identity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        writeln!(f)
    }
}

/// How many of something.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

fn example(device: &DeviceStats, rule: Rule) -> Option<&String> {
    device.examples.get(&rule)
}
