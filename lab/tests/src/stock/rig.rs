//! The devices, and the tracer that watches them all the time.

use anyhow::{Context, Result, ensure};
use remap_user::vfio::sysfs::Bdf;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::rig::trace::{Line, Lines, Summary, Trace, Zap};
use crate::rig::{now, until};
use crate::vmm::Vmm;
use crate::vmm::assigned::REQ;

/// Longer than evidence settles before a finding is told, ns.
const SETTLED_NS: u64 = 150_000_000;

/// What was done in a span of time, and what was told of it.
pub struct Span {
    begin_ns: u64,
    end_ns: u64,
    rules: &'static [&'static str],
}

/// The lab's devices.
pub struct Stock {
    /// Raises interrupts when it is asked to: INTx and MSI.
    pub edu: Bdf,
    /// 65 MSI-X vectors, and BARs of 16 MiB.
    pub nvme: Bdf,
    /// INTx, MSI, MSI-X, ERR and REQ.
    pub nic: Bdf,
    trace: Option<Trace>,
    lines: Vec<Line>,
    spans: Vec<Span>,
}

fn time_ns(event: &Value) -> u64 {
    event["time_ns"].as_u64().unwrap_or(0)
}

impl Stock {
    /// The devices as the guest's init has left them, in the order of the group's devices.
    pub fn new() -> Result<Self> {
        let devices = std::env::var("REMAP_LAB_DEVICES").context("not in the lab's guest")?;
        let mut devices = devices.split_whitespace().map(str::parse::<Bdf>);
        let mut next = || devices.next().context("a device is missing");
        Ok(Self {
            edu: next()??,
            nvme: next()??,
            nic: next()??,
            trace: None,
            lines: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// Takes what was told since.
    fn take(&mut self) -> Result<()> {
        let trace = self.trace.as_ref().context("no tracer")?;
        self.lines.extend(trace.take()?.0);
        Ok(())
    }

    /// Does something that leaves every device closed, and holds what the tracer told of it
    /// against what was written down; `rules` are found, and no others. Gives the events.
    pub fn watch(
        &mut self,
        rules: &'static [&'static str],
        act: impl FnOnce(&mut Self, &Ledger) -> Result<()>,
    ) -> Result<Vec<Value>> {
        if self.trace.is_none() {
            self.trace = Some(Trace::start(&["--events"])?);
        }
        let ledger = Ledger::default();
        let begin_ns = now()?;
        let acted = act(self, &ledger);
        let end_ns = now()?;
        self.spans.push(Span {
            begin_ns,
            end_ns,
            rules,
        });
        acted?;
        let events = self.told(begin_ns, end_ns)?;
        ledger.agree(&events)?;
        self.found(begin_ns, end_ns).found(rules)?;
        Ok(events)
    }

    /// The events of a span, when all of them and all findings have been told.
    fn told(&mut self, begin_ns: u64, end_ns: u64) -> Result<Vec<Value>> {
        let late_ns = end_ns + SETTLED_NS;
        until("the evidence to settle", || {
            Ok((now()? > late_ns).then_some(()))
        })?;
        // The tracer tells in the order of time: this is behind all that there is to say.
        let mark = Ledger::default();
        let mut vmm = Vmm::new(&mark)?;
        let marked = vmm.assign(self.edu)?;
        marked.device().irq_info(REQ)?;
        marked.close()?;
        vmm.close();
        until("the tracer to have told everything", || {
            self.take()?;
            let told = |line: &Line| match line {
                Line::Event(event) => time_ns(event) > late_ns,
                _ => false,
            };
            Ok(self.lines.iter().any(told).then_some(()))
        })?;
        let inside = |line: &Line| match line {
            Line::Event(event) if (begin_ns..=end_ns).contains(&time_ns(event)) => {
                Some(event.clone())
            }
            _ => None,
        };
        let events = self.lines.iter().filter_map(inside).collect();
        self.lines.retain(|line| !matches!(line, Line::Event(_)));
        Ok(events)
    }

    /// The zaps that were told so far.
    pub fn zaps(&self) -> impl Iterator<Item = &Zap> {
        self.lines.iter().filter_map(|line| match line {
            Line::Zap(zap) => Some(zap),
            _ => None,
        })
    }

    /// The findings about a span.
    fn found(&self, begin_ns: u64, end_ns: u64) -> Lines {
        let about = |line: &&Line| match line {
            Line::Finding(finding) => (begin_ns..=end_ns).contains(&finding.time_ns),
            _ => false,
        };
        Lines(self.lines.iter().filter(about).cloned().collect())
    }

    /// Ends the tracer: nothing was lost, the account balances, and nothing was found beside what
    /// the tests have asked for.
    pub fn end(&mut self) -> Result<()> {
        let Some(trace) = self.trace.take() else {
            return Ok(());
        };
        let traced = trace.end(0)?;
        self.lines.extend(traced.lines.0);
        traced.summary.lost_nothing()?;
        balanced(&traced.summary)?;
        let findings = Lines(std::mem::take(&mut self.lines));
        for finding in findings.findings() {
            let expected = self.spans.iter().any(|span| {
                (span.begin_ns..=span.end_ns).contains(&finding.time_ns)
                    && span.rules.contains(&finding.rule.as_str())
            });
            ensure!(expected, "found: {finding:?}");
        }
        Ok(())
    }
}

/// That every signal of every vector is accounted for, and every read has a latency.
fn balanced(summary: &Summary) -> Result<()> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let irqs = summary
        .devices
        .iter()
        .flat_map(|device| list(device, "irqs"));
    let vectors: Vec<Value> = irqs.flat_map(|irq| list(&irq, "vectors")).collect();
    ensure!(
        vectors.len() > 65,
        "only {} vectors were told",
        vectors.len()
    );
    for vector in vectors {
        let count = |key: &str| vector[key].as_u64().unwrap_or(0);
        let parts = ["reads", "consumed", "coalesced", "unread"].map(count);
        let latencies = vector["latency"]["count"].as_u64().unwrap_or(0);
        ensure!(
            count("signals") == parts.iter().sum::<u64>() && latencies == count("reads"),
            "{vector}"
        );
    }
    Ok(())
}
