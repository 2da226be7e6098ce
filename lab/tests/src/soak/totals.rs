//! What a soak counts.

use std::collections::BTreeMap;
use std::fmt;

use remap_core::model::Summary;

/// Sums over all traces that ended in order.
#[derive(Debug, Default)]
pub struct Totals {
    /// How often each action was taken.
    pub actions: BTreeMap<&'static str, u64>,
    traces: u64,
    cycles: u64,
    seen: u64,
    lost: u64,
    skipped: u64,
}

impl Totals {
    /// A trace has ended, and its account is exact.
    pub fn add(&mut self, summary: &Summary) {
        self.traces += 1;
        self.cycles += summary.stats.cycles();
        self.seen += summary.seen.unwrap_or(0);
        self.lost += summary.lost_total();
        self.skipped += summary.skipped;
    }

    /// The sums, in one line.
    pub fn line(&self) -> String {
        let actions: u64 = self.actions.values().sum();
        let Self {
            traces,
            cycles,
            seen,
            lost,
            skipped,
            ..
        } = self;
        format!(
            "{actions} actions, {traces} exact traces, {cycles} cycles, {seen} records seen, {lost} lost, {skipped} skipped runs"
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "soak: {}", self.line())?;
        for (action, count) in &self.actions {
            writeln!(f, "  {count:>6}  {action}")?;
        }
        Ok(())
    }
}
