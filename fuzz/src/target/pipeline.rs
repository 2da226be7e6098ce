//! Records and steps through the whole pipeline, with text and JSON.

use super::Target;
use crate::recording::{self, frames};
use crate::stream::{pack, play};

/// A stream of records and steps ([`crate::stream`]).
pub const PIPELINE: Target = Target {
    name: "pipeline",
    run: play::play,
    seeds,
};

/// Excerpts of each recording, with some switches each.
fn seeds() -> Vec<Vec<u8>> {
    let switches = [
        play::CONSUMERS | play::LOGS,
        play::CONSUMERS | play::LOGS | play::ALL,
    ];
    let recordings = recording::ALL.into_iter().zip(switches.into_iter().cycle());
    recordings
        .flat_map(|((_, bytes), switches)| pack::excerpts(&pack::pack(&frames(bytes)), switches))
        .collect()
}
