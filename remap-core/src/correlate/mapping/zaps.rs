//! The open zaps of a device, and the events that end one.

use super::live::LiveMappings;
use super::open_zap::{MappedNow, OpenZap, Refusal};
use crate::correlate::areas::RegionAreas;
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::event::{Fault, ZapStep};
use crate::model::{Cause, Output, TransitionRef, ZapEnd};

/// Zaps that are not over, oldest first.
#[derive(Debug, Default)]
pub(super) struct OpenZaps(Vec<OpenZap>);

impl OpenZaps {
    /// How much is stored ([`crate::correlate::room`]): each event may look at all of them.
    pub(super) fn room(&self) -> usize {
        self.0.iter().map(OpenZap::room).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A range is zapped: a further step of an open zap, or the first of a new one, which ends those
    /// that it overlaps. `dma`: the ranges that are mapped for DMA. Returns whether it begins a zap.
    pub(super) fn step(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        step: &ZapStep,
        (live, dma): (&LiveMappings, &RegionAreas),
        transition: Option<TransitionRef>,
    ) -> bool {
        let cause = Cause::of(step.cause);
        let settle_ns = out.options().settle_ns;
        let mut zaps = self.0.iter();
        let open = zaps.position(|zap| zap.continues(at, cause, settle_ns));
        if open.is_none() {
            self.end_if(out, at.ns, ZapEnd::NextZap, |zap| zap.overlaps(step));
            let id = out.ids().next_zap();
            let zap = OpenZap::new(id, out.name(), at, cause, transition);
            self.0.push(zap);
        }
        let zap = match open {
            Some(open) => self.0.get_mut(open),
            None => self.0.last_mut(),
        };
        if let Some(zap) = zap {
            let mapped = MappedNow {
                live,
                dma,
                // No walk finds mappings for DMA.
                dma_complete: !out.device.found && !out.device.lossy,
            };
            zap.step(at.ns, step, &mapped);
        }
        open.is_none()
    }

    /// A page fault returned: adds it to the latest zap of that page.
    pub(super) fn fault(&mut self, at: Moment<'_>, fault: &Fault) -> Refusal {
        let mut zaps = self.0.iter_mut().rev();
        let zap = zaps.find(|zap| zap.contains(fault.region, fault.offset));
        zap.map_or(Refusal::OtherCause, |zap| zap.fault(at, fault))
    }

    /// The call of `tid` returned: later zaps on this thread belong to another call.
    pub(super) fn call_returned(&mut self, tid: u32) {
        self.0.iter_mut().for_each(|zap| zap.call_returned(tid));
    }

    /// The wakeup eventfd of a low-power entry was signalled.
    pub(super) fn woken(&mut self, now: u64) {
        if let Some(zap) = self.0.iter_mut().rev().find(|zap| zap.is_asleep()) {
            zap.woken(now);
        }
    }

    /// Ends the zaps after which all mapped pages were populated again.
    pub(super) fn end_complete(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.end_if(out, now, ZapEnd::Complete, OpenZap::is_complete);
    }

    /// Ends the zaps after which no page was populated for long.
    pub(super) fn end_quiet(&mut self, out: &mut Reporter<'_>, now: u64) {
        let stuck_ns = out.options().stuck_ns;
        self.end_if(out, now, ZapEnd::Quiet, |zap| {
            let last_ns = zap.last_ns();
            last_ns.is_some_and(|ns| now.saturating_sub(ns) >= stuck_ns)
        });
    }

    /// Ends all: records were lost, the device was closed, or the trace ended.
    pub(super) fn end_all(&mut self, out: &mut Reporter<'_>, now: u64, end: ZapEnd) {
        self.end_if(out, now, end, |_| true);
    }

    fn end_if(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        end: ZapEnd,
        wanted: impl Fn(&OpenZap) -> bool,
    ) {
        for zap in self.0.extract_if(.., |zap| wanted(zap)) {
            out.emit(Output::Zap(Box::new(zap.finish(now, end))));
        }
    }
}
