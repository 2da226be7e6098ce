//! A migration step by step, each compared with the trace: features, data, the legacy device_state
//! word; and a tracer that starts during a legacy migration.

use std::fs::File;
use std::io::{Read, Write};

use anyhow::{Context, Result, ensure};
use remap_common::uapi::{
    VFIO_DEVICE_GET_INFO, VFIO_DEVICE_STATE_V1_RESUMING as RESUMING,
    VFIO_DEVICE_STATE_V1_RUNNING as RUNNING, VFIO_DEVICE_STATE_V1_SAVING as SAVING,
};
use remap_core::event::{DeviceState, Errno, FaultOutcome, Origin};
use remap_core::parse::region::Region;
use remap_user::vfio::legacy::{KIND, LegacyRegion};
use remap_user::vfio::migration::precopy_info;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, VFIO_DEVICE_FEATURE_GET,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_PROBE,
};

use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{feature, moved, zapped};
use crate::rig::lab::Lab;
use crate::rig::line::Lines;
use crate::rig::trace::Trace;
use crate::rig::vmm::assigned::Assigned;
use crate::rig::vmm::sys::{self, PAGE};
use crate::rig::vmm::{Vmm, with};
use crate::{Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("migration::every_step_is_counted", VECTORS, steps),
        Test::new("migration::every_legacy_step_is_counted", VECTORS, legacy),
        Test::new(
            "migration::a_tracer_starts_during_a_legacy_migration",
            VECTORS,
            legacy_late,
        ),
    ]
}

/// Does something with the device beside a tracer, and compares both.
fn traced(lab: &Lab, act: impl FnOnce(&mut Assigned<'_>) -> Result<()>) -> Result<Lines> {
    let trace = Trace::start(&["--events"])?;
    let ledger = Ledger::default();
    with(&ledger, lab.bdf, |_, device| act(device))?;
    let traced = trace.end(0)?;
    ledger.agree(&traced.lines)?;
    traced.found(&[])?;
    Ok(traced.lines)
}

/// Bytes per read or write: less than a record of the stream, and no divisor of one.
const CHUNK: usize = 5000;

/// Reads all data; each call is recorded.
fn read_all(device: &Assigned<'_>, mut data: &File, to: &mut Vec<u8>) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = data.read(&mut chunk);
        let result = moved(&read.as_ref().map_err(Errno::of));
        device.happened(1, format_args!("data read {CHUNK}: {result}"));
        match read {
            Ok(0) => return Ok(()),
            Ok(length) => to.extend(chunk.iter().take(length)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMSG) => return Ok(()),
            Err(error) => return Err(error).context("reading state data"),
        }
    }
}

/// The trapped region, and the pages of it that are touched.
const REGION: u32 = 0;
const TOUCHED: [usize; 3] = [0, 1, 3];

/// Touches them; gives the number of faults.
fn touch(device: &Assigned<'_>) -> Result<i64> {
    let mapping = device.mappings().first().context("unmapped")?;
    let read = |page: usize| mapping.read_u32(page * PAGE as usize).is_some();
    let (all, faults) = sys::faults_of(|| TOUCHED.into_iter().all(read))?;
    ensure!(all, "a page is outside of the mapping");
    Ok(faults)
}

/// That the trace has as many faults as the kernel has counted.
fn populated(lines: &Lines, counted: i64) -> Result<()> {
    let populated = |outcome: &FaultOutcome| *outcome == FaultOutcome::Populated;
    let traced = lines.faults().filter(populated).count();
    ensure!(
        i64::try_from(traced)? == counted,
        "the kernel counted {counted} faults, the tracer {traced}"
    );
    Ok(())
}

/// A migration with limp=1 and no user of the remap IRQ, as with every VMM of today.
fn steps(lab: &mut Lab) -> Result<()> {
    lab.driver.parameter("limp", "1")?;
    let limped = || -> Result<i64> { Ok(lab.driver.stat("region0.limp_faults")?.parse()?) };
    let before = limped()?;
    // Before the migration, and during it.
    let mut faults = (0, 0);
    // STOP_COPY or PRE_COPY, STOP, RESUMING, RUNNING.
    let mut changes = 4;
    let lines = traced(lab, |device| {
        let support = device.called(&feature("MIGRATION", "get"), device.device().migration());
        let support = support.ok().flatten().context("no migration")?;
        let state = device.device().state();
        let state = device.called(&feature("MIG_DEVICE_STATE", "get"), state);
        ensure!(state == Ok(DeviceState::Running), "{state:?}");
        probes(device);
        device.map_whole(REGION)?;
        faults.0 = touch(device)?;

        let mut stream = Vec::new();
        // Before 6.2 (commit 4db52602a607) there is no PRE_COPY.
        let first = if support.pre_copy() {
            DeviceState::PreCopy
        } else {
            DeviceState::StopCopy
        };
        let data = device.set_state(first)?.context("no file")?;
        let call = format!("{} {first}", feature("MIG_DEVICE_STATE", "set"));
        device.happened(1, zapped(&call));
        faults.1 = touch(device)?;
        if support.pre_copy() {
            let info = precopy_info(&data)?;
            let (initial, dirty) = (info.initial_bytes, info.dirty_bytes);
            device.happened(1, format_args!("precopy info {initial} {dirty}: ok"));
            read_all(device, &data, &mut stream)?;
            ensure!(!stream.is_empty(), "no data in PRE_COPY");
            let same = device.set_state(DeviceState::StopCopy)?;
            ensure!(same.is_none(), "another file");
            changes += 1;
        }
        let before = stream.len();
        read_all(device, &data, &mut stream)?;
        ensure!(stream.len() > before, "no data in STOP_COPY");
        drop(data);
        device.set_state(DeviceState::Stop)?;

        let mut data = device
            .set_state(DeviceState::Resuming)?
            .context("no file")?;
        for chunk in stream.chunks(CHUNK) {
            let length = chunk.len();
            ensure!(data.write(chunk)? == length, "a short write");
            device.happened(1, format_args!("data write {length}: {length}"));
        }
        drop(data);
        device.set_state(DeviceState::Running)?;
        Ok(())
    })?;
    populated(&lines, faults.0 + faults.1)?;
    ensure!(faults.1 > 0, "nothing was revoked");
    let limping = limped()? - before;
    ensure!(
        limping == faults.1,
        "the driver counted {limping} faults while it limped, and the kernel {faults:?}"
    );
    ensure!(
        lines.transitions().count() == changes,
        "{:?}",
        lines.transitions().collect::<Vec<_>>()
    );
    Ok(())
}

