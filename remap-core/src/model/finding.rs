//! A finding: a violation of a rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Evidence, Rule};

/// A violation of a rule, or another problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// When it was found (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Name of the device.
    pub device: String,
    /// Region index, if it concerns one region.
    pub region: Option<u32>,
    /// Number of the trigger, if it concerns one.
    pub trigger_id: Option<u64>,
    /// What was seen.
    pub evidence: Evidence,
}

impl Finding {
    /// Which rule it breaks.
    pub fn rule(&self) -> Rule {
        self.evidence.rule()
    }
}
