//! Devices bound to vfio-pci, and the tracer that all of their tests share.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use remap_core::model::{Rule, Summary, VectorStats};
use remap_user::vfio::sysfs::Bdf;

use super::judge::ledger::Ledger;
use super::line::Lines;
use super::session::Session;
use super::suite::Rig;
use super::trace::Traced;
use super::vmm::assigned::{Assigned, REQ};
use super::vmm::{Vmm, with};
use super::{devices, now};

/// The devices of the group `stock`.
pub struct Stock {
    /// Raises interrupts on request: INTx and MSI.
    pub edu: Bdf,
    /// 65 MSI-X vectors, and BARs of 16 MiB.
    pub nvme: Bdf,
    /// INTx, MSI, MSI-X, ERR and REQ.
    pub nic: Bdf,
    session: Session,
    /// The spans of the tests, and the rules that each expects to be found.
    expected: Vec<(RangeInclusive<u64>, &'static [Rule])>,
}

impl Rig for Stock {
    fn test(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        body(self)
    }

    fn finish(&mut self) -> Result<()> {
        self.end().map(drop)
    }
}

impl Stock {
    /// The devices as the guest's init has left them.
    pub fn new() -> Result<Self> {
        let [edu, nvme, nic] = devices()?[..] else {
            anyhow::bail!("not the three devices of the group");
        };
        Ok(Self {
            edu,
            nvme,
            nic,
            session: Session::new(&["--events"]),
            expected: Vec::new(),
        })
    }

    /// Does something that leaves every device closed, and compares what the tracer reported with
    /// what was recorded in the ledger. The findings are of these `rules`, and of no others.
    pub fn watch(
        &mut self,
        rules: &'static [Rule],
        act: impl FnOnce(&mut Self, &Ledger) -> Result<()>,
    ) -> Result<Lines> {
        self.session.start()?;
        let ledger = Ledger::default();
        let begin_ns = now()?;
        let acted = act(self, &ledger);
        let span_ns = begin_ns..=now()?;
        self.expected.push((span_ns.clone(), rules));
        acted?;
        let edu = self.edu;
        let lines = self.session.collect(&span_ns, || ask(edu))?;
        ledger.agree(&lines)?;
        lines.found(rules)?;
        Ok(lines)
    }

    /// As [`Self::watch`], for what is done with one device that is closed afterwards.
    pub fn watch_one(
        &mut self,
        bdf: Bdf,
        rules: &'static [Rule],
        act: impl FnOnce(&Vmm<'_>, &mut Assigned<'_>) -> Result<()>,
    ) -> Result<Lines> {
        self.watch(rules, |_, ledger| with(ledger, bdf, act))
    }

    /// Ends the tracer, if it runs: nothing was lost, and each finding is one that a test expects.
    fn end(&mut self) -> Result<Option<Traced>> {
        let Some(traced) = self.session.end()? else {
            return Ok(None);
        };
        traced.lost_nothing()?;
        for (finding, text) in traced.lines.findings() {
            let expects = |(span_ns, rules): &(RangeInclusive<u64>, &[Rule])| {
                span_ns.contains(&finding.time_ns) && rules.contains(&finding.rule())
            };
            ensure!(
                self.expected.iter().any(expects),
                "an unexpected finding: {finding:?}: {text}"
            );
        }
        Ok(Some(traced))
    }

    /// As at the end of the group; and the interrupts of all tests are accounted for.
    pub fn account(&mut self) -> Result<()> {
        let traced = self.end()?.context("no tracer has run")?;
        let vectors = balanced(&traced.summary)?;
        ensure!(vectors > 65, "only {vectors} vectors");
        Ok(())
    }
}

/// Opens a device, asks it for an IRQ, and closes it.
fn ask(bdf: Bdf) -> Result<()> {
    let unjudged = Ledger::default();
    with(&unjudged, bdf, |_, device| {
        device.device().irq_info(REQ)?;
        Ok(())
    })
}

/// That every signal of every vector is accounted for, and every read has a latency. Gives the number
/// of vectors.
pub fn balanced(summary: &Summary) -> Result<usize> {
    let irqs = summary
        .stats
        .devices
        .values()
        .flat_map(|device| device.irqs.values());
    let vectors: Vec<&VectorStats> = irqs.flat_map(|irq| irq.vectors.values()).collect();
    for vector in &vectors {
        let parts = vector.reads + vector.consumed + vector.coalesced + vector.unread;
        let latencies = vector.latency().map_or(0, |latency| latency.count);
        ensure!(
            vector.signals == parts && latencies == vector.reads,
            "{vector:?}"
        );
    }
    Ok(vectors.len())
}
