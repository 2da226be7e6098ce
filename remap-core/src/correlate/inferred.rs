//! Eventfds that are only inferred to be a device's: what can be said of their signals.
//!
//! Nobody knows the IRQ's index or its encoding. A signal becomes a cycle when its reader asks
//! for the description of a region that the counter can name; nobody is accused of anything.

use std::collections::BTreeSet;
use std::ops::Range;

use super::ack::Acked;
use super::device::Device;
use super::open::Open;
use super::report::Desk;
use crate::event::{ContextKey, Event, Origin, UNKNOWN_INDEX};
use crate::model::{Ack, Inferred, Stage, Stamp, TransitionRef};
use crate::parse::irq::Encoding;

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
    /// Whether `pid` has read it, and has not asked for `region` because of it.
    fn awaits(&self, pid: u32, region: u32) -> bool {
        let woke = self.wake.as_ref().is_some_and(|wake| wake.task.pid == pid);
        woke && !self.regions.contains(&region)
    }

    /// Whether it names `region` by its bit. A 1 may also say no more than that there was a
    /// signal.
    fn has_bit(&self, region: u32) -> bool {
        self.addend != 1 && self.addend & 1_u64.checked_shl(region).unwrap_or(0) != 0
    }

    /// Whether it only says that there was a signal, and nobody knows of which region.
    fn is_bare(&self) -> bool {
        self.addend == 1 && self.regions.is_empty()
    }
}

/// Such an eventfd.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    origin: Origin,
    /// The region that it is for, where that was beyond doubt once.
    region: Option<u32>,
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
        let guess = Guess {
            origin,
            region: None,
            triggers: Vec::new(),
        };
        self.guesses.insert(context, guess);
        let what = match origin {
            Origin::ReadBeforeRequery => {
                "its reader next asked again for the description of a region that it named"
            }
            _ => "a thread inside of a call on the device signalled it",
        };
        let text = format!(
            "an eventfd that no SET_IRQS of this trace named is taken for the device's: {what}"
        );
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
        let pid = event.task.pid;
        let mut opened = Vec::new();
        for guess in self.guesses.values_mut() {
            for trigger in &mut guess.triggers {
                if trigger.awaits(pid, region) && trigger.has_bit(region) {
                    trigger.regions.insert(region);
                    opened.extend(open(guess.origin, trigger, region));
                }
            }
        }
        opened.extend(self.claim_bare(pid, region));
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

    /// The signal without a name that the description of `region` is the answer to: of the
    /// eventfd that was for this region before, or the one that was read first.
    fn claim_bare(&mut self, pid: u32, region: u32) -> Option<Open> {
        let bare = |trigger: &Trigger| trigger.is_bare() && trigger.awaits(pid, region);
        let answered = |trigger: &Trigger| trigger.addend == 1 && trigger.regions.contains(&region);
        let mut guesses = self.guesses.values();
        // It is asked for twice, the first time for the size of the answer.
        if guesses.any(|guess| guess.triggers.iter().any(answered)) {
            return None;
        }
        let mut waiting: Vec<(bool, u64, ContextKey)> = self
            .guesses
            .iter()
            .filter(|(_, guess)| guess.region.is_none_or(|known| known == region))
            .filter_map(|(context, guess)| {
                let trigger = guess.triggers.iter().find(|trigger| bare(trigger))?;
                let wake_ns = trigger.wake.as_ref()?.ns;
                Some((guess.region.is_none(), wake_ns, *context))
            })
            .collect();
        waiting.sort_unstable();
        let (_, _, context) = waiting.first()?;
        let guess = self.guesses.get_mut(context)?;
        if waiting.len() == 1 {
            guess.region = Some(region);
        }
        let trigger = guess.triggers.iter_mut().find(|trigger| bare(trigger))?;
        trigger.regions.insert(region);
        open(guess.origin, trigger, region)
    }

    /// Whatever could be the ack of such an eventfd; `subs`: an unmask of these sub-indexes.
    pub(super) fn guess_ack(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        begin_ns: u64,
        subs: Option<Range<u32>>,
        ack: Ack,
    ) {
        if self.guesses.is_empty() {
            return;
        }
        let waiting = |cycle: &Open| cycle.irq_index == UNKNOWN_INDEX && !cycle.acked();
        let acked = Acked {
            index: UNKNOWN_INDEX,
            // Which sub-index is whose is only a question where several wait.
            subs: subs.filter(|_| self.places(waiting).len() > 1),
            ack,
            begin_ns,
            end_ns: event.time_ns,
            task: &event.task,
        };
        self.acknowledge(desk, &acked);
    }
}

/// A cycle of such an eventfd.
fn open(origin: Origin, trigger: &Trigger, region: u32) -> Option<Open> {
    let wake = trigger.wake.as_ref()?;
    let signal = &trigger.signal;
    let mut open = Open::new(
        UNKNOWN_INDEX,
        Encoding::Vectors,
        region,
        trigger.id,
        signal.ns,
        &signal.task,
    );
    open.origin = origin;
    open.transition = trigger.transition;
    open.awaited = trigger.transition.is_some();
    open.blamed = true;
    open.wake(wake.ns, &wake.task);
    Some(open)
}
