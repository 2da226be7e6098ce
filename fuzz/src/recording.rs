//! The recordings of real traces, taken apart: the seeds are made of them.

use remap_core::perfdata::{Part, Reader};
use remap_core::replay::Step;

/// The recordings that remap-core's own tests replay.
pub const ALL: [(&str, &[u8]); 6] = [
    (
        "drill-6.1",
        include_bytes!("../../remap-core/tests/fixtures/drill-6.1.perf.data"),
    ),
    (
        "drill-6.12",
        include_bytes!("../../remap-core/tests/fixtures/drill-6.12.perf.data"),
    ),
    (
        "drill-newest",
        include_bytes!("../../remap-core/tests/fixtures/drill-newest.perf.data"),
    ),
    (
        "migration-6.1",
        include_bytes!("../../remap-core/tests/fixtures/migration-6.1.perf.data"),
    ),
    (
        "migration-6.12",
        include_bytes!("../../remap-core/tests/fixtures/migration-6.12.perf.data"),
    ),
    (
        "migration-newest",
        include_bytes!("../../remap-core/tests/fixtures/migration-newest.perf.data"),
    ),
];

/// One frame of a recording.
pub enum Frame {
    /// A record of the ring.
    Record(Vec<u8>),
    /// A step.
    Step(Box<Step>),
}

/// The frames of a recording, up to the first that is not whole.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut reader) = Reader::new(bytes) else {
        return frames;
    };
    while let Ok(Some(part)) = reader.next_part() {
        frames.push(match part {
            Part::Record(record) => Frame::Record(record.to_vec()),
            Part::Step(json) => match serde_json::from_slice(&json) {
                Ok(step) => Frame::Step(step),
                Err(_) => return frames,
            },
        });
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_taken_apart_to_its_end() {
        for (name, bytes) in ALL {
            let frames = frames(bytes);
            let last = frames.last();
            let ends =
                matches!(last, Some(Frame::Step(step)) if matches!(**step, Step::Finish { .. }));
            assert!(ends, "{name}");
        }
    }
}
