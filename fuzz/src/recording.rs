//! The recordings of real traces, taken apart: the seeds are made of them.

use remap_core::replay::Step;

/// The recordings that remap-core's own tests replay.
pub const ALL: [(&str, &[u8]); 6] = [
    (
        "drill-6.1",
        include_bytes!("../../remap-core/tests/fixtures/drill-6.1.recording"),
    ),
    (
        "drill-6.12",
        include_bytes!("../../remap-core/tests/fixtures/drill-6.12.recording"),
    ),
    (
        "drill-newest",
        include_bytes!("../../remap-core/tests/fixtures/drill-newest.recording"),
    ),
    (
        "migration-6.1",
        include_bytes!("../../remap-core/tests/fixtures/migration-6.1.recording"),
    ),
    (
        "migration-6.12",
        include_bytes!("../../remap-core/tests/fixtures/migration-6.12.recording"),
    ),
    (
        "migration-newest",
        include_bytes!("../../remap-core/tests/fixtures/migration-newest.recording"),
    ),
];

/// One frame of a recording.
pub enum Frame<'a> {
    /// A record of the ring.
    Record(&'a [u8]),
    /// A step.
    Step(Box<Step>),
}

/// The frames of a recording, up to the first that is not whole.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = split(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn split(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    let frame = match u32::from_le_bytes(*kind) {
        0 => Frame::Record(payload),
        _ => Frame::Step(serde_json::from_slice(payload).ok()?),
    };
    Some((frame, rest))
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
