//! Regions in memory: mmap, the faults that fill a mapping, and mappings for DMA.

use anyhow::{Context, Result, ensure};
use remap_core::event::{Body, Event, FaultOutcome};
use remap_core::model::Rule;
use remap_core::parse::region::Area;
use remap_user::vfio::mapping::Mapping;

use super::Tests;
use crate::rig::line::Lines;
use crate::rig::stock::Stock;
use crate::rig::vmm::sys::{self, Memory, PAGE};

pub const TESTS: Tests = &[
    ("stock::memory::mappings", mappings),
    ("stock::memory::faults_of_a_fresh_mapping", faults),
    ("stock::memory::dma", dma),
    (
        "stock::memory::a_region_mapped_for_dma_loses_its_mmap",
        stray,
    ),
];

/// Pages that are touched, in this order: neighbours, far ones, one of them again.
pub const PAGES: [u64; 7] = [0, 1, 2, 600, 1023, 600, 512];

/// Touches pages of a mapping; gives how many faults that took by the kernel's own count.
pub fn touch(mapping: &Mapping, pages: &[u64]) -> Result<i64> {
    let offsets: Vec<usize> = pages
        .iter()
        .map(|page| usize::try_from(page * PAGE))
        .collect::<Result<_, _>>()?;
    let read = |offset: &usize| mapping.read_u32(*offset).is_some();
    let (all, faults) = sys::faults_of(|| offsets.iter().all(read))?;
    ensure!(all, "a page is outside of the mapping");
    Ok(faults)
}

/// A fault that populated something.
#[derive(Clone, Copy, Debug)]
pub struct Populated {
    /// When it returned.
    pub time_ns: u64,
    /// Where it was, from the begin of the region.
    offset: u64,
    /// How much it populated.
    bytes: Option<u64>,
}

/// The faults of a region that populated something: as many as the kernel has counted.
pub fn populated(lines: &Lines, of: u32, counted: i64) -> Result<Vec<Populated>> {
    let populated = |event: &Event| match &event.body {
        Body::Fault(fault) if fault.region == of => match fault.outcome {
            FaultOutcome::Populated => Some(Populated {
                time_ns: event.time_ns,
                offset: fault.offset,
                bytes: fault.bytes,
            }),
            _ => None,
        },
        _ => None,
    };
    let traced: Vec<_> = lines.events().filter_map(populated).collect();
    ensure!(
        i64::try_from(traced.len())? == counted && counted > 0,
        "the kernel counted {counted} faults, the tracer {traced:?}"
    );
    Ok(traced)
}

/// That the faults are just those that these touches need: each is of a page that no earlier fault
/// has populated.
pub fn explained(faults: &[Populated], size: u64, touched: &[u64]) -> Result<()> {
    let mut faults = faults.iter();
    let mut there: Vec<(u64, u64)> = Vec::new();
    for page in touched {
        let at = page * PAGE;
        if there
            .iter()
            .any(|(begin, end)| (*begin..*end).contains(&at))
        {
            continue;
        }
        let fault = faults.next();
        let fault = fault.with_context(|| format!("page {page}: no fault was traced"))?;
        ensure!(fault.offset / PAGE == *page, "page {page}: {fault:?}");
        let bytes = fault.bytes;
        let bytes = bytes.with_context(|| format!("a fault without its size: {fault:?}"))?;
        // All of the mapping, or a block that is aligned by its size.
        let begin = if bytes == size { 0 } else { at / bytes * bytes };
        there.push((begin, begin + bytes));
    }
    let rest: Vec<_> = faults.collect();
    ensure!(rest.is_empty(), "more faults than touches: {rest:?}");
    Ok(())
}

/// Every region that can be mapped, its areas and parts of them, three times.
fn mappings(stock: &mut Stock) -> Result<()> {
    for bdf in [stock.edu, stock.nvme, stock.nic] {
        stock.watch_one(bdf, &[], |_, device| {
            for index in 0..6 {
                let region = device.region(index)?;
                for area in region.areas.iter().copied() {
                    for _ in 0..3 {
                        device.map(&region, area)?;
                    }
                    let last = Area {
                        offset: area.offset + area.size - PAGE,
                        size: PAGE,
                    };
                    device.map(&region, last)?;
                }
            }
            device.unmap()
        })?;
    }
    Ok(())
}

fn faults(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let (mut counted, mut size) = (0, 0);
    let lines = stock.watch_one(nvme, &[], |_, nvme| {
        let mapping = nvme.map_whole(2)?;
        size = mapping.area().size;
        counted = touch(mapping, &PAGES)?;
        Ok(())
    })?;
    let traced = populated(&lines, 2, counted)?;
    explained(&traced, size, &PAGES)
}

/// The IOVA of the memory.
const IOVA: u64 = 0x1_0000_0000;
/// Bytes of memory.
const MEMORY: u64 = 1 << 20;
/// Pages of a region that are mapped for DMA.
const SHARED: u64 = 16;

/// Memory and a region are mapped for DMA, unmapped one by one, and all at once.
fn dma(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let mut counted = 0;
    let lines = stock.watch_one(nvme, &[], |vmm, nvme| {
        let memory = Memory::new(usize::try_from(MEMORY)?)?;
        for round in 0..5 {
            vmm.map_dma(memory.address(), IOVA + round * MEMORY, MEMORY)?;
        }
        for round in 0..3 {
            vmm.unmap_dma(IOVA + round * MEMORY, MEMORY)?;
        }
        let address = nvme.map_first(2, SHARED * PAGE)?.address();
        let map = || vmm.map_dma(address, 2 * IOVA, SHARED * PAGE);
        let (mapped, faults) = sys::faults_of(map)?;
        mapped?;
        counted = faults;
        vmm.unmap_dma(2 * IOVA, SHARED * PAGE)?;
        vmm.unmap_all_dma(2 * MEMORY)?;
        // The kernel has touched the pages for it: they are populated for the process too.
        let pages: Vec<u64> = (0..SHARED).collect();
        let again = touch(nvme.mappings().first().context("unmapped")?, &pages)?;
        ensure!(again == 0, "{again} faults of populated pages");
        Ok(())
    })?;
    let traced = populated(&lines, 2, counted)?;
    let pages: Vec<u64> = (0..SHARED).collect();
    explained(&traced, SHARED * PAGE, &pages)
}

/// A region is unmapped while it is mapped for DMA, so that other devices still reach it.
fn stray(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    stock
        .watch_one(nvme, &[Rule::DmaMapped], |vmm, nvme| {
            let address = nvme.map_first(4, SHARED * PAGE)?.address();
            vmm.map_dma(address, IOVA, SHARED * PAGE)?;
            nvme.unmap()?;
            // It continues.
            nvme.region(4)?;
            vmm.unmap_dma(IOVA, SHARED * PAGE)
        })
        .map(drop)
}
