//! From records to outputs: decode → order → correlate → sink. The live view and any later
//! replay are this, on two sources.

mod blindness;
mod owners;
mod registry;
mod scope;
#[cfg(test)]
mod tests;
mod vmm;

use std::io;

pub use owners::VmNames;
pub use scope::Filter;

use crate::{
    account::{Account, Loss, Taken},
    correlate::{Correlator, Options},
    decode::decode,
    event::{Answer, Body, Call, Event, Exit, Lost, Task},
    model::{Output, Summary, Withheld},
    order::{Order, SLACK_NS},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, log::LogAccount},
};
pub(crate) use blindness::Blindness;
use owners::Owners;
use registry::Registry;
use scope::{Admission, Scope};
use vmm::Vmm;

/// How long after an event the correlation may still emit something without a further event, ns: longer than
/// [`Options::stuck_ns`], [`Options::settle_ns`] and the slack of the order together.
pub(crate) const SETTLE_NS: u64 = 1_500_000_000;

/// So many events wait at most for a watermark before a source must not wait for one any longer.
pub(crate) const MANY: usize = 4096;

/// So many losses of different devices and kinds are distinguished at a time: more than the programs do.
const DOUBTS: usize = 256;

/// The event of a loss of records.
fn loss(time_ns: u64, lost: Lost) -> Event {
    let task = Task {
        pid: 0,
        tid: 0,
        comm: String::new(),
    };
    Event {
        time_ns,
        cpu: 0,
        task,
        body: Body::Lost(lost),
    }
}

/// Whether a part of the event could not be read: then the correlation misses something, as if a
/// record had been lost.
fn is_unreadable(event: &Event) -> bool {
    matches!(
        &event.body,
        Body::Enter {
            call: Call::Unreadable { .. },
            ..
        } | Body::Exit(Exit {
            answer: Answer::Unreadable,
            ..
        })
    )
}

/// All stages that a record passes.
pub struct Pipeline<S> {
    order: Order<Event>,
    correlator: Correlator,
    sink: S,
    show_events: bool,
    owners: Owners,
    names: Registry,
    scope: Scope,
    /// Where the VMMs' logs are read.
    vmm: Option<Vmm>,
    watermark_ns: u64,
    /// The time of the latest record that was taken.
    latest_ns: u64,
    /// Until then the correlation may emit something without a further event.
    busy_until_ns: u64,
    /// Losses whose time is not exactly known, until everything within it was passed on.
    doubts: Vec<Loss>,
    /// Records that could not be decoded or came late, as far as they are reported as a loss.
    unusable: u64,
    delivered: u64,
    undecodable: u64,
    blind: Blindness,
}

impl<S: Sink> Pipeline<S> {
    /// An empty one. With `show_events` every event goes to the sink too. `vm_names` is asked
    /// about each process that uses a device.
    pub fn new(
        options: Options,
        filter: Filter,
        vm_names: VmNames,
        show_events: bool,
        sink: S,
    ) -> Self {
        Self {
            order: Order::default(),
            correlator: Correlator::new(options),
            sink,
            show_events,
            owners: Owners::new(vm_names),
            names: Registry::default(),
            scope: Scope::new(filter),
            vmm: None,
            watermark_ns: 0,
            latest_ns: 0,
            busy_until_ns: 0,
            doubts: Vec::new(),
            unusable: 0,
            delivered: 0,
            undecodable: 0,
            blind: Blindness::default(),
        }
    }

    /// Takes one record, in the order of the source.
    pub fn record(&mut self, bytes: &[u8]) {
        match decode(bytes) {
            Ok(event) => {
                self.delivered += 1;
                self.latest_ns = self.latest_ns.max(event.time_ns);
                self.observed(event);
            }
            Err(_) => self.undecodable += 1,
        }
    }

    /// Takes what was observed by other means than the probes.
    pub fn observed(&mut self, event: Event) {
        if let Some(mut owner) = self.owners.before(&event) {
            owner.time_ns = self.order.in_time(owner.time_ns);
            self.order.push(owner.time_ns, owner);
        }
        self.order.push(event.time_ns, event);
    }

