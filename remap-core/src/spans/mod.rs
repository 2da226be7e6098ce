//! The outputs of a trace as spans, in the form of OpenTelemetry: what begins, ends and contains what.
//!
//! ```text
//! migration ── state change ──┬─ cycle ── stage …
//!                             └─ finding
//! ```
//!
//! A trace per migration: from the first state change of a device that runs, until it runs again or is
//! closed. A cycle or a finding outside of a state change has a trace of its own. A span goes out when it
//! has ended, its children before it; the ids follow from what it is, so that a child can name its parent
//! before that has ended.

mod build;
mod id;
mod migration;
#[cfg(test)]
mod tests;

pub use build::Spans;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Attributes by name.
pub type Attributes = Vec<(&'static str, Value)>;

/// A moment within a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What happened.
    pub name: &'static str,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// What is known of it.
    pub attributes: Attributes,
}

/// What began and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to; not 0.
    pub trace: u128,
    /// Its id; not 0.
    pub id: u64,
    /// The span that contains it.
    pub parent: Option<u64>,
    /// What it is.
    pub name: String,
    /// CLOCK_MONOTONIC, ns.
    pub begin_ns: u64,
    /// CLOCK_MONOTONIC, ns.
    pub end_ns: u64,
    /// What is known of it.
    pub attributes: Attributes,
    /// What happened meanwhile.
    pub moments: Vec<Moment>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}
