//! Runs of the programs that the kernel skipped, by program and function.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The kernel skipped a program because another one was running on that CPU.
pub const RECURSION: &str = "recursion";
/// A kprobe did not fire because another one did, or a kretprobe had no room for one more thread.
pub const PROBE_MISSED: &str = "probe_missed";

/// Runs of one program that never happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miss {
    /// Why, as losses are named.
    pub reason: Cow<'static, str>,
    /// The program.
    pub program: Cow<'static, str>,
    /// The function that was called meanwhile; `None` where the program is on several.
    pub function: Option<String>,
    /// How often.
    pub count: u64,
    /// Whether each is a record that is lost: not of a program that only forgets what is gone.
    pub record: bool,
}

/// All of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misses {
    /// By program; none has the count 0.
    pub by: Vec<Miss>,
    /// Whether the kernel counts them at all.
    pub known: bool,
}

impl Default for Misses {
    fn default() -> Self {
        Self {
            by: Vec::new(),
            known: true,
        }
    }
}

impl Misses {
    /// How many records they are; those that the kernel does not count are not among them.
    pub fn total(&self) -> u64 {
        let records = self.by.iter().filter(|miss| miss.record);
        records.map(|miss| miss.count).sum()
    }

    /// Adds what the kernel says of one program on a function, or on several.
    /// `record` says whether each run would have made a record.
    pub fn add(
        &mut self,
        reason: &'static str,
        (program, function): (&'static str, Option<&str>),
        record: bool,
        count: Option<u64>,
    ) {
        match count {
            None => self.known = false,
            Some(0) => {}
            Some(count) => {
                let same = |miss: &&mut Miss| {
                    (&*miss.reason, &*miss.program, miss.function.as_deref())
                        == (reason, program, function)
                };
                match self.by.iter_mut().find(same) {
                    Some(miss) => miss.count += count,
                    None => self.by.push(Miss {
                        reason: reason.into(),
                        program: program.into(),
                        function: function.map(str::to_owned),
                        count,
                        record,
                    }),
                }
            }
        }
    }
}
