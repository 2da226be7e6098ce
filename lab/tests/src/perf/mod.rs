//! Programs that read a trace beside its own output.

mod pin;
mod pipe;
mod usdt;

use crate::{PERF, Test};

pub fn tests() -> Vec<Test> {
    [pin::TESTS, pipe::TESTS, usdt::TESTS]
        .into_iter()
        .flatten()
        .map(|(name, body)| Test::new(*name, PERF, *body))
        .collect()
}
