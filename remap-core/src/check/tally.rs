//! How often a duty was exercised and broken.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many violations of a duty are kept; more are only counted.
const KEPT: usize = 8;

/// One violation of a duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Name of the device.
    pub device: String,
    /// Region index, if it concerns one region.
    pub region: Option<u32>,
    /// One sentence: what was seen.
    pub text: String,
    /// One sentence: what to do, where a finding has it.
    pub advice: Option<Cow<'static, str>>,
}

/// How often a duty was exercised and broken.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) exercised: u64,
    pub(super) broken: u64,
    /// The first violations.
    pub(super) violations: Vec<Violation>,
}

impl Tally {
    pub(super) fn add(&mut self, violation: Violation) {
        self.broken += 1;
        if self.violations.len() < KEPT {
            self.violations.push(violation);
        }
    }
}
