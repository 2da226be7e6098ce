//! The last line: what it all adds up to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::device::DeviceLine;
use super::migration::DataLine;
use crate::account::Miss;
use crate::model::Summary;
use crate::sink::vmm_line::LogLine;

#[derive(Serialize)]
pub(super) struct SummaryLine<'a> {
    seen: Option<u64>,
    delivered: u64,
    lost: &'a BTreeMap<String, u64>,
    missed: Vec<MissLine<'a>>,
    cycles: u64,
    transitions: u64,
    findings: BTreeMap<&'static str, u64>,
    devices: Vec<DeviceLine<'a>>,
    unknown_data: DataLine,
    withheld: WithheldLine,
    logs: Vec<LogLine<'a>>,
}

#[derive(Serialize)]
struct MissLine<'a> {
    reason: &'a str,
    program: &'a str,
    function: Option<&'a str>,
    count: u64,
    record: bool,
}

impl<'a> MissLine<'a> {
    fn of(miss: &'a Miss) -> Self {
        Self {
            reason: &miss.reason,
            program: &miss.program,
            function: miss.function.as_deref(),
            count: miss.count,
            record: miss.record,
        }
    }
}

#[derive(Serialize)]
struct WithheldLine {
    records: u64,
    by_class: u64,
    by_latency: u64,
}

impl<'a> SummaryLine<'a> {
    pub(super) fn of(summary: &'a Summary) -> Self {
        let findings = summary.stats.findings().into_iter();
        let devices = summary.stats.devices.iter();
        Self {
            seen: summary.seen,
            delivered: summary.delivered,
            lost: &summary.lost,
            missed: summary.missed.iter().map(MissLine::of).collect(),
            cycles: summary.stats.cycles(),
            transitions: summary.stats.transitions(),
            findings: findings.map(|(rule, n)| (rule.id(), n)).collect(),
            devices: devices
                .map(|(name, stats)| DeviceLine::of(name, stats))
                .collect(),
            unknown_data: DataLine::of(&summary.stats.unknown_data),
            withheld: WithheldLine {
                records: summary.withheld.records,
                by_class: summary.withheld.by_class,
                by_latency: summary.withheld.by_latency,
            },
            logs: summary.logs.iter().map(LogLine::of).collect(),
        }
    }
}
