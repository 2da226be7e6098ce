//! Eventfds that are only inferred to be a device's: what can be said of their signals.
//!
//! Nobody knows the IRQ's index or its encoding. A signal becomes a cycle when its reader asks
//! for the description of a region that the counter can name; nobody is accused of anything.

use std::collections::BTreeSet;

use super::ack::Acked;
use super::cycle::{Ack, Stage, Stamp};
use super::device::Device;
use super::open::Open;
use super::report::Desk;
use super::transition::TransitionRef;
use super::usage::Inferred;
use crate::event::{ContextKey, Event, Origin, UNKNOWN_INDEX};
use crate::vfio::irq::Encoding;

/// How many signals of one eventfd wait for their reader.
const WAITING: usize = 64;

/// A signal of such an eventfd.
#[derive(Clone, Debug)]
struct Trigger {
    id: u64,
    signal: Stamp,
    addend: u64,
    transition: Option<TransitionRef>,
    wake: Option<Stamp>,
    /// The regions that became a cycle.
    regions: BTreeSet<u32>,
}

impl Trigger {
    /// Whether it can name `region`: by its bit, or, where the counter only says that there was a
    /// signal, any.
    fn names(&self, region: u32) -> bool {
        let bit = 1_u64.checked_shl(region).unwrap_or(0);
        self.addend == 1 || self.addend & bit != 0
    }
}

/// Such an eventfd.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    origin: Origin,
    triggers: Vec<Trigger>,
}

impl Guess {
    /// Records were lost.
    pub(super) fn lose(&mut self) {
        self.triggers.clear();
    }
}

impl Device {
    /// An eventfd is inferred to be the device's.
    pub(super) fn infer(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        context: ContextKey,
        origin: Origin,
    ) {
        let what = match origin {
            // In low power the device signals nothing; the kernel does, when it ends.
            Origin::SignalledInside if self.sleeps() => {
                "the wakeup eventfd of LOW_POWER_ENTRY_WITH_WAKEUP: it was signalled in low power"
            }
            _ => {
                let triggers = Vec::new();
                self.guesses.insert(context, Guess { origin, triggers });
                match origin {
                    Origin::ReadBeforeRequery => {
                        "the device's: its reader next asked again for the description of a \
                         region that it named"
                    }
                    _ => "the device's: a thread inside of a call on the device signalled it",
                }
            }
        };
        let text = format!("an eventfd that no SET_IRQS of this trace named is taken for {what}");
        desk.inferred(Inferred {
            device: self.name.clone(),
            time_ns: event.time_ns,
            origin,
            text,
            task: event.task.clone(),
        });
    }

    /// It is signalled.
    pub(super) fn guess_signal(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        context: ContextKey,
        addend: u64,
    ) {
        let transition = self.change_of(&event.task).map(|change| change.reference());
        let Some(guess) = self.guesses.get_mut(&context) else {
            return;
        };
        if guess.triggers.len() >= WAITING {
            guess.triggers.remove(0);
        }
        guess.triggers.push(Trigger {
            id: desk.next_trigger(),
            signal: Stamp {
                ns: event.time_ns,
                task: event.task.clone(),
            },
            addend,
            transition,
            wake: None,
            regions: BTreeSet::new(),
        });
    }

    /// It is read.
    pub(super) fn guess_read(&mut self, event: &Event, context: ContextKey) {
        let Some(guess) = self.guesses.get_mut(&context) else {
            return;
        };
        // What was read before was answered by now, or never will be.
        guess.triggers.retain(|trigger| trigger.wake.is_none());
        for trigger in &mut guess.triggers {
            trigger.wake = Some(Stamp {
                ns: event.time_ns,
                task: event.task.clone(),
            });
        }
    }

    /// A region's description was asked for: the signals that this can be the answer to become
    /// cycles.
    pub(super) fn guess_requery(&mut self, desk: &mut Desk, event: &Event, region: u32) {
        let mut opened = Vec::new();
        for guess in self.guesses.values_mut() {
            for trigger in &mut guess.triggers {
                let Some(wake) = &trigger.wake else {
                    continue;
                };
                let answers = wake.task.pid == event.task.pid && trigger.names(region);
                if !answers || !trigger.regions.insert(region) {
                    continue;
                }
                let (encoding, signal) = (Encoding::Bitmap, &trigger.signal);
                let mut open = Open::new(
                    UNKNOWN_INDEX,
                    encoding,
                    region,
                    trigger.id,
                    signal.ns,
                    &signal.task,
                );
                open.origin = guess.origin;
                open.transition = trigger.transition;
                open.awaited = trigger.transition.is_some();
                open.blamed = true;
                open.wake(wake.ns, &wake.task);
                opened.push(open);
            }
        }
        for mut open in opened {
            if let Some(facts) = self.regions.get(&region)
                && let Some((view, view_ns)) = &facts.view
            {
                open.before = Some(view.clone());
                open.before_ns = Some(*view_ns);
            }
            self.cycles.push(open);
            let at = self.cycles.len() - 1;
            self.observed(desk, at, Stage::Trigger);
            self.observed(desk, at, Stage::Wake);
        }
    }

    /// Whatever could be the ack of such an eventfd.
    pub(super) fn guess_ack(&mut self, desk: &mut Desk, event: &Event, begin_ns: u64, ack: Ack) {
        if self.guesses.is_empty() {
            return;
        }
        let acked = Acked {
            index: UNKNOWN_INDEX,
            subs: None,
            ack,
            begin_ns,
            end_ns: event.time_ns,
            task: &event.task,
        };
        self.acknowledge(desk, &acked);
    }
}
