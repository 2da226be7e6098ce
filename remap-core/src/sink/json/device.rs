//! What one device's part of a trace adds up to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::irq::known;
use super::mapping::PagesLine;
use super::migration::{ActivityLine, PrecopyLine, SpentLine};
use crate::event::{DeviceState, Errno};
use crate::model::{
    ChangeStats, DeviceStats, IrqStats, IrqVerb, LoggingStats, MappingStats, MigrationStats,
    Quantiles, RegionStats, Stage, StateStats, User, VectorStats, ZapStats,
};

#[derive(Serialize)]
struct QuantilesLine {
    count: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl QuantilesLine {
    fn of(quantiles: Quantiles) -> Self {
        Self {
            count: quantiles.count,
            p50_ns: quantiles.p50,
            p90_ns: quantiles.p90,
            p99_ns: quantiles.p99,
            max_ns: quantiles.max,
        }
    }
}

#[derive(Serialize)]
struct RegionLine {
    region: u32,
    cycles: u64,
    outcomes: BTreeMap<&'static str, u64>,
    findings: BTreeMap<&'static str, u64>,
    stages: BTreeMap<&'static str, QuantilesLine>,
    total: Option<QuantilesLine>,
    mapping: MappingLine,
}

impl RegionLine {
    fn of(region: u32, stats: &RegionStats) -> Self {
        let stages = Stage::ALL.into_iter().filter_map(|stage| {
            let quantiles = stats.stage(stage)?;
            Some((stage.name(), QuantilesLine::of(quantiles)))
        });
        let outcomes = stats.outcomes.iter();
        let findings = stats.findings.iter();
        Self {
            region,
            cycles: stats.cycles(),
            outcomes: outcomes.map(|(key, n)| (key.name(), *n)).collect(),
            findings: findings.map(|(key, n)| (key.id(), *n)).collect(),
            stages: stages.collect(),
            total: stats.total().map(QuantilesLine::of),
            mapping: MappingLine::of(&stats.mapping),
        }
    }
}

#[derive(Serialize)]
struct MappingLine {
    maps: u64,
    found: u64,
    refused_maps: u64,
    unmaps: u64,
    dma_maps: u64,
    dma_unmaps: u64,
    pages: Vec<PagesLine>,
    unsized_faults: u64,
    refused_faults: u64,
    other_faults: u64,
}

impl MappingLine {
    fn of(stats: &MappingStats) -> Self {
        Self {
            maps: stats.maps,
            found: stats.found,
            refused_maps: stats.refused_maps,
            unmaps: stats.unmaps,
            dma_maps: stats.dma_maps,
            dma_unmaps: stats.dma_unmaps,
            pages: PagesLine::all(&stats.pages),
            unsized_faults: stats.unsized_faults,
            refused_faults: stats.refused_faults,
            other_faults: stats.other_faults,
        }
    }
}

#[derive(Serialize)]
struct VectorLine {
    sub_index: u32,
    signals: u64,
    software: u64,
    reads: u64,
    consumed: u64,
    coalesced: u64,
    unread: u64,
    latency: Option<QuantilesLine>,
}

impl VectorLine {
    fn of(sub_index: u32, stats: &VectorStats) -> Self {
        Self {
            sub_index,
            signals: stats.signals,
            software: stats.software,
            reads: stats.reads,
            consumed: stats.consumed,
            coalesced: stats.coalesced,
            unread: stats.unread,
            latency: stats.latency().map(QuantilesLine::of),
        }
    }
}

#[derive(Serialize)]
struct IrqLine {
    irq_index: Option<u32>,
    name: &'static str,
    calls: BTreeMap<&'static str, u64>,
    failed: BTreeMap<&'static str, u64>,
    latency: Option<QuantilesLine>,
    vectors: Vec<VectorLine>,
}

impl IrqLine {
    fn of(index: u32, stats: &IrqStats) -> Self {
        let named = |calls: &BTreeMap<IrqVerb, u64>| {
            calls.iter().map(|(verb, n)| (verb.name(), *n)).collect()
        };
        let vectors = stats.vectors.iter();
        Self {
            irq_index: known(index),
            name: stats.name.name(),
            calls: named(&stats.calls),
            failed: named(&stats.failed),
            latency: stats.latency().map(QuantilesLine::of),
            vectors: vectors
                .map(|(sub, stats)| VectorLine::of(*sub, stats))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct StateLine {
    state: String,
    stays: u64,
    total_ns: u64,
    whole: bool,
    activity: ActivityLine,
    precopy: Option<PrecopyLine>,
}

impl StateLine {
    fn of(state: DeviceState, stats: &StateStats) -> Self {
        Self {
            state: state.to_string(),
            stays: stats.stays,
            total_ns: stats.ns,
            whole: stats.complete,
            activity: ActivityLine::of(&stats.activity),
            precopy: stats.precopy.as_ref().map(PrecopyLine::of),
        }
    }
}

#[derive(Serialize)]
struct ChangeLine {
    from: Option<String>,
    to: Option<String>,
    succeeded: u64,
    failed: BTreeMap<String, u64>,
    unfinished: u64,
    duration: Option<QuantilesLine>,
}

impl ChangeLine {
    fn of(from: Option<DeviceState>, to: Option<DeviceState>, stats: &ChangeStats) -> Self {
        let failed = stats.failed.iter();
        Self {
            from: from.map(|state| state.to_string()),
            to: to.map(|state| state.to_string()),
            succeeded: stats.succeeded,
            failed: failed
                .map(|(errno, n)| (Errno(*errno).to_string(), *n))
                .collect(),
            unfinished: stats.unfinished,
            duration: stats.duration().map(QuantilesLine::of),
        }
    }
}

#[derive(Serialize)]
struct LoggingLine {
    starts: u64,
    stops: u64,
    reports: u64,
    report_ns: u64,
    report_bytes: u64,
    failed: u64,
    page_size: Option<u64>,
}

impl LoggingLine {
    fn of(stats: &LoggingStats) -> Self {
        Self {
            starts: stats.starts,
            stops: stats.stops,
            reports: stats.reports,
            report_ns: stats.report_ns,
            report_bytes: stats.report_bytes,
            failed: stats.failed,
            page_size: stats.page_size,
        }
    }
}

#[derive(Serialize)]
struct MigrationLine {
    flags: Option<u64>,
    states: Vec<StateLine>,
    unknown: ActivityLine,
    changes: Vec<ChangeLine>,
    inside: ActivityLine,
    spent: SpentLine,
    data_size: Option<u64>,
    logging: LoggingLine,
}

impl MigrationLine {
    fn of(stats: &MigrationStats) -> Self {
        let states = stats.states.iter();
        let changes = stats.changes.iter();
        Self {
            flags: stats.flags,
            states: states
                .map(|(state, stats)| StateLine::of(*state, stats))
                .collect(),
            unknown: ActivityLine::of(&stats.unknown),
            changes: changes
                .map(|((from, to), stats)| ChangeLine::of(*from, *to, stats))
                .collect(),
            inside: ActivityLine::of(&stats.inside),
            spent: SpentLine::of(&stats.spent),
            data_size: stats.data_size,
            logging: LoggingLine::of(&stats.logging),
        }
    }
}

#[derive(Serialize)]
struct ZapsLine {
    zaps: u64,
    populated: u64,
    bytes: u64,
    unsized_faults: u64,
    refused: u64,
    fault_ns: u64,
    duration: Option<QuantilesLine>,
}

impl ZapsLine {
    fn of(stats: &ZapStats) -> Self {
        Self {
            zaps: stats.zaps,
            populated: stats.populated,
            bytes: stats.bytes,
            unsized_faults: stats.unsized_faults,
            refused: stats.refused,
            fault_ns: stats.fault_ns,
            duration: stats.duration().map(QuantilesLine::of),
        }
    }
}

#[derive(Serialize)]
struct UserLine<'a> {
    pid: u32,
    comm: &'a str,
    vm: Option<&'a str>,
}

impl<'a> UserLine<'a> {
    fn of(pid: u32, user: &'a User) -> Self {
        Self {
            pid,
            comm: &user.comm,
            vm: user.vm.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct DeviceLine<'a> {
    device: &'a str,
    transitions: u64,
    driver: Option<&'a str>,
    irqs: Vec<IrqLine>,
    migration: MigrationLine,
    zaps: BTreeMap<&'static str, ZapsLine>,
    opens: u64,
    closes: u64,
    deaths: u64,
    users: Vec<UserLine<'a>>,
    findings: BTreeMap<&'static str, u64>,
    regions: Vec<RegionLine>,
}

impl<'a> DeviceLine<'a> {
    pub(super) fn of(device: &'a str, stats: &'a DeviceStats) -> Self {
        let findings = stats.findings.iter();
        let regions = stats.regions.iter();
        let (irqs, zaps, users) = (stats.irqs.iter(), stats.zaps.iter(), stats.users.iter());
        Self {
            device,
            transitions: stats.transitions,
            driver: stats.driver.as_deref(),
            irqs: irqs.map(|(index, irq)| IrqLine::of(*index, irq)).collect(),
            migration: MigrationLine::of(&stats.migration),
            zaps: zaps
                .map(|(cause, zaps)| (*cause, ZapsLine::of(zaps)))
                .collect(),
            opens: stats.opens,
            closes: stats.closes,
            deaths: stats.deaths,
            users: users.map(|(pid, user)| UserLine::of(*pid, user)).collect(),
            findings: findings.map(|(key, n)| (key.id(), *n)).collect(),
            regions: regions
                .map(|(region, stats)| RegionLine::of(*region, stats))
                .collect(),
        }
    }
}
