//! Interrupts by vector: how many, who got them, and after what time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use super::{Times, TimesHead};
use crate::model::{IrqStats, VectorStats};
use crate::sink::words::Count;

/// So many vectors have a row of their own, those with most signals.
const ROWS: usize = 8;

pub(super) fn show(f: &mut fmt::Formatter<'_>, irqs: &BTreeMap<u32, IrqStats>) -> fmt::Result {
    for irq in irqs.values() {
        let calls: Vec<String> = irq
            .calls
            .iter()
            .map(|(verb, count)| format!("{} {}", verb.words(), Count(*count, "time")))
            .chain(irq.failed.iter().map(|(verb, count)| {
                let failed = Count(*count, "time");
                format!("{} failed {failed}", verb.words())
            }))
            .collect();
        if !calls.is_empty() {
            writeln!(f, "  {}: {}", irq.name.name(), calls.join(", "))?;
        }
    }
    let mut rows: Vec<(&IrqStats, u32, &VectorStats)> = irqs
        .values()
        .flat_map(|irq| {
            irq.vectors
                .iter()
                .map(move |(sub, vector)| (irq, *sub, vector))
        })
        .filter(|(_, _, vector)| vector.signals + vector.reads + vector.consumed > 0)
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by_key(|(_, _, vector)| Reverse(vector.signals));
    let folded = rows.split_off(rows.len().min(ROWS));
    writeln!(
        f,
        "  {:<12}{:>9}{:>9}{:>11}{:>8}{:>8}{TimesHead}",
        "vector", "signals", "read", "in kernel", "merged", "unread"
    )?;
    for (irq, sub, vector) in rows {
        let name = format!("{} {sub}", irq.name.name());
        let VectorStats {
            reads,
            consumed,
            coalesced,
            unread,
            ..
        } = vector;
        let bound = if vector.incomplete { "≥" } else { "" };
        let signals = format!("{bound}{}", vector.signals.saturating_add(vector.missed));
        let times = Times(vector.latency());
        writeln!(
            f,
            "  {name:<12}{signals:>9}{reads:>9}{consumed:>11}{coalesced:>8}{unread:>8}{times}"
        )?;
    }
    let missed = irqs
        .values()
        .map(|irq| irq.sum(|vector| vector.missed))
        .fold(0, u64::saturating_add);
    if missed > 0 {
        let missed = Count(missed, "signal");
        writeln!(
            f,
            "  {missed} among them without a record, known by the eventfd's count"
        )?;
    }
    if !folded.is_empty() {
        let signals = folded.iter().map(|(_, _, vector)| vector.signals).sum();
        let (vectors, signals) = (
            Count(folded.len() as u64, "more vector"),
            Count(signals, "signal"),
        );
        writeln!(
            f,
            "  {vectors} with {signals} not shown; --json has them all"
        )?;
    }
    Ok(())
}
