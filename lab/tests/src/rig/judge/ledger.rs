//! What users did, compared with what was traced: the same sentences, equally often.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use remap_core::event::Errno;

use super::sentence;
use crate::rig::line::Lines;

/// Counts sentences about what a user does, at the moment it does it.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<String, i64>>);

impl Ledger {
    /// Counts an action on `device`.
    pub fn add(&self, device: impl Display, action: impl Display) {
        self.times(device, action, 1);
    }

    /// Counts an action that was done so often.
    pub fn times(&self, device: impl Display, action: impl Display, times: i64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(format!("{device} {action}")).or_default() += times;
    }

    /// An ioctl on `device`, and its result.
    pub fn call<T>(&self, device: impl Display, call: &str, result: &Result<T, Errno>) {
        self.add(&device, format_args!("begin {call}"));
        let result = sentence::outcome(result);
        self.add(&device, format_args!("end {call}: {result}"));
    }

    /// Empties it.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Its sentences and counts, one a line, for another process's ledger.
    pub fn lines(&self) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(sentence, times): (&String, &i64)| format!("{times} {sentence}\n");
        counts.iter().map(line).collect()
    }

    /// Adds the lines of another process's ledger.
    pub fn merge(&self, lines: &str) -> Result<()> {
        for line in lines.lines() {
            let (times, sentence) = line.split_once(' ').context("no sentence")?;
            let (device, action) = sentence.split_once(' ').context("no action")?;
            let times = times.parse().with_context(|| format!("in {line:?}"))?;
            self.times(device, action, times);
        }
        Ok(())
    }

    /// That the events give the same sentences, equally often.
    pub fn agree(&self, lines: &Lines) -> Result<()> {
        let mut differences = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let done: i64 = differences.values().sum();
        ensure!(done > 0, "nothing was done");
        for sentence in sentence::all(lines.named_events())? {
            *differences.entry(sentence).or_default() -= 1;
        }
        differences.retain(|_, difference| *difference != 0);
        let describe = |(sentence, difference): (&String, &i64)| match difference {
            more if *more < 0 => format!("traced {} times too often: {sentence}", -more),
            fewer => format!("not traced {fewer} times: {sentence}"),
        };
        let differences: Vec<String> = differences.iter().map(describe).collect();
        ensure!(
            differences.is_empty(),
            "what was done and what was traced differ:\n{}",
            differences.join("\n")
        );
        Ok(())
    }
}
