//! The account: how many records the programs saw, sent and lost.
//!
//! A trace checks this identity at its end: `seen = delivered + lost`, where `lost` is a sum
//! by reason: the loss counters of the programs; records that they had not finished (`unfinished`);
//! program runs that the kernel skipped (`recursion`) and
//! kprobes that it did not fire (`probe_missed`) on functions of VFIO; calls without a return record;
//! and records that user space did not read or could not decode. Runs that were skipped on a function
//! that any task or interrupt may call are `skipped`, not lost: the call may have been another's.

use serde::{Deserialize, Serialize};

mod loss;
mod miss;

use std::collections::BTreeMap;

use remap_common::counter::Counter;

pub use loss::{Loss, LossTable, Losses};
pub use miss::{Loses, Miss, Misses, PROBE_MISSED, RECURSION};

/// Sums of all counters over all CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    values: BTreeMap<u32, u64>,
}

impl Counters {
    /// Asks `sum` for each counter's sum over all CPUs.
    pub fn read(sum: impl Fn(Counter) -> u64) -> Self {
        let read = |counter: Counter| (counter as u32, sum(counter));
        Self {
            values: Counter::ALL.into_iter().map(read).collect(),
        }
    }

    /// One sum.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values.get(&(counter as u32)).copied().unwrap_or(0)
    }

    /// Records that programs have begun to send, and neither sent nor lost: a program that loses its
    /// processor in between finishes later.
    pub fn unfinished(&self) -> u64 {
        let done = self.get(Counter::Sent) + self.lost();
        self.get(Counter::Seen).saturating_sub(done)
    }

    /// The sum of the programs' loss counters.
    pub fn lost(&self) -> u64 {
        let losses = Counter::ALL
            .into_iter()
            .filter(|counter| counter.loss().is_some());
        losses.map(|counter| self.get(counter)).sum()
    }
}

/// The records that user space read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that became events.
    pub delivered: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
}

impl Taken {
    /// All of them.
    pub fn all(self) -> u64 {
        self.delivered + self.undecodable
    }
}

/// What no program saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Runs of programs that the kernel has skipped.
    pub skipped: Misses,
    /// Kprobes that did not fire.
    pub missed: Misses,
    /// Calls without a return record.
    pub returns: u64,
}

/// The account of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Everything that should have become an event; `None` if the kernel does not count the runs
    /// that it skips.
    pub seen: Option<u64>,
    /// Records that became events.
    pub delivered: u64,
    /// Lost records by reason; no entry is 0.
    pub lost: BTreeMap<String, u64>,
    /// Program runs that the kernel skipped on functions that not only VFIO devices call: each may
    /// have been a record, or a call of no concern.
    pub skipped: u64,
    /// The runs that were skipped, per program.
    pub missed: Vec<Miss>,
}

impl Account {
    /// The account of a trace that runs: what is under way is neither delivered nor lost yet.
    pub fn so_far(counters: &Counters, taken: Taken, missing: Missing) -> Self {
        let counted = Counter::ALL
            .into_iter()
            .filter_map(|counter| Some((counter.loss()?, counters.get(counter))));
        let mut account = Self {
            delivered: taken.delivered,
            ..Self::default()
        };
        counted.for_each(|(reason, count)| account.lose(reason, count));
        let Missing {
            skipped,
            missed,
            returns,
        } = missing;
        account.lose("return_missed", returns);
        account.lose(RECURSION, skipped.total());
        account.lose(PROBE_MISSED, missed.total());
        account.lose("undecodable", taken.undecodable);
        let never = returns + skipped.total() + missed.total();
        account.seen = skipped.known.then(|| counters.get(Counter::Seen) + never);
        account.skipped = skipped.possible() + missed.possible();
        account.missed = [skipped.by, missed.by].concat();
        account
    }

    /// Sums up the account.
    pub fn close(counters: &Counters, taken: Taken, missing: Missing) -> Self {
        let mut account = Self::so_far(counters, taken, missing);
        account.lose("unfinished", counters.unfinished());
        let sent = counters.get(Counter::Sent);
        account.lose("unread", sent.saturating_sub(taken.all()));
        account
    }

    fn lose(&mut self, reason: &str, count: u64) {
        if count > 0 {
            *self.lost.entry(reason.to_owned()).or_insert(0) += count;
        }
    }

