//! Events that concern several devices: DMA mappings, and hot resets of a bus.

use super::Correlator;
use super::dma::Part;
use super::moment::Moment;
use crate::event::{Call, DeviceKey, DmaCall, DmaKind, Exit};

impl Correlator {
    /// A call returned. If it was a hot reset, devices on the same bus may have been reset as well.
    pub(super) fn bus_reset(&mut self, now: u64, exit: &Exit) {
        if exit.call != Call::HotReset || exit.result.is_err() {
            return;
        }
        let by = exit.device;
        let own = self.devices.get(by).and_then(|by| by.identity().bus());
        let Some(bus) = own.map(str::to_owned) else {
            return;
        };
        for (key, device) in self.devices.iter_mut() {
            if *key != by && device.identity().bus() == Some(&bus) {
                device.bus_reset(&mut self.queue, now);
            }
        }
    }

    /// A mapping for DMA was made or ended.
    pub(super) fn dma(&mut self, at: Moment<'_>, call: &DmaCall) {
        if call.result.is_err() {
            return;
        }
        match (call.kind, call.vaddr) {
            (DmaKind::Map, Some(vaddr)) => self.map_dma(at, call, vaddr),
            (DmaKind::Map, None) => {}
            (DmaKind::Unmap | DmaKind::UnmapAll, _) => {
                for part in self.dma.unmap(call) {
                    if let Some(device) = self.devices.get(part.device) {
                        device.dma_unmapped(&mut self.queue, at, part.place(), call.kind);
                    }
                }
            }
        }
    }

    /// A range of a process's memory is mapped for DMA, with the parts of regions in it.
    fn map_dma(&mut self, at: Moment<'_>, call: &DmaCall, vaddr: u64) {
        let pid = at.task.pid;
        for (key, device) in self.devices.iter() {
            for (region, area, address) in device.mapped_at(pid, vaddr, call.size) {
                let part = Part {
                    node: call.node,
                    pid,
                    device: *key,
                    region,
                    area,
                    iova: call.iova.saturating_add(address - vaddr),
                    reported: false,
                };
                device.dma_mapped(&mut self.queue, at, part.place());
                if !self.dma.map(part) {
                    self.queue.stats_mut().shed();
                }
            }
        }
    }

    /// Reports the parts of the regions that were just acknowledged and are still mapped for DMA.
    pub(super) fn report_trapped(&mut self, key: DeviceKey, now: u64) {
        let Some(device) = self.devices.get_mut(key) else {
            return;
        };
        for ack in device.acknowledged() {
            let trapped = self.dma.trapped(key, ack.region, ack.pid, &ack.allowed);
            if let Some(verdict) = trapped {
                device.finding(&mut self.queue, now, verdict);
            }
        }
    }
}
