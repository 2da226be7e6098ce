//! A state change from the entry of its call on, and the time that the driver waited in it.

use crate::correlate::change::Wait;
use crate::correlate::moment::Moment;
use crate::correlate::span::{Cover, Tally};
use crate::event::{DeviceState, Errno, Task};
use crate::model::{Spent, Transition, TransitionRef};

/// A state change in flight, or one that returned and is not decided.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct Change {
    pub(in crate::correlate) id: u64,
    pub(in crate::correlate) from: Option<DeviceState>,
    pub(in crate::correlate) to: Option<DeviceState>,
    pub(in crate::correlate) begin_ns: u64,
    pub(in crate::correlate) task: Task,
    /// When it returned, and what.
    pub(in crate::correlate) end: Option<(u64, Result<(), Errno>)>,
    /// Records were lost while it ran.
    pub(in crate::correlate) lossy: bool,
    pub(super) path: Vec<DeviceState>,
    pub(super) data_fd: Option<i32>,
    /// What happened meanwhile.
    pub(super) inside: Tally,
}

impl Change {
    /// How much is stored ([`crate::correlate::room`]).
    pub(super) fn room(&self) -> usize {
        64 + self.inside.room()
    }

    /// A change that begins at that moment.
    pub(super) fn new(id: u64, to: Option<DeviceState>, at: Moment<'_>) -> Self {
        Self {
            id,
            from: None,
            to,
            begin_ns: at.ns,
            task: at.task.clone(),
            end: None,
            lossy: false,
            path: Vec::new(),
            data_fd: None,
            inside: Tally::default(),
        }
    }

    /// What names it.
    pub(in crate::correlate) fn reference(&self) -> TransitionRef {
        TransitionRef {
            id: self.id,
            from: self.from,
            to: self.to,
            begin_ns: self.begin_ns,
        }
    }

    /// The errno that it failed with.
    pub(in crate::correlate) fn errno(&self) -> Option<Errno> {
        self.end.and_then(|(_, result)| result.err())
    }

    /// `waits`: the times in which the driver can have waited for user space.
    pub(super) fn finish(self, device: String, waits: &[Wait]) -> Transition {
        let returned = self.end.filter(|_| !self.lossy);
        let (mut waited_ns, mut spent) = (None, None);
        if let Some((end_ns, result)) = returned {
            let waited = waited(waits, end_ns, result.is_err());
            waited_ns = (!waits.is_empty()).then(|| waited.total());
            spent = self.spent(&waited, end_ns);
        }
        let end_ns = self.end.map(|(end_ns, _)| end_ns);
        Transition {
            id: self.id,
            device,
            from: self.from,
            to: self.to,
            begin_ns: self.begin_ns,
            end_ns,
            result: self.end.map(|(_, result)| result),
            waited_ns,
            path: self.path,
            data_fd: self.data_fd,
            inside: self.inside.activity(),
            spent,
            task: self.task,
        }
    }

    /// How a call that returned at `end_ns` spent its time.
    fn spent(&self, waited: &Cover, end_ns: u64) -> Option<Spent> {
        if self.inside.is_partial() {
            return None;
        }
        let duration = end_ns.checked_sub(self.begin_ns)?;
        let mut covered = Cover::default();
        let mut sum = 0;
        let mut more = |spans: &Cover| {
            for (begin, end) in spans.spans()? {
                covered.add(begin.max(self.begin_ns), end.min(end_ns));
            }
            let before = std::mem::replace(&mut sum, covered.total());
            Some(sum - before)
        };
        let remap_ns = more(waited)?;
        let data_ns = more(self.inside.data())?;
        let fault_ns = more(self.inside.faults())?;
        Some(Spent {
            remap_ns,
            data_ns,
            fault_ns,
            other_ns: duration.saturating_sub(sum),
        })
    }
}

/// The union of `waits` within a call that returned at `end_ns`. If the answer did not come before
/// that, a call that failed has waited until its end, and one that succeeded has not waited for it.
fn waited(waits: &[Wait], end_ns: u64, failed: bool) -> Cover {
    let mut cover = Cover::default();
    for wait in waits {
        match wait.until_ns.filter(|ns| *ns <= end_ns) {
            Some(until_ns) => cover.add(wait.trigger_ns, until_ns),
            None if failed => cover.add(wait.trigger_ns, end_ns),
            None => {}
        }
    }
    cover
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(trigger_ns: u64, until_ns: Option<u64>) -> Wait {
        Wait {
            trigger_ns,
            until_ns,
        }
    }

    #[test]
    fn overlapping_waits_count_once() {
        let waits = [wait(10, Some(30)), wait(20, Some(40)), wait(60, Some(70))];
        assert_eq!(waited(&waits, 100, false).total(), 40);
    }

    #[test]
    fn what_came_after_the_return_was_not_waited_for() {
        assert_eq!(waited(&[wait(10, Some(130))], 100, false).total(), 0);
        assert_eq!(waited(&[wait(10, None)], 100, false).total(), 0);
    }

    #[test]
    fn a_failed_change_waited_to_its_end() {
        assert_eq!(waited(&[wait(10, None)], 100, true).total(), 90);
    }
}
