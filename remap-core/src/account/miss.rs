//! Program runs that the kernel skipped, by program and function.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kernel skipped a program because another one was running on that CPU.
pub const RECURSION: &str = "recursion";
/// A kprobe did not fire because another one did, or a kretprobe had no room for one more thread.
pub const PROBE_MISSED: &str = "probe_missed";

/// Runs of one program that the kernel skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Miss {
    /// Why, as losses are named.
    pub reason: Cow<'static, str>,
    /// The program.
    pub program: Cow<'static, str>,
    /// The function that was called; `None` if the program is attached to several.
    pub function: Option<String>,
    /// How often.
    pub count: u64,
    /// Whether each run would have made a record; false for a program that only cleans up.
    pub record: bool,
}

/// All skipped runs of one kind.
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
    /// How many records are lost by them, as far as the kernel counts the runs.
    pub fn total(&self) -> u64 {
        let records = self.by.iter().filter(|miss| miss.record);
        records.map(|miss| miss.count).sum()
    }

    /// Adds the kernel's count for one program on a function, or on several; `None` if the kernel
    /// does not count.
    /// `record`: whether each run would have made a record.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_one_program_on_one_function_are_one_entry() {
        let mut misses = Misses::default();
        misses.add(RECURSION, ("a", Some("f")), true, Some(2));
        misses.add(RECURSION, ("a", Some("f")), true, Some(3));
        misses.add(RECURSION, ("a", Some("g")), true, Some(4));
        misses.add(RECURSION, ("a", None), true, Some(5));
        misses.add(PROBE_MISSED, ("a", Some("f")), false, Some(6));
        misses.add(RECURSION, ("b", Some("f")), true, Some(0));
        let counts: Vec<u64> = misses.by.iter().map(|miss| miss.count).collect();
        assert_eq!(counts, [5, 4, 5, 6]);
        assert_eq!(misses.total(), 14, "a program without a record loses none");
        assert!(misses.known);
    }

    #[test]
    fn a_kernel_that_does_not_count_makes_the_misses_unknown() {
        let mut misses = Misses::default();
        misses.add(RECURSION, ("a", None), true, None);
        assert!(!misses.known && misses.by.is_empty());
    }
}
