//! Mappings that lost their pages, and mappings that are made and ended.

use std::fmt;
use std::io::{self, Write};

use super::{RED, Text, YELLOW};
use crate::event::ResultName;
use crate::model::{Mapped, Ns, Zap, ZapEnd, ZappedRegion};
use crate::sink::words::{Bytes, Count, Pages};

impl<W: Write> Text<W> {
    pub(super) fn zap(&mut self, zap: &Zap) -> io::Result<()> {
        let indent = self.under(&zap.device, zap.transition.as_ref())?;
        let (cause, regions, rest) = (zap.cause, Regions(&zap.regions), Rest(zap));
        let mut line = self.begin(indent).paint("zapped", YELLOW);
        line = line.add(&format!(" by {cause}{regions}: {rest}"));
        if zap.refused() > 0 {
            let refused = Count(zap.refused(), "access").to_string();
            line = line.add("; ").paint(&refused, RED).add(" refused");
        }
        line = line.add(&format!("  ({})", self.vms.who(&zap.task)));
        self.end(zap.time_ns, &zap.device, &line)
    }

    pub(super) fn mapped(&mut self, mapped: &Mapped) -> io::Result<()> {
        let (how, region) = (mapped.how.name().replace('_', " "), mapped.region);
        let (offset, size) = (mapped.offset, Bytes(mapped.size));
        let result = ResultName(mapped.result);
        let who = self.vms.who(&mapped.task);
        let text = format!("region {region}  {how} {size} at {offset:#x}  {result}  ({who})");
        self.line(mapped.time_ns, &mapped.device, &text)
    }
}

/// Which regions, and how much of them was mapped.
struct Regions<'a>(&'a [ZappedRegion]);

impl fmt::Display for Regions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, region) in self.0.iter().enumerate() {
            let before = if n == 0 { "  region " } else { ", region " };
            write!(f, "{before}{}", region.region)?;
            if region.mapped_bytes > 0 {
                write!(f, " ({} mapped", Bytes(region.mapped_bytes))?;
                match region.dma_bytes {
                    Some(0) => {}
                    Some(bytes) => write!(f, ", {} for DMA", Bytes(bytes))?,
                    None => f.write_str(", for DMA unknown")?,
                }
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

/// What came after it.
struct Rest<'a>(&'a Zap);

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zap = self.0;
        match zap.duration() {
            None => f.write_str("no page populated since")?,
            Some(ns) => {
                let mut pages = std::collections::BTreeMap::<u64, u64>::new();
                for (bytes, count) in zap.regions.iter().flat_map(|region| &region.pages) {
                    *pages.entry(*bytes).or_default() += count;
                }
                let unsized_faults = zap.regions.iter().map(|region| region.unsized_faults).sum();
                let (faults, pages) = (
                    Count(zap.populated(), "fault"),
                    Pages(&pages, unsized_faults),
                );
                let (duration, inside) = (Ns(ns), Ns(zap.fault_ns));
                let word = if zap.end == ZapEnd::Complete {
                    "all"
                } else {
                    "last"
                };
                write!(
                    f,
                    "{faults} ({pages}), {word} populated after {duration}, {inside} in faults"
                )?;
            }
        }
        if let Some(ns) = zap.wakeup_ns {
            write!(f, ", woken after {}", Ns(ns.saturating_sub(zap.time_ns)))?;
        }
        f.write_str(match zap.end {
            ZapEnd::Complete | ZapEnd::Quiet => "",
            ZapEnd::NextZap => ", until the next zap",
            ZapEnd::Closed => ", until the device was closed",
            ZapEnd::Lost => "; records were lost, so there may be more",
            ZapEnd::TraceEnd => ", until the trace ended",
        })
    }
}
