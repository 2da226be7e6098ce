//! Mappings of regions, by their user.

use super::device::Device;
use super::report::Desk;
use crate::event::{DmaKind, Errno, Event, Origin};
use crate::model::{Mapped, MappedHow, Stage};
use crate::parse::region::Area;

/// A part of a region, and where it is in the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) region: u32,
    pub(super) area: Area,
    pub(super) address: u64,
}

impl Device {
    /// A part of a region is mapped.
    pub(super) fn map(&mut self, desk: &mut Desk, event: &Event, place: Place, origin: Origin) {
        let region = place.region;
        self.mappings
            .map(event.task.pid, place.address, region, place.area);
        self.tell_mapped(desk, event, place, (MappedHow::Map, origin), Ok(()));
        let stats = desk.stats.mapping(&self.name, region);
        // What was there before answers nothing.
        if origin != Origin::Seen {
            stats.found += 1;
            return;
        }
        stats.maps += 1;
        for at in self.places(|cycle| cycle.region == region) {
            if self.cycles[at].map(event.time_ns, &event.task) {
                self.observed(desk, at, Stage::Map);
            }
        }
        self.sweep(desk, event.time_ns);
    }

    /// A mapping was refused: its user meant to, and the driver has trapped it meanwhile.
    pub(super) fn map_refused(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        place: Place,
        errno: Errno,
    ) {
        let region = place.region;
        let how = (MappedHow::Map, Origin::Seen);
        self.tell_mapped(desk, event, place, how, Err(errno));
        desk.stats.mapping(&self.name, region).refused_maps += 1;
        for cycle in &mut self.cycles {
            if cycle.region == region
                && cycle.stages.has(Stage::Requery)
                && cycle.answers(event.task.pid)
            {
                cycle.map_refused = true;
            }
        }
        self.sweep(desk, event.time_ns);
    }

    /// A mapping, or a part of one, is gone.
    pub(super) fn unmap(&mut self, desk: &mut Desk, event: &Event, place: Place) {
        let Place {
            region,
            area,
            address,
        } = place;
        self.mappings.unmap(event.task.pid, address, area.size);
        let how = (MappedHow::Unmap, Origin::Seen);
        self.tell_mapped(desk, event, place, how, Ok(()));
        desk.stats.mapping(&self.name, region).unmaps += 1;
        for at in self.places(|cycle| cycle.region == region) {
            if self.cycles[at].unmap(event.time_ns, &event.task, area) {
                self.observed(desk, at, Stage::Unmap);
            }
        }
    }

    /// A part of a region is mapped for DMA, or is not any more.
    pub(super) fn dma(&self, desk: &mut Desk, event: &Event, place: Place, kind: DmaKind) {
        let how = (MappedHow::Dma(kind), Origin::Seen);
        self.tell_mapped(desk, event, place, how, Ok(()));
        let stats = desk.stats.mapping(&self.name, place.region);
        match kind {
            DmaKind::Map => stats.dma_maps += 1,
            DmaKind::Unmap | DmaKind::UnmapAll => stats.dma_unmaps += 1,
        }
    }

    fn tell_mapped(
        &self,
        desk: &mut Desk,
        event: &Event,
        place: Place,
        (how, origin): (MappedHow, Origin),
        result: Result<(), Errno>,
    ) {
        desk.mapped(Mapped {
            device: self.name.clone(),
            time_ns: event.time_ns,
            how,
            region: place.region,
            offset: place.area.offset,
            size: place.area.size,
            result,
            origin,
            task: event.task.clone(),
        });
    }
}
