//! The sums that a trace counts into while another thread reads them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::Metrics;

/// Counts for a trace. A scrape holds the sums while it writes them down: what is counted meanwhile is
/// added later, so that a trace never waits for a scrape.
#[derive(Debug, Default)]
pub struct Meter {
    total: Arc<Mutex<Metrics>>,
    /// Counted while the sums were held.
    pending: Metrics,
}

/// Holds the sums.
pub(super) fn held(total: &Mutex<Metrics>) -> MutexGuard<'_, Metrics> {
    total.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// The sums, for a scrape.
    pub fn total(&self) -> Arc<Mutex<Metrics>> {
        Arc::clone(&self.total)
    }

    /// Counts, without waiting.
    pub fn count(&mut self, count: impl FnOnce(&mut Metrics)) {
        let mut total = match self.total.try_lock() {
            Ok(total) => total,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return count(&mut self.pending),
        };
        if !self.pending.is_empty() {
            total.merge(std::mem::take(&mut self.pending));
        }
        count(&mut total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn what_is_counted_during_a_scrape_is_added_after_it() {
        let mut meter = Meter::default();
        let total = meter.total();
        let account = |delivered| Account {
            delivered,
            ..Account::default()
        };
        meter.count(|metrics| metrics.account(&account(1)));
        let scrape = held(&total);
        meter.count(|metrics| metrics.account(&account(2)));
        assert_eq!(scrape.records.as_ref().unwrap().delivered, 1);
        drop(scrape);
        meter.count(|_| ());
        assert_eq!(held(&total).records.as_ref().unwrap().delivered, 2);
        assert!(meter.pending.is_empty());
    }
}
