//! What a service has done so far, for a thread that waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::respond::report::Totals;

/// What a service has done, for a thread that waits for it.
#[derive(Debug, Default)]
pub struct Progress {
    totals: Mutex<Totals>,
    changed: Condvar,
}

impl Progress {
    /// The totals so far.
    pub fn totals(&self) -> Totals {
        *lock(&self.totals)
    }

    /// Waits until `reached`, `limit` at most. Gives the totals, and whether it was reached.
    pub fn wait(&self, limit: Duration, reached: impl Fn(&Totals) -> bool) -> (Totals, bool) {
        let end = Instant::now() + limit;
        let mut totals = lock(&self.totals);
        while !reached(&totals) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (*totals, false);
            }
            let waited = self.changed.wait_timeout(totals, left);
            totals = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        (*totals, true)
    }

    /// Changes the totals, and wakes who waits for them.
    pub(super) fn add(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut lock(&self.totals));
        self.changed.notify_all();
    }
}

/// A lock whose holder panicked still protects what is true: the kernel keeps the rest.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_and_who_waits_in_vain_comes_back() {
        let progress = std::sync::Arc::new(Progress::default());
        let other = std::sync::Arc::clone(&progress);
        let adds = std::thread::spawn(move || other.add(|totals| totals.acks = 1));
        let (totals, reached) = progress.wait(Duration::from_secs(60), |now| now.acks == 1);
        assert_eq!((totals.acks, reached), (1, true));
        adds.join().unwrap();
        let (_, reached) = progress.wait(Duration::from_millis(1), |now| now.acks == 2);
        assert!(!reached);
    }
}
