//! The thread that drives a device through its states, while the service answers on another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vfio_bindings::bindings::vfio::VFIO_REGION_INFO_FLAG_READ;

use crate::respond::apply::Maps;
use crate::respond::migrate::{Migration, is_saving};
use crate::respond::progress::{Progress, lock};
use crate::respond::report::Totals;
use crate::respond::verdict::{Line, StateChange, Verdict, nanoseconds};
use crate::vfio::device::Device;
use crate::vfio::error::Error;
use remap_core::event::{DeviceState, Errno};
use remap_core::parse::region::Region;

/// How long the service may take to answer triggers that the driver does not wait for.
const SETTLE: Duration = Duration::from_secs(1);

/// A drill ends after this many failed cycles in a row.
const MAX_FAILED: u64 = 3;

/// The current step of the drive, for the watch that detects a hang.
#[derive(Debug, Default)]
pub struct Step(Mutex<Option<(Instant, String)>>);

impl Step {
    fn begin(&self, what: String) {
        *lock(&self.0) = Some((Instant::now(), what));
    }

    fn end(&self) {
        *lock(&self.0) = None;
    }

    /// The current step, if it has taken longer than `limit`.
    pub fn stuck(&self, limit: Duration) -> Option<String> {
        let step = lock(&self.0);
        step.as_ref()
            .filter(|(since, _)| since.elapsed() > limit)
            .map(|(_, what)| what.clone())
    }
}

/// The drive.
pub struct Drive {
    /// The device.
    pub device: Arc<Device>,
    /// Its migration.
    pub migration: Migration,
    /// The states of each cycle; the last is RUNNING.
    pub states: Vec<DeviceState>,
    /// The regions that its driver may name in a trigger.
    pub regions: Vec<u32>,
    /// The service's mappings.
    pub maps: Arc<Mutex<Maps>>,
    /// The totals of the service.
    pub progress: Arc<Progress>,
    /// The current step.
    pub step: Arc<Step>,
    /// Set to end it early.
    pub stop: Arc<AtomicBool>,
    /// Takes its lines.
    pub lines: Sender<Line>,
    /// Its result so far.
    pub verdict: Verdict,
}

/// The current cycle.
struct Cycle {
    number: u64,
    at: DeviceState,
    /// The state data of this cycle.
    stream: Vec<u8>,
    /// Triggers that entering a saving state took: leaving it takes as many.
    entered: u64,
}

