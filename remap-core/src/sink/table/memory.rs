//! Zaps by their cause.

use std::collections::BTreeMap;
use std::fmt;

use super::{Times, TimesHead};
use crate::model::{CauseKind, ZapStats};
use crate::sink::words::Bytes;

pub(super) fn show(
    f: &mut fmt::Formatter<'_>,
    zaps: &BTreeMap<CauseKind, ZapStats>,
) -> fmt::Result {
    if zaps.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "  {:<30}{:>5}{:>9}{:>11}{:>9}{TimesHead}",
        "zapped by", "zaps", "faults", "populated", "refused"
    )?;
    for (cause, stats) in zaps {
        let cause = cause.name().replace('_', " ");
        // A sum that lacks a part is no sum.
        let bytes = match stats.unsized_faults {
            0 => Bytes(stats.bytes).to_string(),
            _ => format!("≥ {}", Bytes(stats.bytes)),
        };
        let times = Times(stats.duration());
        writeln!(
            f,
            "  {cause:<30}{:>5}{:>9}{bytes:>11}{:>9}{times}",
            stats.zaps, stats.populated, stats.refused
        )?;
    }
    Ok(())
}
