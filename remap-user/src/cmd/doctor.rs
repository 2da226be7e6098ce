//! `remap doctor`: what this machine can show, and what it cannot.

mod check;
mod hooks;
mod text;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use check::{CAPABILITIES, Check, OTHER_KERNEL, RIGHTS, Status, VFIO};
use clap::Args;
use rustix::thread::CapabilitySet;

use crate::{
    cmd::format::Format,
    confine::{
        self,
        needs::{NEEDS, Need},
    },
    exit::{Code, Error},
    kernel::{
        Kernel,
        layout::{Missing, measure},
        realtime::Realtime,
    },
    live::{
        error::LoadError,
        hooks::lookup,
        probes::{LoadOptions, Probes},
        process::sees_all_pids,
        rights::{Obstacle, Rights},
    },
    tracepoint,
    vfio::sysfs::Host,
};
use remap_common::layout::Types;
use remap_core::{account::Misses, printable};

/// Reports what this machine can trace and what it cannot, with the reason and the remedy.
///
/// Loads the probes for a moment, and opens no device. Exits with 3 if a trace is impossible here.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Write JSON Lines, with every check and every hook.
    #[arg(long)]
    json: bool,
    /// Write a line for each hook, and the checks that fail only because another one did.
    #[arg(long)]
    all: bool,
}

impl Doctor {
    /// Checks everything, and fails if a trace is impossible.
    pub fn run(self) -> Result<(), Error> {
        let mut checks = vec![
            vfio_module(),
            iommu(Path::new("/sys")),
            devices(&Host::default()),
            processes(),
        ];
        checks.extend(rights(&Rights::read()));
        match Kernel::running(&lookup::functions()) {
            Ok(kernel) => {
                checks.push(Check::ok("kernel types", "BTF and symbols can be read"));
                checks.extend(hooks::checks(&kernel));
                checks.extend(layout(&kernel));
                checks.extend(realtime(&kernel));
            }
            Err(error) => checks.push(Check::new(
                "kernel types",
                Status::Failed,
                error.to_string(),
                "a kernel with CONFIG_DEBUG_INFO_BTF is needed",
            )),
        }
        checks.extend(probes());
        checks.push(tracepoints(tracepoint::are_available()));
        let format = Format::new(self.json);
        let mut out = io::stdout().lock();
        match format {
            Format::Json => checks
                .iter()
                .try_for_each(|check| format.write(&mut out, check))?,
            Format::Text => {
                let text = text::Lines::new(&checks, self.all).to_string();
                out.write_all(printable::lines(&text).as_bytes())?;
            }
        }
        out.flush()?;
        match checks.iter().find(|check| check.status == Status::Failed) {
            None => Ok(()),
            Some(check) => Err(Error::with_message(
                Code::Machine,
                format!(
                    "this machine cannot trace: {}: {}",
                    check.name, check.detail
                ),
            )),
        }
    }
}

fn vfio_module() -> Check {
    let name = VFIO;
    if Path::new("/sys/module/vfio").exists() {
        Check::ok(name, "the module is there")
    } else {
        Check::new(
            name,
            Status::Failed,
            "the module vfio is not loaded, so there is nothing to trace",
            "`modprobe vfio-pci`, or start the VM first",
        )
    }
}

fn iommu(sys: &Path) -> Check {
    let name = "iommu";
    let groups = fs::read_dir(sys.join("kernel/iommu_groups")).map_or(0, Iterator::count);
    if groups > 0 {
        Check::ok(name, format!("{groups} groups"))
    } else {
        Check::new(
            name,
            Status::Absent,
            "no IOMMU group, so no device can be assigned",
            "enable VT-d or AMD-Vi in the firmware and boot with intel_iommu=on",
        )
    }
}

fn devices(host: &Host) -> Check {
    let pci = host.vfio_devices().into_iter().map(|bdf| bdf.to_string());
    let others = host.other_devices().into_iter().map(|device| device.name);
    let devices: Vec<String> = pci.chain(others).collect();
    if devices.is_empty() {
        Check::new(
            "devices",
            Status::Absent,
            "no device is bound to a vfio driver",
            "set its driver_override, and bind it",
        )
    } else {
        Check::ok("devices", devices.join(", "))
    }
}

fn processes() -> Check {
    let name = "processes";
    if sees_all_pids() {
        Check::ok(name, "/proc and the probes use the same PID namespace")
    } else {
        Check::new(
            name,
            Status::Limited,
            "remap is in a PID namespace: it cannot name virtual machines, and does not find calls \
             that are in flight when a trace begins",
            "run it in the host's PID namespace",
        )
    }
}

/// Whether this user and this kernel allow programs to be loaded and attached.
fn rights(rights: &Rights) -> Vec<Check> {
    let obstacles = rights.obstacles();
    let mut checks = Vec::new();
    if obstacles.is_empty() {
        checks.push(Check::ok(RIGHTS, rights.summary()));
    }
    let check =
        |obstacle: Obstacle| Check::new(RIGHTS, Status::Failed, obstacle.reason, obstacle.remedy);
    checks.extend(obstacles.into_iter().map(check));
    let own = rights.capabilities.map(CapabilitySet::from_bits_retain);
    let need = |need: &Need| {
        let (what, words) = (need.what(), need.words());
        match own.is_none_or(|own| need.is_met(own)) {
            true => Check::ok(CAPABILITIES, format!("{what}: {words}")),
            false => Check::new(
                CAPABILITIES,
                Status::Absent,
                format!("{what}: needs {words}"),
                "",
            ),
        }
    };
    checks.extend(NEEDS.iter().map(need));
    checks.extend(confinement());
    checks
}

