//! Lines of QEMU's log, and its command line.

use remap_core::replay::Step;
use remap_core::sink::Sink as _;
use remap_core::vmm::checkpoint::{Checkpoint, device, is_checkpoint};
use remap_core::vmm::downtime::Downtimes;
use remap_core::vmm::lines::Lines;
use remap_core::vmm::{log, name};

use super::Target;
use crate::recording::{self, Frame, frames};
use crate::sink::Both;

/// u8: the length of the pieces in which the log is read; then the log, whose first lines are also taken
/// for a command line.
pub const LOG: Target = Target {
    name: "log",
    run,
    seeds,
};

/// How many lines a seed has.
const LINES: usize = 6;

fn run(bytes: &[u8]) {
    let Some((piece, text)) = bytes.split_first() else {
        return;
    };
    let mut sink = Both::new(false);
    let (mut lines, mut count, mut points) = (Lines::default(), 0_u64, Vec::new());
    let mut take = |line: &[u8]| {
        count += 1;
        if let Some(checkpoint) = checkpoint(line, count) {
            points.push(checkpoint);
        }
    };
    for piece in text.chunks(usize::from(*piece).max(1)) {
        lines.push(piece, &mut take);
    }
    lines.finish(&mut take);
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(
        count == ends || count == ends + 1,
        "{count} lines, {ends} ends"
    );
    let mut downtimes = Downtimes::default();
    for point in &points {
        assert!(!point.name().is_empty());
        downtimes.checkpoint(point);
        sink.checkpoint(point).expect("the sink takes all");
    }
    let end_ns = points.last().map_or(0, |last| last.time_ns);
    for downtime in downtimes.finish(end_ns) {
        sink.downtime(&downtime).expect("the sink takes all");
    }
    if let Some(name) = name::of_cmdline(text) {
        assert!(!name.is_empty());
    }
}

/// The checkpoint in a line; every other one is of a second log.
fn checkpoint(line: &[u8], number: u64) -> Option<Checkpoint> {
    let line = log::parse(line).ok().filter(is_checkpoint)?;
    Some(Checkpoint {
        time_ns: line.wall_ns,
        error_ns: log::RESOLUTION_NS,
        log: if number.is_multiple_of(2) { "a" } else { "b" }.to_owned(),
        tid: line.tid,
        event: line.event.to_owned(),
        arguments: line.arguments.to_owned(),
        device: device(&line),
    })
}

/// The checkpoints of the recorded migrations, as both forms of QEMU's log.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds =
        vec![b"\x40/usr/bin/qemu-system-x86_64\0-name\0guest=a,,b,debug-threads=on\0-S\0".to_vec()];
    for (_, bytes) in recording::ALL {
        let mut forms = [Vec::new(), Vec::new()];
        for frame in frames(bytes) {
            let Frame::Step(step) = frame else {
                continue;
            };
            if let Step::Checkpoint(Checkpoint {
                time_ns,
                event,
                arguments,
                ..
            }) = *step
            {
                let (seconds, micros) = (time_ns / 1_000_000_000, time_ns / 1000 % 1_000_000);
                let minute = format!("2026-11-22T22:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
                let stamps = [
                    format!("4242@{seconds}.{micros:06}:"),
                    format!("{minute}.{micros:06}Z "),
                ];
                for (form, stamp) in forms.iter_mut().zip(stamps) {
                    form.extend(format!("{stamp}{event} {arguments}\n").bytes());
                }
            }
        }
        let excerpts = forms.iter().flat_map(|form| excerpts(form));
        seeds.extend(excerpts);
    }
    seeds
}

/// Some lines each, read in pieces of different lengths.
fn excerpts(log: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<_> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let pieces = [64, 13].into_iter().cycle();
    let excerpts = lines.chunks(LINES).zip(pieces);
    excerpts
        .map(|(lines, piece)| [&[piece][..], &lines.concat()].concat())
        .collect()
}