    /// The sum of all losses.
    pub fn total_lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Whether the identity holds; `None` if `seen` is not known.
    pub fn balances(&self) -> Option<bool> {
        self.seen
            .map(|seen| seen == self.delivered + self.total_lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LostKind;

    #[test]
    fn the_account_balances_with_every_kind_of_loss() {
        let mut counters = Counters::default();
        for (counter, value) in [
            (Counter::Seen, 100),
            (Counter::Sent, 90),
            (Counter::RingFull, 7),
            (Counter::ReturnMissed, 3),
        ] {
            counters.values.insert(counter as u32, value);
        }
        let taken = Taken {
            delivered: 85,
            undecodable: 1,
        };
        let miss = |reason: &'static str, function: &str, count| Misses {
            by: vec![Miss {
                reason: reason.into(),
                program: "program".into(),
                function: Some(function.to_owned()),
                count,
                loses: Loses::Always,
                records: LostKind::Other,
            }],
            known: true,
        };
        let missing = Missing {
            skipped: miss(RECURSION, "one", 2),
            missed: miss(PROBE_MISSED, "other", 5),
            returns: 2,
        };
        let account = Account::close(&counters, taken, missing);
        assert_eq!(account.seen, Some(109));
        assert_eq!(account.total_lost(), 24);
        assert_eq!(account.balances(), Some(true));
        let expected = [
            ("probe_missed", 5),
            ("recursion", 2),
            ("return_missed", 5),
            ("ring_full", 7),
            ("undecodable", 1),
            ("unread", 4),
        ];
        let expected = expected.map(|(reason, count)| (reason.to_owned(), count));
        assert_eq!(account.lost, expected.into());
        assert_eq!(account.missed[1].function.as_deref(), Some("other"));
        let mut forgotten = Misses::default();
        for (loses, count) in [(Loses::Nothing, 2), (Loses::Possibly, 9)] {
            forgotten.by.push(Miss {
                loses,
                count,
                ..account.missed[0].clone()
            });
        }
        let missing = Missing {
            skipped: forgotten,
            ..Missing::default()
        };
        let account = Account::close(&counters, taken, missing);
        assert!(!account.lost.contains_key(RECURSION) && account.missed.len() == 2);
        assert_eq!(account.skipped, 9);
        assert_eq!(account.balances(), Some(true));
        let unknown = Missing {
            skipped: Misses {
                known: false,
                ..Misses::default()
            },
            ..Missing::default()
        };
        assert_eq!(Account::close(&counters, taken, unknown).seen, None);
    }

    #[test]
    fn counters_sum_up_only_losses() {
        let counters = Counters::read(|counter| match counter {
            Counter::Seen => 1000,
            Counter::RingFull => 7,
            Counter::ReturnMissed => 3,
            _ => 0,
        });
        assert_eq!(counters.get(Counter::Seen), 1000);
        assert_eq!(counters.get(Counter::Sent), 0);
        assert_eq!(counters.lost(), 10);
    }

    #[test]
    fn records_read_are_delivered_or_undecodable() {
        let taken = Taken {
            delivered: 5,
            undecodable: 2,
        };
        assert_eq!(taken.all(), 7);
    }

    #[test]
    fn an_account_balances_only_if_the_sums_agree() {
        let account = |seen| Account {
            seen,
            delivered: 5,
            lost: BTreeMap::from([("unread".to_owned(), 2)]),
            ..Account::default()
        };
        assert_eq!(account(Some(7)).balances(), Some(true));
        assert_eq!(account(Some(3)).balances(), Some(false));
        assert_eq!(account(None).balances(), None);
    }

    #[test]
    fn what_no_program_saw_counts_as_seen_and_as_lost() {
        let misses = |reason, count| {
            let mut misses = Misses::default();
            let lost = (Loses::Always, LostKind::Other);
            misses.add(reason, ("program", None), lost, Some(count));
            misses
        };
        let missing = Missing {
            skipped: misses(RECURSION, 3),
            missed: misses(PROBE_MISSED, 5),
            returns: 7,
        };
        let account = Account::close(&Counters::default(), Taken::default(), missing);
        assert_eq!((account.seen, account.total_lost()), (Some(15), 15));
    }
}
