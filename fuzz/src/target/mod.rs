//! The targets.

mod answer;
mod chain;
mod log;
mod pipeline;
mod recording;
mod seeds;

pub use answer::ANSWER;
pub use chain::CHAIN;
pub use log::LOG;
pub use pipeline::PIPELINE;
pub use recording::RECORDING;

/// A function of arbitrary bytes, with examples of what it usually gets.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Examples from recordings of real traces.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: [&Target; 5] = [&PIPELINE, &CHAIN, &ANSWER, &LOG, &RECORDING];

/// The target with this name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.into_iter().find(|target| target.name == name)
}