/// An address that a device could reach.
const IOVA: u64 = 1 << 30;

/// Feature requests, whether the device has the feature or not.
fn probes(device: &Assigned<'_>) {
    for (number, name) in [
        (VFIO_DEVICE_FEATURE_DMA_LOGGING_START, "DMA_LOGGING_START"),
        (VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, "MIG_DATA_SIZE"),
    ] {
        let probe = VFIO_DEVICE_FEATURE_PROBE | number;
        let answer = device.device().feature(probe, &mut []);
        // The trace has the same result, success or error.
        let _ = device.called(&feature(name, "probe"), answer);
    }
    // A kernel without DMA logging refuses these; the trace has the same results.
    let range = [IOVA.to_ne_bytes(), PAGE.to_ne_bytes()].concat();
    let start = [PAGE, 1, range.as_ptr() as u64];
    let mut start: Vec<u8> = start.into_iter().flat_map(u64::to_ne_bytes).collect();
    let _ = device.set_feature(
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        "DMA_LOGGING_START",
        &mut start,
    );
    let mut bitmap = 0_u64;
    let report = [IOVA, PAGE, PAGE, (&raw mut bitmap) as u64];
    let mut report: Vec<u8> = report.into_iter().flat_map(u64::to_ne_bytes).collect();
    let get = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
    let answer = device.device().feature(get, &mut report);
    let _ = device.called(&feature("DMA_LOGGING_REPORT", "get"), answer);
    let size = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE;
    let answer = device.device().feature(size, &mut [0; 8]);
    let _ = device.called(&feature("MIG_DATA_SIZE", "get"), answer);
    let _ = device.set_feature(
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        "DMA_LOGGING_STOP",
        &mut [],
    );
}

/// Queries every region, and gives the one of the legacy protocol.
fn legacy_region(device: &Assigned<'_>) -> Result<Region> {
    let regions = device.called(
        &format!("request {VFIO_DEVICE_GET_INFO:#x}"),
        device.device().info(),
    );
    let regions = regions.map_err(|errno| anyhow::anyhow!("GET_INFO: {errno}"))?;
    let mut found = None;
    for index in 0..regions.num_regions {
        let region = device.device().region_info(index);
        let region = device.called(&format!("GET_REGION_INFO {index}"), region);
        if let Ok(region) = region
            && region.kind == Some(KIND)
        {
            found = Some(region);
        }
    }
    found.context("no legacy region")
}

fn write_state(device: &Assigned<'_>, window: &LegacyRegion, word: u32) -> Result<()> {
    window.set_state(word)?;
    device.happened(1, format_args!("begin word {word}"));
    device.happened(1, format_args!("end word {word}: ok"));
    Ok(())
}

/// No region is queried after the tracer has started: it infers the legacy region from a write to its
/// device_state word.
fn legacy_late(lab: &mut Lab) -> Result<()> {
    lab.driver.reload(&["migration=v1"])?;
    lab.driver.parameter("limp", "1")?;
    let ledger = Ledger::default();
    let mut vmm = Vmm::new(&ledger)?;
    let device = vmm.assign(lab.bdf)?;
    let region = legacy_region(&device)?;
    let trace = Trace::start(&[])?;
    let window = LegacyRegion::of(device.device(), region);
    let words = [RUNNING | SAVING, SAVING, 0, RUNNING];
    for word in words {
        write_state(&device, &window, word)?;
    }
    device.close()?;
    vmm.close();
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let inferred = traced.lines.inferred();
    let origins: Vec<_> = inferred.map(|inferred| inferred.origin).collect();
    ensure!(
        origins == [Origin::StateWritten] && traced.lines.transitions().count() == words.len(),
        "{:#?}",
        traced.lines
    );
    Ok(())
}

fn legacy(lab: &mut Lab) -> Result<()> {
    lab.driver.reload(&["migration=v1"])?;
    lab.driver.parameter("limp", "1")?;
    let mut faults = 0;
    let lines = traced(lab, |device| {
        let region = legacy_region(device)?;
        // With limp=1 the mapping is revoked without a trigger, and faults in again.
        device.map_whole(REGION)?;
        faults += touch(device)?;
        let window = LegacyRegion::of(device.device(), region);
        let go = |word: u32| write_state(device, &window, word);
        let mut stream = Vec::new();
        go(RUNNING | SAVING)?;
        device.happened(1, zapped(&format!("word {}", RUNNING | SAVING)));
        let again = touch(device)?;
        ensure!(again > 0, "nothing was revoked");
        faults += again;
        window.read_data(&mut stream)?;
        go(SAVING)?;
        window.read_data(&mut stream)?;
        go(0)?;
        go(RESUMING)?;
        window.write_data(&stream)?;
        go(RUNNING)
    })?;
    populated(&lines, faults)?;
    ensure!(
        lines.transitions().count() == 5,
        "{:?}",
        lines.transitions().collect::<Vec<_>>()
    );
    Ok(())
}
