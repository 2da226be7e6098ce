//! When hooks did not fire, from the results of the self-test.

use remap_core::model::{Blind, BlindHooks};

use crate::live::silence::Silence;

/// What the self-test has shown so far.
#[derive(Debug)]
pub(super) struct Blindness {
    /// When every hook was last known to fire.
    fired_ns: u64,
    /// What does not fire, and since when.
    silence: Option<(Silence, u64)>,
}

impl Blindness {
    /// Hooks fired at `now_ns`.
    pub fn new(now_ns: u64) -> Self {
        Self {
            fired_ns: now_ns,
            silence: None,
        }
    }

    /// A test that began and ended at these times has shown this. Returns the time that ended with it,
    /// and the one that has begun.
    pub fn tested(
        &mut self,
        (begin_ns, end_ns): (u64, u64),
        now: Option<Silence>,
    ) -> impl Iterator<Item = Blind> + use<> {
        let before = self.silence;
        // While the switch is thrown back, hooks of one form may fire before the others, and the switch
        // may say so before any does: the time ends when all fire.
        let lasts = before.is_some_and(|(before, _)| {
            now.is_some_and(|now| before.hooks == BlindHooks::All || before.hooks == now.hooks)
        });
        let blind = |(Silence { hooks, cause }, since_ns), until_ns| Blind {
            since_ns,
            until_ns,
            hooks,
            cause,
        };
        let mut changes = [None, None];
        if !lasts {
            changes[0] = before.map(|before| blind(before, Some(end_ns)));
            let since_ns = if before.is_some() {
                begin_ns
            } else {
                self.fired_ns
            };
            self.silence = now.map(|silence| (silence, since_ns));
            changes[1] = self.silence.map(|silence| blind(silence, None));
        }
        if now.is_none() {
            self.fired_ns = begin_ns;
        }
        changes.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use remap_core::model::BlindCause;

    use super::*;

    const DISARMED: Silence = Silence {
        hooks: BlindHooks::Kprobe,
        cause: BlindCause::KprobesDisarmed,
    };
    const OFF: Silence = Silence {
        hooks: BlindHooks::All,
        cause: BlindCause::FtraceDisabled,
    };

    /// Tests at 10, 20, …, each of which takes 1; the spans and hooks that they report.
    fn reported(results: &[Option<Silence>]) -> Vec<(u64, Option<u64>, BlindHooks)> {
        let mut blindness = Blindness::new(5);
        let mut reported = Vec::new();
        for (begin_ns, result) in (10..).step_by(10).zip(results) {
            let changes = blindness.tested((begin_ns, begin_ns + 1), *result);
            reported.extend(changes.map(|blind| (blind.since_ns, blind.until_ns, blind.hooks)));
        }
        reported
    }

    #[test]
    fn it_begins_when_hooks_were_last_seen_to_fire() {
        assert_eq!(reported(&[None, None]), []);
        let silent = Some(DISARMED);
        assert_eq!(reported(&[silent]), [(5, None, BlindHooks::Kprobe)]);
        assert_eq!(
            reported(&[None, silent, silent, None, None]),
            [
                (10, None, BlindHooks::Kprobe),
                (10, Some(41), BlindHooks::Kprobe)
            ]
        );
    }

    #[test]
    fn it_ends_when_every_hook_fires() {
        let unknown = Silence {
            cause: BlindCause::Unknown,
            ..DISARMED
        };
        assert_eq!(
            reported(&[Some(OFF), Some(unknown), None]),
            [(5, None, BlindHooks::All), (5, Some(31), BlindHooks::All)]
        );
        assert_eq!(reported(&[Some(DISARMED), Some(unknown), None]).len(), 2);
    }

    #[test]
    fn more_silent_hooks_are_another_time() {
        assert_eq!(
            reported(&[Some(DISARMED), Some(OFF), None]),
            [
                (5, None, BlindHooks::Kprobe),
                (5, Some(21), BlindHooks::Kprobe),
                (20, None, BlindHooks::All),
                (20, Some(31), BlindHooks::All),
            ]
        );
    }
}
