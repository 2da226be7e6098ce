//! Zaps and what followed, and mappings.

use serde::Serialize;

use super::migration::TransitionRefLine;
use super::result_name;
use crate::model::{Cause, Mapped, Zap, ZappedRegion};
use crate::sink::event_line::origin_name;

/// Faults that populated as much each.
#[derive(Serialize)]
pub(super) struct PagesLine {
    size: u64,
    faults: u64,
}

impl PagesLine {
    pub(super) fn all<'a>(pages: impl IntoIterator<Item = (&'a u64, &'a u64)>) -> Vec<Self> {
        let line = |(size, faults): (&u64, &u64)| Self {
            size: *size,
            faults: *faults,
        };
        pages.into_iter().map(line).collect()
    }
}

#[derive(Serialize)]
struct ZappedRegionLine {
    region: u32,
    mapped_bytes: u64,
    dma_bytes: Option<u64>,
    pages: Vec<PagesLine>,
    unsized_faults: u64,
    populated_bytes: Option<u64>,
    refused: u64,
}

impl ZappedRegionLine {
    fn of(region: &ZappedRegion) -> Self {
        Self {
            region: region.region,
            mapped_bytes: region.mapped_bytes,
            dma_bytes: region.dma_bytes,
            pages: PagesLine::all(&region.pages),
            unsized_faults: region.unsized_faults,
            populated_bytes: region.bytes(),
            refused: region.refused,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ZapLine<'a> {
    id: u64,
    device: &'a str,
    cause: &'static str,
    cause_text: String,
    config_offset: Option<u64>,
    time_ns: u64,
    steps: u64,
    regions: Vec<ZappedRegionLine>,
    transition: Option<TransitionRefLine>,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    fault_ns: u64,
    refused_ns: Option<u64>,
    wakeup_ns: Option<u64>,
    end_ns: u64,
    end: &'static str,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> ZapLine<'a> {
    pub(super) fn of(zap: &'a Zap) -> Self {
        Self {
            id: zap.id,
            device: &zap.device,
            cause: zap.cause.name(),
            cause_text: zap.cause.to_string(),
            config_offset: match zap.cause {
                Cause::ConfigWrite { offset } => Some(offset),
                _ => None,
            },
            time_ns: zap.time_ns,
            steps: zap.steps,
            regions: zap.regions.iter().map(ZappedRegionLine::of).collect(),
            transition: zap.transition.as_ref().map(TransitionRefLine::of),
            first_ns: zap.first_ns,
            last_ns: zap.last_ns,
            fault_ns: zap.fault_ns,
            refused_ns: zap.refused_ns,
            wakeup_ns: zap.wakeup_ns,
            end_ns: zap.end_ns,
            end: zap.end.name(),
            pid: zap.task.pid,
            tid: zap.task.tid,
            comm: &zap.task.comm,
        }
    }
}

#[derive(Serialize)]
pub(super) struct MappedLine<'a> {
    time_ns: u64,
    device: &'a str,
    how: &'static str,
    region: u32,
    offset: u64,
    size: u64,
    result: String,
    origin: &'static str,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> MappedLine<'a> {
    pub(super) fn of(mapped: &'a Mapped) -> Self {
        Self {
            time_ns: mapped.time_ns,
            device: &mapped.device,
            how: mapped.how.name(),
            region: mapped.region,
            offset: mapped.offset,
            size: mapped.size,
            result: result_name(mapped.result),
            origin: origin_name(mapped.origin),
            pid: mapped.task.pid,
            tid: mapped.task.tid,
            comm: &mapped.task.comm,
        }
    }
}