impl Drive {
    /// Runs the cycles. Leaves the device RUNNING if it can.
    pub fn run(mut self) -> Verdict {
        let mut failed = 0;
        for number in 1..=self.verdict.asked {
            if self.stopped() {
                break;
            }
            if self.cycle(number) {
                self.verdict.cycles += 1;
                failed = 0;
            } else {
                failed += 1;
                self.recover(number);
            }
            if failed == MAX_FAILED {
                self.fail(
                    number,
                    format!("gave up after {MAX_FAILED} failed cycles in a row"),
                );
                break;
            }
        }
        self.verdict
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn fail(&mut self, cycle: u64, text: String) {
        self.verdict.failures += 1;
        // The verdict counts the failure even if the channel is closed.
        let _ = self.lines.send(Line::Failure { cycle, text });
    }

    fn recover(&mut self, cycle: u64) {
        self.step.begin("the return to RUNNING".to_owned());
        let recovered = self.migration.recover();
        self.step.end();
        if let Err(error) = recovered {
            self.fail(cycle, format!("the device is not RUNNING again: {error}"));
        }
    }

    /// Runs one cycle. Returns whether all of it succeeded.
    fn cycle(&mut self, number: u64) -> bool {
        let mut cycle = Cycle {
            number,
            at: DeviceState::Running,
            stream: Vec::new(),
            entered: 0,
        };
        let failures = self.verdict.failures;
        for to in self.states.clone() {
            if to == cycle.at {
                continue;
            }
            if let Err(text) = self.go(&mut cycle, to) {
                self.fail(number, text);
            }
            if self.verdict.failures > failures {
                return false;
            }
            if self.stopped() {
                // Incomplete, but not a failure: return to RUNNING as after a failure.
                return false;
            }
        }
        true
    }

    /// Enters the next state, and does the work of that state.
    fn go(&mut self, cycle: &mut Cycle, to: DeviceState) -> Result<(), String> {
        let from = cycle.at;
        let before = self.progress.totals();
        if is_saving(to) && !is_saving(from) {
            cycle.stream.clear();
        }
        self.change(cycle, to)?;
        cycle.at = to;
        if is_saving(from) != is_saving(to) {
            self.settle(cycle, &before, is_saving(to));
            self.check(cycle.number);
        }
        let named = self.migration.named(to);
        let data = |error: Error| format!("in {named}: {error}");
        if is_saving(to) {
            let had = cycle.stream.len();
            self.migration.read(&mut cycle.stream).map_err(data)?;
            self.verdict.saved_bytes += (cycle.stream.len() - had) as u64;
        }
        if to == DeviceState::Resuming && !cycle.stream.is_empty() {
            self.migration.write(&cycle.stream).map_err(data)?;
        }
        if from == DeviceState::Resuming {
            // The driver verifies the data when it leaves RESUMING.
            self.verdict.verified_bytes += cycle.stream.len() as u64;
        }
        Ok(())
    }

    /// The state change itself.
    fn change(&mut self, cycle: &Cycle, to: DeviceState) -> Result<(), String> {
        let (from, named) = (self.migration.named(cycle.at), self.migration.named(to));
        self.step.begin(format!("{from} → {named}"));
        let begin = Instant::now();
        let result = self.migration.set(to);
        let to = named;
        let took = begin.elapsed();
        self.step.end();
        self.verdict.change(from, to, took, result.is_ok());
        let change = StateChange {
            cycle: cycle.number,
            from: from.to_string(),
            to: to.to_string(),
            took_ns: nanoseconds(took),
            result: match &result {
                Ok(()) => "ok".to_owned(),
                Err(error) => error
                    .errno()
                    .map_or(error.to_string(), |errno| errno.to_string()),
            },
        };
        let _ = self.lines.send(Line::State(change));
        result.map_err(|error| format!("{from} → {to}: {error}{}", advice(&error)))
    }

    /// Waits until the service has answered the triggers of the change.
    fn settle(&self, cycle: &mut Cycle, before: &Totals, entering: bool) {
        let due = if entering { 0 } else { cycle.entered };
        let (totals, _) = self.progress.wait(SETTLE, |now| {
            now.triggers >= before.triggers + due && now.acks == now.triggers
        });
        if entering {
            cycle.entered = totals.triggers - before.triggers;
        }
    }

    /// Reads a word through every mapping, and one through the device file of every region with an
    /// area that may not be mapped: the device must answer both.
    fn check(&mut self, cycle: u64) {
        let maps = Arc::clone(&self.maps);
        let maps = lock(&maps);
        let mut failures = Vec::new();
        for mapping in maps.mappings() {
            match mapping.probe_u32(0) {
                Ok(_) => self.verdict.checks.mapped += 1,
                Err(error) => failures.push(format!(
                    "reading region {} at {:#x} through its mapping failed: {}",
                    mapping.region(),
                    mapping.area().offset,
                    Errno::of(&error)
                )),
            }
        }
        let named = maps
            .regions()
            .filter(|region| self.regions.contains(&region.index));
        for region in named.filter(|region| region.flags & VFIO_REGION_INFO_FLAG_READ != 0) {
            let Some(offset) = first_gap(region) else {
                continue;
            };
            match self.device.read(region, offset, &mut [0; 4]) {
                Ok(()) => self.verdict.checks.trapped += 1,
                Err(error) => failures.push(error.to_string()),
            }
        }
        drop(maps);
        for text in failures {
            self.verdict.checks.failed += 1;
            self.fail(cycle, text);
        }
    }
}

/// The offset of the first area of a region that may not be mapped, bytes.
fn first_gap(region: &Region) -> Option<u64> {
    let end = region.areas.iter().fold(0, |end, area| {
        if area.offset == end {
            area.offset + area.size
        } else {
            end
        }
    });
    (end < region.size).then_some(end)
}

/// The meaning of an errno of a state change in the protocol.
fn advice(error: &Error) -> &'static str {
    match error.errno() {
        Some(Errno(libc::ETIMEDOUT)) => {
            "; a trigger was not answered in time, or a forbidden mapping remained"
        }
        Some(Errno(libc::ENODEV)) => "; the driver requires that the remap IRQ is enabled",
        Some(Errno(libc::ECANCELED)) => "; the driver stopped waiting: the IRQ was disabled",
        _ => "",
    }
}
