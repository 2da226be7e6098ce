//! A migration of a device, while it is open.

use super::{Moment, SETTLE_NS, Span, Value, wall};
use crate::perfdata::ClockPair;

/// So many findings of one are kept.
const MOMENTS: usize = 128;

/// A migration of a device.
#[derive(Debug)]
pub(super) struct Migration {
    device: String,
    pub trace: [u8; 16],
    pub root: [u8; 8],
    /// The first and the last state change.
    changes: (u64, u64),
    /// CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// CLOCK_MONOTONIC ns, so far.
    pub end_ns: u64,
    pub is_open: bool,
    /// Whether it has ended with the device in RUNNING.
    pub runs_again: bool,
    moments: Vec<Moment>,
    dropped: u32,
}

impl Migration {
    pub fn new(
        device: &str,
        (trace, root): ([u8; 16], [u8; 8]),
        change: u64,
        begin_ns: u64,
    ) -> Self {
        Self {
            device: device.to_owned(),
            trace,
            root,
            changes: (change, change),
            begin_ns,
            end_ns: begin_ns,
            is_open: true,
            runs_again: false,
            moments: Vec::new(),
            dropped: 0,
        }
    }

    /// Whether a state change is a part of it; any later one is, as long as it is open.
    pub fn has(&self, change: u64) -> bool {
        let (first, last) = self.changes;
        change >= first && (self.is_open || change <= last)
    }

    pub fn add(&mut self, change: u64, begin_ns: u64) {
        self.changes.1 = self.changes.1.max(change);
        self.begin_ns = self.begin_ns.min(begin_ns);
        self.end_ns = self.end_ns.max(begin_ns);
    }

    /// Whether a finding of this time is about it.
    pub fn covers(&self, time_ns: u64) -> bool {
        let until_ns = self.end_ns.saturating_add(SETTLE_NS);
        time_ns >= self.begin_ns && (self.is_open || time_ns <= until_ns)
    }

    pub fn event(&mut self, moment: Moment) {
        match self.moments.len() < MOMENTS {
            true => self.moments.push(moment),
            false => self.dropped = self.dropped.saturating_add(1),
        }
    }

    pub fn into_span(self, clocks: ClockPair) -> Span {
        let (first, last) = self.changes;
        Span {
            trace_id: self.trace,
            span_id: self.root,
            parent: None,
            name: "migration".to_owned(),
            begin_ns: wall(clocks, self.begin_ns),
            end_ns: wall(clocks, self.end_ns),
            attributes: vec![
                ("remap.device".to_owned(), Value::Text(self.device)),
                ("remap.first_transition".to_owned(), Value::Number(first)),
                ("remap.last_transition".to_owned(), Value::Number(last)),
                (
                    "remap.runs_again".to_owned(),
                    Value::Number(self.runs_again.into()),
                ),
            ],
            events: self.moments,
            dropped_events: self.dropped,
            failed: None,
        }
    }
}