    /// Expects checkpoints: keeps the calls that they are compared with.
    #[must_use]
    pub fn with_logs(mut self) -> Self {
        self.vmm = Some(Vmm::default());
        self
    }

    /// Takes a point of a migration from a VMM's log, after [`Self::with_logs`]. What was
    /// before a watermark must come before the call of [`Self::advance`] with it.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        if let Some(vmm) = &mut self.vmm {
            vmm.push(checkpoint);
        }
    }

    /// What was read of the VMMs' logs, before [`Self::finish`].
    pub fn logs(&mut self, accounts: Vec<LogAccount>) {
        if let Some(vmm) = &mut self.vmm {
            vmm.accounts = accounts;
        }
    }

    /// Takes the account so far.
    pub fn account(&mut self, so_far: &dyn Fn() -> Account) {
        self.sink.account(so_far);
    }

    /// Records taken so far.
    pub fn taken(&self) -> Taken {
        Taken {
            delivered: self.delivered,
            undecodable: self.undecodable,
        }
    }

    /// Whether no event waits for a later one, so that nothing new comes without one.
    pub fn is_idle(&self) -> bool {
        self.order.is_empty() && self.watermark_ns >= self.busy_until_ns && self.doubts.is_empty()
    }

    /// The time of the latest record: while more records wait in the source, the watermark (its
    /// records are in order but for [`SLACK_NS`]).
    pub fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// Whether so many events wait that the source must use [`Self::latest_ns`] as the watermark.
    pub fn is_full(&self) -> bool {
        self.order.len() >= MANY
    }

    /// Takes what has been lost since the last call, before the next [`Self::advance`]. A loss is put
    /// before everything within its time that has not been passed on yet, and after each event of its
    /// device there: what is stored from one may not hold at the next.
    pub fn losses(&mut self, losses: impl IntoIterator<Item = Loss>) {
        for lost in losses {
            let time_ns = self.order.in_time(lost.from_ns);
            let body = Lost {
                count: lost.count,
                records: lost.records,
                device: lost.device(),
            };
            self.order.push(time_ns, loss(time_ns, body));
            let mut doubts = self.doubts.iter_mut();
            match doubts.find(|doubt| doubt.continues(&lost)) {
                Some(doubt) => doubt.until_ns = doubt.until_ns.max(lost.until_ns),
                None => self.doubts.push(lost),
            }
            self.merge_doubts();
        }
    }

    /// Too many doubts: one of any records about any device takes their place.
    fn merge_doubts(&mut self) {
        if self.doubts.len() > DOUBTS {
            let from_ns = self.doubts.iter().map(|doubt| doubt.from_ns).min();
            let until_ns = self.doubts.iter().map(|doubt| doubt.until_ns).max();
            let all = (from_ns.unwrap_or(0), until_ns.unwrap_or(u64::MAX));
            self.doubts = vec![Loss::any(0, all)];
        }
    }

    /// Records that could not be decoded, and those that came late: they were needed earlier, which is
    /// as bad as a loss.
    fn lose_unusable(&mut self, watermark_ns: u64) {
        let unusable = self.undecodable + self.order.late();
        let count = unusable - std::mem::replace(&mut self.unusable, unusable);
        if count > 0 {
            let from_ns = self.watermark_ns.saturating_sub(SLACK_NS);
            self.losses([Loss::any(count, (from_ns, watermark_ns))]);
        }
    }

    /// Passes on what is complete up to the watermark (CLOCK_MONOTONIC ns).
    ///
    /// # Errors
    /// What the sink's writer returns.
    pub fn advance(&mut self, watermark_ns: u64) -> io::Result<()> {
        self.lose_unusable(watermark_ns);
        self.watermark_ns = watermark_ns;
        let mut ready = Vec::new();
        self.order.release(watermark_ns, |event| ready.push(event));
        for event in &ready {
            self.event(event)?;
        }
        let now_ns = watermark_ns.saturating_sub(SLACK_NS);
        self.doubts.retain(|doubt| doubt.until_ns > now_ns);
        let outputs = self.correlator.advance(now_ns);
        self.write(&outputs)?;
        if let Some(vmm) = &mut self.vmm {
            vmm.advance(now_ns, &mut self.sink)?;
        }
        self.sink.flush()
    }

    /// Ends the trace at `end_ns` (CLOCK_MONOTONIC) with the final account, and writes the
    /// summary.
    ///
    /// # Errors
    /// What the sink's writer returns.
    pub fn finish(mut self, end_ns: u64, account: &Account) -> io::Result<Summary> {
        self.lose_unusable(end_ns);
        let mut rest = Vec::new();
        self.order.finish(|event| rest.push(event));
        for event in &rest {
            self.event(event)?;
        }
        let outputs = self.correlator.finish(end_ns);
        self.write(&outputs)?;
        if let Some(vmm) = &mut self.vmm {
            vmm.finish(end_ns, &mut self.sink)?;
        }
        if let Some(blind) = self.blind.end(end_ns) {
            self.sink.blind(&blind)?;
        }
        let stats = self.correlator.into_stats();
        let summary = Summary {
            seen: account.seen,
            delivered: account.delivered,
            lost: account.lost.clone(),
            skipped: account.skipped,
            missed: account.missed.clone(),
            evicted: stats.evicted(),
            blind: self.blind.ended,
            stats,
            exported: None,
            withheld: Withheld {
                records: self.scope.left_out(),
                ..Withheld::default()
            },
            logs: self.vmm.map(|vmm| vmm.accounts).unwrap_or_default(),
        };
        self.sink.summary(&summary)?;
        Ok(summary)
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Some(vmm) = &mut self.vmm {
            vmm.until(event.time_ns, &mut self.sink)?;
        }
        self.busy_until_ns = event.time_ns.saturating_add(SETTLE_NS);
        self.names.record(event);
        if let Body::Owner { pid, vm } = &event.body {
            self.sink.owner(*pid, vm.as_deref());
        }
        match self.scope.admit(&self.names, event) {
            Admission::No => return Ok(()),
            Admission::Yes => {}
            Admission::After(known) => self.pass_on(&known)?,
        }
        self.pass_on(event)
    }

    fn pass_on(&mut self, event: &Event) -> io::Result<()> {
        // Before the correlation: this event may close the device.
        if self.show_events {
            let name = event.device().and_then(|device| self.names.device(device));
            let name = name.unwrap_or(crate::correlate::UNKNOWN_DEVICE);
            self.sink.event(event, name)?;
        }
        if is_unreadable(event) {
            let lost = Lost {
                device: event.device(),
                ..Lost::any(0)
            };
            let outputs = self.correlator.push(&loss(event.time_ns, lost));
            self.write(&outputs)?;
        }
        if let Some(vmm) = &mut self.vmm {
            vmm.event(event);
        }
        let outputs = self.correlator.push(event);
        self.write(&outputs)?;
        if let Body::Close { device, .. } = &event.body {
            self.scope.close(*device);
            self.names.close(*device);
        }
        if self.blind.lasts() {
            let outputs = self.correlator.push(&loss(event.time_ns, Lost::any(0)));
            self.write(&outputs)?;
        }
        self.doubt(event)
    }

    /// A loss may have been just after this event.
    fn doubt(&mut self, event: &Event) -> io::Result<()> {
        if matches!(event.body, Body::Lost(_)) {
            // Nothing is stored from it.
            return Ok(());
        }
        let (time_ns, device) = (event.time_ns, event.device());
        let mut doubts: Vec<Lost> = Vec::new();
        for doubt in &self.doubts {
            let lost = Lost {
                count: 0,
                records: doubt.records,
                device: doubt.device(),
            };
            if doubt.touches(time_ns, device) && !doubts.contains(&lost) {
                doubts.push(lost);
            }
        }
        for lost in doubts {
            let outputs = self.correlator.push(&loss(time_ns, lost));
            self.write(&outputs)?;
        }
        Ok(())
    }

    fn write(&mut self, outputs: &[Output]) -> io::Result<()> {
        outputs
            .iter()
            .try_for_each(|output| self.sink.output(output))
    }
}
