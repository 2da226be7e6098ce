//! What a rule found, and tables of rules.

use crate::model::{Evidence, Rule};

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::correlate) struct Verdict {
    /// Region index, where it is about one.
    pub(in crate::correlate) region: Option<u32>,
    pub(in crate::correlate) evidence: Evidence,
}

impl Verdict {
    /// A verdict about no single region.
    pub(super) fn new(evidence: Evidence) -> Self {
        Self {
            region: None,
            evidence,
        }
    }

    /// A verdict about a region.
    pub(super) fn of(region: u32, evidence: Evidence) -> Self {
        Self {
            region: Some(region),
            evidence,
        }
    }

    /// The rule that is broken.
    pub(in crate::correlate) fn rule(&self) -> Rule {
        self.evidence.rule()
    }
}

/// The rules of one moment, in order of precedence.
pub(in crate::correlate) type Table<Facts> = [fn(&Facts) -> Option<Verdict>];

/// The verdict of the first rule of `table` that holds.
pub(in crate::correlate) fn judge<Facts>(table: &Table<Facts>, facts: &Facts) -> Option<Verdict> {
    table.iter().find_map(|rule| rule(facts))
}
