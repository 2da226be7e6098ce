//! Regions: cycles, stages, mappings.

use std::fmt;

use super::{Times, TimesHead};
use crate::model::{MappingStats, Outcome, Quantiles, RegionStats, Stage};
use crate::sink::words::{Count, Pages};

pub(super) fn show(f: &mut fmt::Formatter<'_>, region: u32, stats: &RegionStats) -> fmt::Result {
    write!(f, "  region {region}: {}", Count(stats.cycles(), "cycle"))?;
    for (outcome, count) in &stats.outcomes {
        if *outcome != Outcome::Remapped {
            write!(f, ", {count} {}", outcome.name())?;
        }
    }
    writeln!(f, ", {}", Count(stats.findings(), "finding"))?;
    if stats.mapping.any() {
        writeln!(f, "    {}", Mapping(&stats.mapping))?;
    }
    let rows: Vec<(&str, Quantiles)> = Stage::ALL
        .iter()
        .filter_map(|stage| Some((stage.name(), stats.stage(*stage)?)))
        .chain(stats.total().map(|total| ("total", total)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "    {:<9}{:>7}{TimesHead}", "stage", "count")?;
    for (name, times) in rows {
        writeln!(f, "    {name:<9}{:>7}{}", times.count, Times(Some(times)))?;
    }
    Ok(())
}

/// What was done to the region's mappings.
struct Mapping<'a>(&'a MappingStats);

impl fmt::Display for Mapping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.0;
        let mut words: Vec<String> = [
            (stats.found, "found mapped"),
            (stats.maps, "mapped"),
            (stats.refused_maps, "mapping refused"),
            (stats.unmaps, "unmapped"),
            (stats.dma_maps, "mapped for DMA"),
            (stats.dma_unmaps, "unmapped for DMA"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} {}", Count(count, "time")))
        .collect();
        let populated = stats.pages.values().sum::<u64>() + stats.unsized_faults;
        if populated > 0 {
            let pages = Pages(&stats.pages, stats.unsized_faults);
            words.push(format!("{} populated ({pages})", Count(populated, "fault")));
        }
        for (count, what) in [
            (stats.refused_faults, "refused"),
            (stats.other_faults, "retried or failed"),
        ] {
            if count > 0 {
                words.push(format!("{} {what}", Count(count, "fault")));
            }
        }
        f.write_str(&words.join(", "))
    }
}