/// What a trace cannot give up here.
fn confinement() -> Vec<Check> {
    let lacks = [
        (!confine::has_landlock()).then_some("Landlock: a trace may open any file of its user"),
        (!confine::has_seccomp())
            .then_some("filters of system calls: a trace may make any call of its user"),
    ];
    let check = |lack| {
        let detail = format!("this kernel has no {lack}");
        Check::new("confinement", Status::Limited, detail, OTHER_KERNEL)
    };
    let checks: Vec<Check> = lacks.into_iter().flatten().map(check).collect();
    if checks.is_empty() {
        let detail = "a trace is confined by Landlock and a filter of system calls";
        return vec![Check::ok("confinement", detail)];
    }
    checks
}

/// Whether perf records what a trace reports by tracepoints of the kernel.
fn tracepoints(available: bool) -> Check {
    let name = "tracepoints";
    match available {
        true => Check::ok(
            name,
            "user_events: `perf record -e user_events:remap_cycle -a` records cycles, and so on",
        ),
        false => Check::new(
            name,
            Status::Absent,
            "this kernel has no user_events (CONFIG_USER_EVENTS, from 6.4 on): perf records the USDT \
             probes of this binary in place of them",
            "",
        ),
    }
}

fn layout(kernel: &Kernel) -> Vec<Check> {
    let measured = measure(kernel);
    let name = "kernel structures";
    let limited = |missing: Missing| {
        // The types of VFIO are in the BTF of its modules.
        let unloaded = kernel.vfio.is_none() && missing.types != Types::Core;
        Check::new(name, Status::Limited, missing.sentence, OTHER_KERNEL)
            .caused_by(unloaded.then_some(VFIO))
    };
    let mut checks: Vec<Check> = measured.missing.into_iter().map(limited).collect();
    for member in measured.fatal {
        let detail = format!("no {member} in BTF, so nothing can be traced");
        checks.push(Check::new(name, Status::Failed, detail, OTHER_KERNEL));
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            name,
            "BTF describes every member that the probes read",
        ));
    }
    checks
}

/// What a PREEMPT_RT kernel means; nothing on any other.
fn realtime(kernel: &Kernel) -> Option<Check> {
    let name = "realtime";
    Some(match Realtime::of(&kernel.core)? {
        Realtime::Traceable => Check::ok(
            name,
            "PREEMPT_RT: devices' interrupts are handled by threads; a run that the kernel skips \
             because another one was preempted is counted",
        ),
        Realtime::SleepingRing => {
            let error = LoadError::SleepingRing.to_string();
            Check::new(name, Status::Failed, error, "a kernel of 6.12 or later")
        }
    })
}

/// Whether every loss can be counted here.
fn account(probes: &Probes) -> Check {
    let name = "account";
    let unknown = "how many calls a kprobe or a full kretprobe missed is unknown; a missed return is \
                   counted as return_missed";
    match probes.hooks.missed() {
        Ok(Misses { known: true, .. }) => {
            Check::ok(name, "every run that the kernel skips is counted")
        }
        Ok(_) => Check::new(
            name,
            Status::Absent,
            format!("the kernel reports it from 6.7 on, and with CAP_SYS_ADMIN only: {unknown}"),
            "",
        ),
        Err(error) => Check::new(name, Status::Limited, format!("{error}: {unknown}"), ""),
    }
}

/// Loads and attaches every program, and removes them again.
fn probes() -> Vec<Check> {
    let name = "probes";
    let options = LoadOptions {
        ring_bytes: 1 << 20,
        tracing: true,
        diagnostics: false,
        perf_events: None,
    };
    match Probes::attach(&options) {
        Ok(mut probes) => {
            let attached = if probes.missing.is_empty() {
                let count = probes.hooks.count();
                Check::ok(
                    name,
                    format!("all {count} hooks were attached and detached again"),
                )
            } else {
                Check::new(name, Status::Limited, probes.missing.join("; "), "")
            };
            // Attaching ended with a test that passed.
            let fire = "a call of this process was seen by a program of each form";
            let fire = Check::ok("self-test", fire);
            vec![attached, fire, account(&probes), walk(&mut probes)]
        }
        Err(error) => {
            let cause = match error {
                LoadError::Unloaded => Some(VFIO),
                LoadError::Forbidden { .. } => Some(RIGHTS),
                _ => None,
            };
            let failed = Check::new(name, Status::Failed, error.to_string(), "");
            vec![failed.caused_by(cause)]
        }
    }
}

/// Runs the walk that finds what is open before a trace.
fn walk(probes: &mut Probes) -> Check {
    let name = "late attach";
    let limited = |detail: String| Check::new(name, Status::Limited, detail, OTHER_KERNEL);
    let walked = probes.walk().and_then(|walk| {
        walk.run()
            .map_err(|error| LoadError::Loader(error.to_string()))
    });
    match walked.and_then(|()| probes.walk_result()) {
        Ok(found) if found.missing.is_empty() => Check::ok(
            name,
            format!(
                "found {} open devices with their interrupts and mappings; DMA mappings made \
                 before a trace are not found",
                found.devices
            ),
        ),
        Ok(found) => Check::new(name, Status::Limited, found.missing.join("; "), ""),
        Err(error) => limited(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_groups_has_no_iommu() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(iommu(sys.path()).status, Status::Absent);
        fs::create_dir_all(sys.path().join("kernel/iommu_groups/7")).unwrap();
        assert_eq!(iommu(sys.path()).status, Status::Ok);
    }
}
