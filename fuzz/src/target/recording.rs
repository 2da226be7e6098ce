//! A recording, as `remap report` reads it.

use remap_core::correlate::Options;
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::replay::Recording;

use super::Target;
use crate::recording;
use crate::sink::Both;

/// A perf.data file.
pub const RECORDING: Target = Target {
    name: "recording",
    run,
    seeds,
};

/// How many records of perf.data a seed has beside the first step.
const RECORDS: usize = 6;
/// What marks the beginning of pipe mode, bytes.
const HEADER: usize = 16;
/// `PERF_RECORD_LOST`, `PERF_RECORD_SAMPLE` and `PERF_RECORD_FINISHED_ROUND`
/// (include/uapi/linux/perf_event.h, tools/lib/perf/include/perf/event.h).
const KEPT: [u32; 3] = [2, 9, 68];
/// `PERF_RECORD_HEADER_TRACING_DATA`, whose data follows it.
const TRACING_DATA: u32 = 66;

fn run(bytes: &[u8]) {
    let Ok(recording) = Recording::open(bytes) else {
        return;
    };
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        stages: true,
        ..Options::default()
    };
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, true, Both::new(false));
    if let Ok(replayed) = recording.replay(pipeline) {
        let cut = replayed.cut.map(|place| place.0);
        assert!(
            cut.is_none_or(|byte| byte <= bytes.len() as u64),
            "cut off at {cut:?} of {}",
            bytes.len()
        );
    }
}

/// Excerpts of each recording, as they are while a recording grows.
fn seeds() -> Vec<Vec<u8>> {
    recording::ALL
        .iter()
        .flat_map(|(_, bytes)| excerpts(&grown(bytes)))
        .collect()
}

/// The records of perf.data that mean something to a report. A finished recording has the data where it had
/// it while it grew, behind the place that its header names.
fn grown(file: &[u8]) -> Vec<&[u8]> {
    let word = |at: usize| file.get(at..).and_then(|rest| rest.first_chunk().copied());
    let place = |at: usize| word(at).map_or(0, u64::from_le_bytes) as usize;
    let (begin, size) = (place(40), place(48));
    let (mut at, mut records) = (begin, Vec::new());
    while let Some(head) = file
        .get(at..begin + size)
        .and_then(<[u8]>::first_chunk::<8>)
    {
        let [k0, k1, k2, k3, _, _, s0, s1] = *head;
        let (kind, size) = (
            u32::from_le_bytes([k0, k1, k2, k3]),
            usize::from(u16::from_le_bytes([s0, s1])),
        );
        let Some(record) = file.get(at..at + size) else {
            break;
        };
        at += size.max(8);
        if KEPT.contains(&kind) {
            records.push(record);
        } else if kind == TRACING_DATA {
            let data = record.get(8..).and_then(|rest| rest.first_chunk().copied());
            at += data.map_or(0, u32::from_le_bytes) as usize;
        }
    }
    records
}

/// Every other excerpt of a few records, each behind the header and the first step; and the end of all.
fn excerpts(records: &[&[u8]]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = records.split_first() else {
        return Vec::new();
    };
    let header = [&b"PERFILE2"[..], &(HEADER as u64).to_le_bytes()].concat();
    let last = rest.len().saturating_sub(RECORDS);
    let chosen = rest.chunks(RECORDS).step_by(16);
    chosen
        .chain([&rest[last..]])
        .map(|records| [&header, *first, &records.concat()].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_recording() {
        for seed in seeds() {
            let recording = Recording::open(&seed[..]).expect("a recording");
            let names = recording.vm_names();
            let filter = Filter::default();
            let sink = Both::new(false);
            let pipeline = Pipeline::new(Options::default(), filter, names, true, sink);
            recording.replay(pipeline).expect("it is whole");
        }
    }
}
