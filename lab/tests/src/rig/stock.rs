//! Devices bound to vfio-pci, and the tracer that all of their tests share.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::sysfs::Bdf;
use serde_json::Value;

use super::judge::ledger::Ledger;
use super::line::{Lines, Summary};
use super::session::Session;
use super::suite::Rig;
use super::trace::Traced;
use super::vmm::Vmm;
use super::vmm::assigned::REQ;
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
    expected: Vec<(RangeInclusive<u64>, &'static [&'static str])>,
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
        rules: &'static [&'static str],
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

    /// Ends the tracer, if it runs: nothing was lost, and each finding is one that a test expects.
    fn end(&mut self) -> Result<Option<Traced>> {
        let Some(traced) = self.session.end()? else {
            return Ok(None);
        };
        traced.summary.lost_nothing()?;
        for finding in traced.lines.findings() {
            let expects = |(span_ns, rules): &(RangeInclusive<u64>, &[&str])| {
                span_ns.contains(&finding.time_ns) && rules.contains(&finding.rule.as_str())
            };
            ensure!(
                self.expected.iter().any(expects),
                "an unexpected finding: {finding:?}"
            );
        }
        Ok(Some(traced))
    }

    /// As at the end of the group; and the interrupts of all tests are accounted for.
    pub fn account(&mut self) -> Result<()> {
        let traced = self.end()?.context("no tracer has run")?;
        balanced(&traced.summary)
    }
}

/// Opens a device, asks it for an IRQ, and closes it.
fn ask(bdf: Bdf) -> Result<()> {
    let unjudged = Ledger::default();
    let mut vmm = Vmm::new(&unjudged)?;
    let device = vmm.assign(bdf)?;
    device.device().irq_info(REQ)?;
    device.close()?;
    vmm.close();
    Ok(())
}

/// That every signal of every vector is accounted for, and every read has a latency.
fn balanced(summary: &Summary) -> Result<()> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let irqs = summary
        .devices
        .iter()
        .flat_map(|device| list(device, "irqs"));
    let vectors: Vec<Value> = irqs.flat_map(|irq| list(&irq, "vectors")).collect();
    ensure!(vectors.len() > 65, "only {} vectors", vectors.len());
    for vector in vectors {
        let count = |key: &str| vector[key].as_u64().with_context(|| format!("no {key}"));
        let parts = ["reads", "consumed", "coalesced", "unread"].map(count);
        let parts: u64 = parts.into_iter().sum::<Result<_>>()?;
        let latencies = match &vector["latency"] {
            Value::Null => 0,
            latency => latency["count"].as_u64().context("no count of latencies")?,
        };
        ensure!(
            count("signals")? == parts && latencies == count("reads")?,
            "{vector}"
        );
    }
    Ok(())
}
