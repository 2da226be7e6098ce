//! Program runs that the kernel skipped, by program and function.

use std::borrow::Cow;

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::LostKind;
use crate::word::word;

/// The kernel skipped a program because another one was running on that CPU.
pub const RECURSION: &str = "recursion";
/// A kprobe did not fire because another one did, or a kretprobe had no room for one more thread.
pub const PROBE_MISSED: &str = "probe_missed";

/// Whether a run of a program that the kernel skips is a record that is lost.
#[apply(word!)]
pub enum Loses {
    /// The program makes no record; it only cleans up.
    Nothing,
    /// The call may have been about no VFIO device: anyone may call that function.
    Possibly,
    /// Only VFIO devices call that function.
    Always,
}

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
    /// Whether each of them is a record that is lost.
    pub loses: Loses,
    /// What such a record would have been.
    pub records: LostKind,
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
        self.count(|miss| miss.loses == Loses::Always)
    }

    /// How many more may be.
    pub fn possible(&self) -> u64 {
        self.count(|miss| miss.loses == Loses::Possibly)
    }

    /// How many records of a kind are lost by them, or may be.
    pub fn of(&self, records: LostKind) -> u64 {
        self.count(|miss| miss.loses != Loses::Nothing && miss.records == records)
    }

    fn count(&self, wanted: impl Fn(&Miss) -> bool) -> u64 {
        let misses = self.by.iter().filter(|miss| wanted(miss));
        misses.map(|miss| miss.count).sum()
    }

    /// Adds the kernel's count for one program on a function, or on several; `None` if the kernel
    /// does not count.
    /// `lost`: whether each run is a lost record, and of what kind.
    pub fn add(
        &mut self,
        reason: &'static str,
        (program, function): (&'static str, Option<&str>),
        lost: (Loses, LostKind),
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
                        loses: lost.0,
                        records: lost.1,
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: (Loses, LostKind) = (Loses::Always, LostKind::Other);

    #[test]
    fn counts_of_one_program_on_one_function_are_one_entry() {
        let mut misses = Misses::default();
        let nothing = (Loses::Nothing, LostKind::Other);
        let signal = (Loses::Possibly, LostKind::Signal);
        misses.add(RECURSION, ("a", Some("f")), OTHER, Some(2));
        misses.add(RECURSION, ("a", Some("f")), OTHER, Some(3));
        misses.add(RECURSION, ("a", Some("g")), OTHER, Some(4));
        misses.add(RECURSION, ("a", None), OTHER, Some(5));
        misses.add(PROBE_MISSED, ("a", Some("f")), nothing, Some(6));
        misses.add(RECURSION, ("b", Some("f")), OTHER, Some(0));
        misses.add(RECURSION, ("c", Some("f")), signal, Some(7));
        let counts: Vec<u64> = misses.by.iter().map(|miss| miss.count).collect();
        assert_eq!(counts, [5, 4, 5, 6, 7]);
        assert_eq!(misses.total(), 14, "a program without a record loses none");
        assert_eq!(misses.possible(), 7);
        let of = [LostKind::Signal, LostKind::Other].map(|records| misses.of(records));
        assert_eq!(of, [7, 14]);
        assert!(misses.known);
    }

    #[test]
    fn a_kernel_that_does_not_count_makes_the_misses_unknown() {
        let mut misses = Misses::default();
        misses.add(RECURSION, ("a", None), OTHER, None);
        assert!(!misses.known && misses.by.is_empty());
    }
}
