//! A plan, done to the mappings of a device.

use std::collections::BTreeMap;

use vfio_bindings::bindings::vfio::{VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE};

use crate::respond::plan::{Plan, plan};
use crate::vfio::device::Device;
use crate::vfio::error::Error;
use crate::vfio::mapping::Mapping;
use remap_core::parse::region::{Area, Region};

/// What one remap of a region did.
#[derive(Debug)]
pub struct Remapped {
    /// Region index.
    pub region: u32,
    /// The answer before this one, if there was one that could be believed.
    pub before: Option<Region>,
    /// The kernel's answer.
    pub after: Result<Region, Error>,
    /// Areas whose mapping stayed.
    pub kept: Vec<Area>,
    /// Areas whose mapping is gone.
    pub unmapped: Vec<Area>,
    /// Areas that are newly mapped.
    pub mapped: Vec<Area>,
    /// Areas that should be mapped or unmapped and could not be.
    pub failed: Vec<Error>,
}

impl Remapped {
    /// Whether anything is mapped otherwise than before.
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
    /// Asks what region `index` is now, and brings its mappings in line: what is no longer
    /// allowed is unmapped first. Where the answer cannot be believed nothing stays mapped.
    pub fn remap(&mut self, device: &Device, index: u32) -> Remapped {
        let after = device.region_info(index);
        let before = self.known.remove(&index);
        let held = self.mappings.entry(index).or_default();
        let mapped: Vec<Area> = held.iter().map(Mapping::area).collect();
        let plan = match (&before, &after) {
            (Some(before), Ok(after)) if same_access(before, after) => plan(&mapped, &after.areas),
            (_, Ok(after)) => Plan {
                unmap: mapped,
                map: after.areas.clone(),
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

    /// The last answer for every region that could be believed, by index.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.known.values()
    }

    /// Unmaps everything.
    pub fn clear(&mut self) {
        self.mappings.clear();
        self.known.clear();
    }
}

/// Whether a mapping that was made under the one answer is right under the other.
fn same_access(before: &Region, after: &Region) -> bool {
    const ACCESS: u32 = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    before.offset == after.offset && before.flags & ACCESS == after.flags & ACCESS
}
