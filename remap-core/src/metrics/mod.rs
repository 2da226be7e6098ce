//! What a trace has counted so far, as the engine of a fleet asks for it: OpenMetrics.
//!
//! [`Metered`] counts outputs before any of them is withheld, so the sums are those of the summary.
//! Series are bounded as the sums of the summary are (`model/stats/room`): what has no room is counted.

mod device;
mod histogram;
mod meter;
mod sink;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use remap_common::counter::Counter;

pub use histogram::Histogram;
pub use meter::Meter;
pub use sink::Metered;
pub use text::{Exposition, Own};

use crate::{
    account::{Account, PROBE_MISSED, RECURSION},
    event::{Event, UNKNOWN_INDEX},
    model::{Blind, Output},
};
use device::Device;

/// So many devices have series.
const DEVICES: usize = 1024;
/// So many histograms in all: the text of one has 3 kB.
const HISTOGRAMS: usize = 8192;
/// So many counters in all.
const COUNTERS: usize = 16_384;

/// The series in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rows {
    histograms: usize,
    counters: usize,
}

/// What had no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Beyond {
    /// Values whose series had no room.
    values: u64,
    /// Devices whose series were removed for those of another one.
    devices: u64,
}

/// Records, as the account has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Records {
    seen: Option<u64>,
    delivered: u64,
    lost: BTreeMap<String, u64>,
}

/// What a trace has counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    devices: BTreeMap<String, Device>,
    rows: Rows,
    beyond: Beyond,
    /// Counts the uses of devices.
    clock: u64,
    /// `None` if there is no news of it.
    records: Option<Records>,
    /// Whether hooks do not fire; `None` if there is no news of it.
    blind: Option<bool>,
}

impl Metrics {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
            && self.beyond == Beyond::default()
            && self.records.is_none()
            && self.blind.is_none()
    }

    /// Counts an output.
    pub fn output(&mut self, output: &Output) {
        match output {
            Output::Cycle(cycle) => {
                self.of(&cycle.device, |device, room| device.cycle(cycle, room))
            }
            Output::Transition(change) => {
                self.of(&change.device, |device, room| device.change(change, room));
            }
            Output::Interrupt(interrupt) => self.of(&interrupt.device, |device, room| {
                device.interrupt(interrupt, room);
            }),
            Output::Finding(finding) => self.of(&finding.device, |device, room| {
                device.finding(finding.rule(), room);
            }),
            Output::Opened(opened) => self.of(&opened.device, |device, _| device.closed = false),
            Output::Closed(closed) => self.of(&closed.device, |device, _| device.closed = true),
            Output::StateInterval(_)
            | Output::Zap(_)
            | Output::Stage(_)
            | Output::IrqChange(_)
            | Output::Mapped(_)
            | Output::Inferred(_)
            | Output::InFlightCall(_) => {}
        }
    }

    /// Counts a call on `device` that returned.
    pub fn event(&mut self, event: &Event, device: &str) {
        if let Some((call, errno)) = device::returned(&event.body) {
            self.of(device, |device, room| device.call(call, errno, room));
        }
    }

    /// Takes the account so far.
    pub fn account(&mut self, account: &Account) {
        self.records = Some(Records {
            seen: account.seen,
            delivered: account.delivered,
            lost: account.lost.clone(),
        });
    }

    /// Hooks do not fire, or fire again.
    pub fn blind(&mut self, blind: &Blind) {
        self.blind = Some(blind.until_ns.is_none());
    }

    /// Adds what another one has counted since.
    pub fn merge(&mut self, other: Self) {
        for (name, counted) in other.devices {
            self.of(&name, |device, room| device.merge(counted, room));
        }
        self.beyond.values += other.beyond.values;
        self.beyond.devices += other.beyond.devices;
        self.records = other.records.or(self.records.take());
        self.blind = other.blind.or(self.blind);
    }

    /// Counts something of a device.
    fn of(&mut self, name: &str, count: impl FnOnce(&mut Device, &mut Room)) {
        if !self.devices.contains_key(name) {
            if self.devices.len() >= DEVICES {
                self.evict(|_| true);
            } else if self.rows.counters >= COUNTERS || self.rows.histograms >= HISTOGRAMS {
                // A device that is not in use any more.
                self.evict(|device| device.closed);
            }
        }
        self.clock += 1;
        let device = self.devices.entry(name.to_owned()).or_default();
        device.used = self.clock;
        let mut room = Room {
            rows: &mut self.rows,
            beyond: &mut self.beyond,
        };
        count(device, &mut room);
    }

    /// Removes the series of the device that was not used for the longest time.
    fn evict(&mut self, may: impl Fn(&Device) -> bool) {
        let oldest = self.devices.iter().filter(|(_, device)| may(device));
        let oldest = oldest.min_by_key(|(_, device)| device.used);
        let Some(name) = oldest.map(|(name, _)| name.clone()) else {
            return;
        };
        if let Some(device) = self.devices.remove(&name) {
            let rows = device.rows();
            self.rows.histograms -= rows.histograms;
            self.rows.counters -= rows.counters;
            self.beyond.devices += 1;
        }
    }
}

/// Room for further series.
struct Room<'a> {
    rows: &'a mut Rows,
    beyond: &'a mut Beyond,
}

impl Room<'_> {
    /// The histogram of a key; `None` without room.
    fn histogram<'m, K: Ord>(
        &mut self,
        of: &'m mut BTreeMap<K, Histogram>,
        key: K,
    ) -> Option<&'m mut Histogram> {
        row(
            of,
            key,
            (&mut self.rows.histograms, HISTOGRAMS),
            self.beyond,
        )
    }

    /// Adds to the counter of a key.
    fn add<K: Ord>(&mut self, of: &mut BTreeMap<K, u64>, key: K, count: u64) {
        let row = row(of, key, (&mut self.rows.counters, COUNTERS), self.beyond);
        if let Some(sum) = row {
            *sum = sum.saturating_add(count);
        }
    }
}

fn row<'m, K: Ord, V: Default>(
    of: &'m mut BTreeMap<K, V>,
    key: K,
    (used, most): (&mut usize, usize),
    beyond: &mut Beyond,
) -> Option<&'m mut V> {
    if !of.contains_key(&key) {
        if *used >= most {
            beyond.values += 1;
            return None;
        }
        *used += 1;
    }
    Some(of.entry(key).or_default())
}

/// Every reason for which records are lost.
fn reasons() -> impl Iterator<Item = &'static str> {
    let counted = Counter::ALL.into_iter().filter_map(Counter::loss);
    let others = ["unfinished", "undecodable", "unread"];
    counted.chain([RECURSION, PROBE_MISSED]).chain(others)
}

/// An IRQ index as a label: empty where it is not known.
fn index_label(index: u32) -> String {
    match index {
        UNKNOWN_INDEX => String::new(),
        index => index.to_string(),
    }
}
