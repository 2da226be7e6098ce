//! Interrupts that nobody reads, accesses that are refused, mappings that lose their ground.

use super::Found;
use crate::model::{Cause, IrqName, Ns, Rule};
use crate::parse::region::Area;

/// How many vectors are named.
const NAMED: usize = 8;

/// Signals that nobody read: of which sub-indexes, and since when.
pub(in crate::correlate) fn never_read(
    name: IrqName,
    vectors: &[(u32, u64)],
    now: u64,
) -> (Rule, Found) {
    let mut names: Vec<String> = vectors
        .iter()
        .take(NAMED)
        .map(|(sub, _)| sub.to_string())
        .collect();
    if vectors.len() > NAMED {
        names.push(format!("{} more", vectors.len() - NAMED));
    }
    let first_ns = vectors.iter().map(|(_, ns)| *ns).min().unwrap_or(now);
    let text = format!(
        "{} {}: signalled {} before the trace's end, and neither read nor taken by the kernel since",
        name.name(),
        names.join(", "),
        Ns(now.saturating_sub(first_ns))
    );
    (Rule::NeverRead, Found { region: None, text })
}

/// The kernel asked for the device back.
pub(in crate::correlate) fn request_ignored(ns: u64, now: u64) -> (Rule, Found) {
    let text = format!(
        "the kernel asked for the device back {} before the trace's end (REQ), and it was not \
         closed",
        Ns(now.saturating_sub(ns))
    );
    (Rule::RequestIgnored, Found { region: None, text })
}

/// An access to a mapped region was refused.
pub(in crate::correlate) struct AtRefusal {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) offset: u64,
    /// What took the pages out before, and how long ago, ns.
    pub(in crate::correlate) zap: Option<(Cause, u64)>,
    /// The region's last description does not allow a mapping there.
    pub(in crate::correlate) trapped: bool,
}

pub(in crate::correlate) fn access_refused(at: &AtRefusal) -> (Rule, Found) {
    let why = match at.zap {
        Some((Cause::Unknown, ns)) => format!(
            "{} after its pages were taken out, by none of the calls that are traced",
            Ns(ns)
        ),
        Some((cause, ns)) => format!("while it was off: {cause}, {} before", Ns(ns)),
        None if at.trapped => {
            "where its last description does not allow a mapping any more".to_owned()
        }
        None => "and what turned it off was not seen".to_owned(),
    };
    let text = format!("an access at {:#x} was refused (SIGBUS) {why}", at.offset);
    let region = Some(at.region);
    (Rule::AccessRefused, Found { region, text })
}

/// A region lost its mmap while the same part is mapped for DMA.
pub(in crate::correlate) fn dma_mapped(region: u32, areas: &[Area], how: &str) -> (Rule, Found) {
    let bytes = areas
        .iter()
        .fold(0_u64, |sum, area| sum.saturating_add(area.size));
    let first = areas.first().map_or(0, |area| area.offset);
    let text = format!(
        "{bytes:#x} bytes from {first:#x} on {how} while they are mapped for DMA: the IOMMU still \
         leads there"
    );
    let region = Some(region);
    (Rule::DmaMapped, Found { region, text })
}
