//! Executes plans on the mappings of a device.

use std::collections::BTreeMap;

use vfio_bindings::bindings::vfio::{VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE};

use crate::respond::plan::{Plan, plan};
use crate::vfio::device::Device;
use crate::vfio::error::Error;
use crate::vfio::mapping::Mapping;
use remap_core::parse::region::{Area, Region};

/// The result of one remap of a region.
#[derive(Debug)]
pub struct Remapped {
    /// Region index.
    pub region: u32,
    /// The last valid answer before this one.
    pub before: Option<Region>,
    /// The kernel's answer.
    pub after: Result<Region, Error>,
    /// Areas whose mapping was kept.
    pub kept: Vec<Area>,
    /// Areas that were unmapped.
    pub unmapped: Vec<Area>,
    /// Areas that were mapped.
    pub mapped: Vec<Area>,
    /// Failures to map or unmap an area.
    pub failed: Vec<Error>,
}

impl Remapped {
    /// Whether any mapping changed.
    pub fn changed(&self) -> bool {
        !self.unmapped.is_empty() || !self.mapped.is_empty()
    }
}

/// The mappings of a device, by region. Dropping them unmaps them all.
#[derive(Debug, Default)]
pub struct Maps {
    mappings: BTreeMap<u32, Vec<Mapping>>,
    known: BTreeMap<u32, Region>,
}

impl Maps {
    /// Queries region `index` again and updates its mappings: first unmaps the areas that are no
    /// longer allowed, then maps. After a malformed answer nothing of the region stays mapped.
    pub fn remap(&mut self, device: &Device, index: u32) -> Remapped {
        let after = device.region_info(index);
        let before = self.known.remove(&index);
        let held = self.mappings.entry(index).or_default();
        let mapped: Vec<Area> = held.iter().map(Mapping::area).collect();
        let plan = match (&before, &after) {
            (Some(before), Ok(after)) if same_access(before, after) => plan(&mapped, &after.areas),
            (_, Ok(after)) => Plan {
                unmap: mapped,
                map: after.areas.to_vec(),
                ..Plan::default()
            },
            (_, Err(_)) => Plan {
                unmap: mapped,
                ..Plan::default()
            },
        };
        let mut done = Remapped {
            region: index,
            before,
            kept: plan.keep,
            unmapped: plan.unmap,
            mapped: Vec::new(),
            failed: Vec::new(),
            after,
        };
        for mapping in held.extract_if(.., |mapping| !done.kept.contains(&mapping.area())) {
            if let Err(error) = mapping.unmap() {
                let on = format!("{} region {index}", device.bdf());
                done.failed.push(Error::call("munmap", on, &error));
            }
        }
        if let Ok(region) = &done.after {
            for area in plan.map {
                match device.map(region, area) {
                    Ok(mapping) => {
                        held.push(mapping);
                        done.mapped.push(area);
                    }
                    Err(error) => done.failed.push(error),
                }
            }
            self.known.insert(index, region.clone());
        }
        done
    }

    /// The mappings of every region, by index.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.values().flatten()
    }

    /// The last valid answer for each region, by index.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.known.values()
    }

    /// Unmaps everything.
    pub fn clear(&mut self) {
        self.mappings.clear();
        self.known.clear();
    }
}

/// Whether a mapping that was made for one answer is also right for the other.
fn same_access(before: &Region, after: &Region) -> bool {
    const ACCESS: u32 = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    before.offset == after.offset && before.flags & ACCESS == after.flags & ACCESS
}
