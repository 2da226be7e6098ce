//! The draining state: the programs record nothing more, and their last records are taken.
//!
//! The programs stay attached until the outcome is reported: detaching them takes longer than a user
//! waits for it. A trace that is far behind its programs does not take all of them: the rest is lost as `unread`.

use std::time::{Duration, Instant};

use remap_common::counter::Counter;
use remap_core::{
    account::{Account, Loss, Missing},
    model::Summary,
    order::SLACK_NS,
    replay::Feed,
    sink::Sink,
};

use crate::{
    exit::{self, Error},
    live::{
        clock::monotonic_ns,
        probes::Probes,
        qemu_log::{QemuLogs, unreadable_log},
        ring::Ring,
        turn::Turn,
        watermark::Watermark,
    },
};

/// How often the ring is polled for the last records.
const MAX_POLLS: u32 = 10_000;

/// How long it takes the last records.
const MAX_TIME: Duration = Duration::from_millis(150);

/// A trace that ends.
pub(super) struct Draining<S> {
    probes: Probes,
    ring: Ring,
    feed: Feed<S>,
    logs: QemuLogs,
    watermark: Watermark,
    /// What no program saw.
    missing: Missing,
}

impl<S: Sink> Draining<S> {
    /// Ends the recording. What the kernel skips is counted after that: a run that it skips before
    /// would be missing otherwise.
    pub fn begin(
        mut probes: Probes,
        ring: Ring,
        feed: Feed<S>,
        logs: QemuLogs,
        watermark: Watermark,
    ) -> Result<Self, Error> {
        probes.end()?;
        let missing = Missing {
            skipped: probes.skipped()?,
            missed: probes.hooks.missed()?,
            returns: probes.stale_calls()?,
        };
        Ok(Self {
            probes,
            ring,
            feed,
            logs,
            watermark,
            missing,
        })
    }

    /// Takes the last records. A program that was running when the recording ended may still submit
    /// one. All records that are counted as seen must arrive; the number of polls and the time are
    /// bounded.
    pub fn drain(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        let mut counters = self.probes.counters();
        self.feed.losses(self.probes.losses()?);
        for _ in 0..MAX_POLLS {
            let feed = &mut self.feed;
            while !self.ring.take(Turn::begin(), |record| feed.record(record)) {
                if begin.elapsed() >= MAX_TIME {
                    return Ok(());
                }
                feed.advance(self.watermark.behind(feed.latest_ns()))?;
            }
            let before = std::mem::replace(&mut counters, self.probes.counters());
            let is_complete = counters == before && counters.unfinished() == 0;
            if is_complete && counters.get(Counter::Sent) == self.feed.taken().all() {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Closes the account, and writes the summary.
    pub fn finish(mut self) -> Result<Summary, Error> {
        let taken = self.feed.taken();
        self.feed.losses(self.probes.losses()?);
        // After the last record was taken: what was sent later is unread.
        let counters = self.probes.counters();
        let sent = counters.get(Counter::Sent);
        let unread = sent.saturating_sub(taken.all()) + counters.unfinished();
        let returns = self.missing.returns;
        let account = Account::close(&counters, taken, self.missing);
        let now_ns = monotonic_ns()?;
        // What was not read lies behind the last record in the ring.
        let unread_ns = self.feed.latest_ns().saturating_sub(SLACK_NS);
        let lost = [(returns, 0), (unread, unread_ns)];
        let lost = lost.into_iter().filter(|(count, _)| *count > 0);
        let lost = lost.map(|(count, from_ns)| Loss::any(count, (from_ns, now_ns)));
        self.feed.losses(lost.collect());
        let logs = self
            .logs
            .finish(|checkpoint| self.feed.checkpoint(checkpoint))
            .map_err(unreadable_log)?;
        self.feed.logs(logs);
        let summary = self.feed.finish(monotonic_ns()?, &account)?;
        self.probes.flush_diagnostics();
        let probes = self.probes;
        exit::afterwards(move || drop(probes));
        Ok(summary)
    }
}
