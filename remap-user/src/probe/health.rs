//! The account: what the programs saw, sent and lost.
//!
//! The identity that a trace proves at its end: `seen = delivered + lost`, where lost is a sum
//! by reason. Kernel-side reasons are counters of the programs; more are measured here: runs that
//! the kernel skipped (`recursion`), kprobes that it did not fire (`probe_missed`), calls that were
//! left without their return, and records that user space did not get or understand.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use remap_common::counter::Counter;

use crate::source::counters::CounterMap;

/// Sums of all counters over all CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    values: BTreeMap<u32, u64>,
}

impl Counters {
    /// Reads the counters of the loaded programs.
    pub fn read(map: &CounterMap) -> Self {
        let read = |counter: Counter| (counter as u32, map.sum(counter));
        Self {
            values: Counter::ALL.into_iter().map(read).collect(),
        }
    }

    /// One sum.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values.get(&(counter as u32)).copied().unwrap_or(0)
    }

    /// The sum of all that the programs had to give up.
    pub fn lost(&self) -> u64 {
        let losses = Counter::ALL
            .into_iter()
            .filter(|counter| counter.loss().is_some());
        losses.map(|counter| self.get(counter)).sum()
    }
}

/// The account of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Everything that should have become an event; `None` where the kernel does not tell how
    /// often it has skipped a program.
    pub seen: Option<u64>,
    /// What became one.
    pub delivered: u64,
    /// What did not, by reason; no entry is 0.
    pub lost: BTreeMap<String, u64>,
}

impl Account {
    /// Balances the books. `delivered` events were decoded, `undecodable` records were not;
    /// `skipped` program runs never happened; `None` if that is unknown.
    pub fn close(
        counters: &Counters,
        delivered: u64,
        undecodable: u64,
        skipped: Option<u64>,
    ) -> Self {
        let mut lost = BTreeMap::new();
        let mut add = |reason: &str, count: u64| {
            if count > 0 {
                *lost.entry(reason.to_owned()).or_insert(0) += count;
            }
        };
        for counter in Counter::ALL {
            if let Some(reason) = counter.loss() {
                add(reason, counters.get(counter));
            }
        }
        add("recursion", skipped.unwrap_or(0));
        add("undecodable", undecodable);
        let sent = counters.get(Counter::Sent);
        add("unread", sent.saturating_sub(delivered + undecodable));
        Self {
            seen: skipped.map(|skipped| counters.get(Counter::Seen) + skipped),
            delivered,
            lost,
        }
    }

    /// Adds what only shows at the end: calls whose return never came, and kprobes that did not
    /// fire. Both were to be seen, and are lost.
    pub fn add(&mut self, returns: u64, missed: Option<u64>) {
        let reasons = [
            ("return_missed", returns),
            ("probe_missed", missed.unwrap_or(0)),
        ];
        for (reason, count) in reasons {
            if count > 0 {
                *self.lost.entry(reason.to_owned()).or_insert(0) += count;
                self.seen = self.seen.map(|seen| seen + count);
            }
        }
    }

    /// The sum of all losses.
    pub fn total_lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Whether the identity holds; `None` if it is not known how many were seen.
    pub fn balances(&self) -> Option<bool> {
        self.seen
            .map(|seen| seen == self.delivered + self.total_lost())
    }
}

/// How often the kernel skipped a program because another one was running on that CPU
/// (`recursion_misses` in the program's fdinfo, since 5.12: 9ed9e9ba2337). Before 6.7
/// (dd8657894c11) a skipped kprobe is not counted there; what the programs see of it is a return
/// without an entry, or an entry without a return, which they count.
///
/// # Errors
/// If the fdinfo of the program cannot be read.
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
    Ok(parse_misses(&text))
}

fn parse_misses(fdinfo: &str) -> Option<u64> {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_with_every_kind_of_loss() {
        let mut counters = Counters::default();
        for (counter, value) in [
            (Counter::Seen, 100),
            (Counter::Sent, 90),
            (Counter::RingFull, 7),
            (Counter::ReturnMissed, 3),
        ] {
            counters.values.insert(counter as u32, value);
        }
        let account = Account::close(&counters, 85, 1, Some(2));
        assert_eq!(account.seen, Some(102));
        assert_eq!(account.total_lost(), 17);
        assert_eq!(account.balances(), Some(true));
        assert_eq!(Account::close(&counters, 85, 1, None).seen, None);
        assert_eq!(account.lost["unread"], 4);
        let mut later = account.clone();
        later.add(2, Some(5));
        assert_eq!(later.lost["return_missed"], 5);
        assert_eq!(later.lost["probe_missed"], 5);
        assert_eq!(later.balances(), Some(true));
        later.add(0, None);
        assert_eq!(later.total_lost(), 24);
        assert!(!account.lost.contains_key("contexts_full"));
    }

    #[test]
    fn misses_are_found_in_the_fdinfo() {
        assert_eq!(
            parse_misses("prog_id:\t7\nrecursion_misses:\t12\n"),
            Some(12)
        );
        assert_eq!(parse_misses("prog_id:\t7\n"), None);
    }
}
