//! Losses of records: what is not known of the states and changes any more.

use super::Migration;
use crate::correlate::report::Reporter;

impl Migration {
    /// Records were lost.
    pub(in crate::correlate) fn lose(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.forget_state(out, now);
        self.failed = None;
        self.data_left = None;
        let returned = self.returned.iter_mut().map(|(_, change)| change);
        for change in self.in_flight.iter_mut().chain(returned) {
            change.lossy = true;
        }
    }

    /// Faults, or reads and writes of migration data, may have been lost: sums are lower bounds.
    pub(in crate::correlate) fn lose_figures(&mut self) {
        let returned = self.returned.iter_mut().map(|(_, change)| change);
        for change in self.in_flight.iter_mut().chain(returned) {
            change.inside.lose();
        }
        self.tally().lose();
        self.data_left = None;
    }
}
