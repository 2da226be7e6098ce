//! The records in the perf event array: bpftool and a program with libbpf read what the trace reads.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use remap_common::record::{KINDS, Unit};
use remap_core::account::Account;
use remap_core::correlate::Options;
use remap_core::event::Body;
use remap_core::model::{Cycle, Stage};
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::sink::json::Json;
use rustix::process::Signal;
use zerocopy::IntoBytes as _;

use super::pin::{PIN, Tests, is_there, mounted};
use crate::rig::lab::Lab;
use crate::rig::line::Lines;
use crate::rig::process::{Collected, Output, Running};
use crate::rig::trace::{Trace, Traced};
use crate::rig::{now, until};

pub const TESTS: Tests = &[
    ("perf::bpftool_reads_the_records", by_bpftool),
    ("perf::a_program_with_libbpf_reads_the_records", by_libbpf),
];

/// Whether a process has put a buffer for each processor into the array: then it waits for them all.
fn is_attached(pid: u32) -> Result<bool> {
    let processors = available_parallelism()?.get();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if target.as_os_str() != "anon_inode:[eventpoll]" {
            continue;
        }
        let info = format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy());
        let info = fs::read_to_string(info)?;
        return Ok(info.matches("tfd:").count() >= processors);
    }
    Ok(false)
}

/// What a trace of a drill, with this further argument, has reported, and what a reader has printed:
/// `is_record` is in each record.
fn beside(
    lab: &Lab,
    argument: Option<&str>,
    reader: Command,
    is_record: &str,
) -> Result<(Traced, Vec<String>)> {
    mounted()?;
    let arguments = ["--events", "--perf-events", PIN].into_iter();
    let arguments: Vec<&str> = arguments.chain(argument).collect();
    let trace = Trace::start(&arguments)?;
    let lines = Collected::default();
    let mut reader = Running::start(reader, Output::Collected(lines.clone()))?;
    until("a reader to be attached", || {
        reader.is_alive()?;
        Ok(is_attached(reader.pid())?.then_some(()))
    })?;
    lab.use_it()?;
    let traced = trace.end(0)?;
    traced.found(&[])?;
    ensure!(!is_there(), "left by a trace that has a reader");
    until("a reader to read everything", || {
        let got = lines.count(is_record) as u64;
        Ok((got >= traced.summary.delivered).then_some(()))
    })?;
    reader.end(Signal::INT)?.expect(0)?;
    Ok((traced, lines.take()))
}

fn by_bpftool(lab: &mut Lab) -> Result<()> {
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["map", "event_pipe", "pinned", PIN]);
    let (traced, lines) = beside(lab, None, bpftool, "CPU: ")?;
    let records = records(&lines)?;
    ensure!(
        records.len() as u64 == traced.summary.delivered,
        "{} records, and {} of the trace",
        records.len(),
        traced.summary.delivered
    );
    records
        .iter()
        .try_for_each(|record| has_no_address(record))?;
    let read = correlated(&records)?;
    let (read, reported): (Vec<&Cycle>, Vec<&Cycle>) =
        (read.cycles().collect(), traced.lines.cycles().collect());
    ensure!(
        read == reported && !read.is_empty(),
        "bpftool: {read:#?}; the trace: {reported:#?}"
    );
    Ok(())
}

/// The records that bpftool has printed: a line that begins each, then its bytes.
fn records(lines: &[String]) -> Result<Vec<Vec<u8>>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        if line.starts_with("== @") {
            records.push(Vec::new());
            continue;
        }
        let bytes = line.split_whitespace();
        let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16));
        let bytes: Vec<u8> = bytes
            .collect::<Result<_, _>>()
            .with_context(|| format!("bpftool printed {line}"))?;
        let record = records.last_mut().context("bytes before a record")?;
        record.extend(bytes);
    }
    Ok(records)
}

/// A record in words, so that it is aligned. The kernel has padded it to whole words behind a length of
/// four bytes.
fn aligned(record: &[u8]) -> Vec<u64> {
    let mut words = vec![0; record.len().div_ceil(8)];
    words.as_mut_bytes()[..record.len()].copy_from_slice(record);
    words
}

/// That no kernel address is in a record.
fn has_no_address(record: &[u8]) -> Result<()> {
    /// The kernel's memory, without its code: a word of it cannot be an errno, or two numbers.
    const MEMORY: std::ops::Range<u64> = 0xffff_8000_0000_0000..0xffff_fffe_0000_0000;
    let words = aligned(record);
    let found = words.iter().find(|word| MEMORY.contains(word));
    ensure!(found.is_none(), "{found:x?} in {record:x?}");
    let kind = KINDS.iter().find(|kind| kind.number == words[0] as u32);
    let kind = kind.with_context(|| format!("no kind of a record: {record:x?}"))?;
    for field in kind.fields {
        let is_device = field.unit == Unit::KernelAddress && field.name == "device";
        let value = words[field.offset / 8];
        ensure!(
            !is_device || value != 0 && value >> 63 == 0,
            "{}.{}: {value:x}",
            kind.name,
            field.name
        );
    }
    Ok(())
}

/// What the records mean.
fn correlated(records: &[Vec<u8>]) -> Result<Lines> {
    let (options, filter) = (Options::default(), Filter::default());
    let options = Options {
        sees_consumers: true,
        ..options
    };
    let mut text = Vec::new();
    let mut pipeline = Pipeline::new(
        options,
        filter,
        Box::new(|_| None),
        false,
        Json::new(&mut text),
    );
    for record in records {
        pipeline.record(aligned(record).as_bytes());
    }
    pipeline.finish(now()?, &Account::default())?;
    let text = String::from_utf8(text)?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(Lines(lines.collect::<Result<_, _>>()?))
}

fn by_libbpf(lab: &mut Lab) -> Result<()> {
    let mut reader = Command::new("remap-lab-records");
    reader.arg(PIN);
    // The trace has no capability when it removes the pin.
    let (traced, lines) = beside(lab, Some("--no-reattach"), reader, " ")?;
    ensure!(
        lines.len() as u64 == traced.summary.delivered,
        "{} records, and {} of the trace",
        lines.len(),
        traced.summary.delivered
    );
    let mut times: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut devices = BTreeSet::new();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, time, _tid, rest @ ..] = &words[..] else {
            anyhow::bail!("{line}");
        };
        let kind: u32 = kind.parse()?;
        let kind = KINDS.iter().find(|one| one.number == kind);
        times.insert((kind.context("no kind of a record")?.name, time.parse()?));
        devices.extend(rest.first().copied());
    }
    ensure!(devices.len() == 1, "signals of {devices:?}");
    let of_kind = |name| times.iter().filter(move |(kind, _)| *kind == name);
    let signals = traced.lines.events();
    let signals = signals.filter(|event| matches!(event.body, Body::Signal(_)));
    let signals: BTreeSet<u64> = signals.map(|event| event.time_ns).collect();
    let read: BTreeSet<u64> = of_kind("signal").map(|(_, time)| *time).collect();
    ensure!(read == signals, "{read:?}, and of the trace {signals:?}");
    let mut count = 0;
    for cycle in traced.lines.cycles() {
        let at = |stage| cycle.stages.ns(stage).context("a stage was not observed");
        for (stage, kind) in [
            (Stage::Trigger, "signal"),
            (Stage::Wake, "read"),
            (Stage::Requery, "exit"),
        ] {
            let place = (kind, at(stage)?);
            ensure!(times.contains(&place), "no {place:?}: {cycle:?}");
        }
        count += 1;
    }
    ensure!(count > 0, "no cycles");
    Ok(())
}
