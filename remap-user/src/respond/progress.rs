//! The totals of a service, for a thread that waits for them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::respond::report::Totals;

/// The totals of a service, for a thread that waits for them.
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

    /// Waits until `reached`, for at most `limit`. Returns the totals, and whether it was reached.
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

    /// Changes the totals, and wakes the threads that wait for them.
    pub(super) fn add(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut lock(&self.totals));
        self.changed.notify_all();
    }
}

/// Locks, ignoring poison: the data stays valid when a thread panics, since the kernel holds the
/// state of the device.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_reached_or_times_out() {
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
