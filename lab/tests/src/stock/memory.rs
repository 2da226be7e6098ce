//! Regions in memory: mmap, the faults that fill a mapping, and mappings for DMA.

use anyhow::{Context, Result, ensure};
use remap_core::parse::region::Area;
use remap_user::vfio::mapping::Mapping;
use serde_json::Value;

use super::Body;
use super::irq::with;
use crate::rig::judge::ledger::Ledger;
use crate::rig::line::Lines;
use crate::rig::stock::Stock;
use crate::rig::vmm::sys::{self, Memory, PAGE};

pub const TESTS: &[(&str, Body)] = &[
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

/// The faults of a region that populated something.
pub fn populated(lines: &Lines, region: u32) -> Vec<&Value> {
    let ours = |event: &&Value| {
        event["kind"] == "fault" && event["region"] == region && event["outcome"] == "populated"
    };
    lines.events().filter(ours).collect()
}

/// The faults of a region that populated something: as many as the kernel has counted.
pub fn as_counted(lines: &Lines, region: u32, counted: i64) -> Result<Vec<&Value>> {
    let traced = populated(lines, region);
    ensure!(
        i64::try_from(traced.len())? == counted && counted > 0,
        "the kernel counted {counted} faults, the tracer {traced:?}"
    );
    Ok(traced)
}

/// That the faults are just those that these touches need: each is of a page that no earlier fault
/// has populated.
pub fn explained(faults: &[&Value], size: u64, touched: &[u64]) -> Result<()> {
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
        let (offset, bytes) = (fault["offset"].as_u64(), fault["bytes"].as_u64());
        ensure!(
            offset.map(|offset| offset / PAGE) == Some(*page),
            "page {page}: {fault}"
        );
        let bytes = bytes.with_context(|| format!("a fault without its size: {fault}"))?;
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
    let devices = [stock.edu, stock.nvme, stock.nic];
    let act = |_: &mut Stock, ledger: &Ledger| {
        for bdf in devices {
            with(ledger, bdf, |_, device| {
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
    };
    stock.watch(&[], act).map(drop)
}

fn faults(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let (mut counted, mut size) = (0, 0);
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |_, nvme| {
            let region = nvme.region(2)?;
            let area = Area {
                offset: 0,
                size: region.size,
            };
            size = region.size;
            counted = touch(nvme.map(&region, area)?, &PAGES)?;
            Ok(())
        })
    };
    let lines = stock.watch(&[], act)?;
    let traced = as_counted(&lines, 2, counted)?;
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
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |vmm, nvme| {
            let memory = Memory::new(usize::try_from(MEMORY)?)?;
            for round in 0..5 {
                vmm.map_dma(memory.address(), IOVA + round * MEMORY, MEMORY)?;
            }
            for round in 0..3 {
                vmm.unmap_dma(IOVA + round * MEMORY, MEMORY)?;
            }
            let region = nvme.region(2)?;
            let area = Area {
                offset: 0,
                size: SHARED * PAGE,
            };
            let address = nvme.map(&region, area)?.address();
            let (mapped, faults) = sys::faults_of(|| vmm.map_dma(address, 2 * IOVA, area.size))?;
            mapped?;
            counted = faults;
            vmm.unmap_dma(2 * IOVA, area.size)?;
            vmm.unmap_all_dma(2 * MEMORY)?;
            // The kernel has touched the pages for it: they are populated for the process too.
            let pages: Vec<u64> = (0..SHARED).collect();
            let again = touch(nvme.mappings().first().context("unmapped")?, &pages)?;
            ensure!(again == 0, "{again} faults of populated pages");
            Ok(())
        })
    };
    let lines = stock.watch(&[], act)?;
    let traced = as_counted(&lines, 2, counted)?;
    let pages: Vec<u64> = (0..SHARED).collect();
    explained(&traced, SHARED * PAGE, &pages)
}

/// A region is unmapped while it is mapped for DMA, so that other devices still reach it.
fn stray(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |vmm, nvme| {
            let region = nvme.region(4)?;
            let area = Area {
                offset: 0,
                size: SHARED * PAGE,
            };
            let address = nvme.map(&region, area)?.address();
            vmm.map_dma(address, IOVA, area.size)?;
            nvme.unmap()?;
            // It continues.
            nvme.region(4)?;
            vmm.unmap_dma(IOVA, area.size)
        })
    };
    stock.watch(&["dma-mapped"], act).map(drop)
}
