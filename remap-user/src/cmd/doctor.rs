//! `remap doctor`: what this machine can show, and what it cannot.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

mod hooks;

use clap::Args;
use serde::Serialize;

use crate::{
    cmd::output::Format,
    exit::{Code, Error},
    kernel::{Kernel, layout::measure},
    live::{
        error::LoadError,
        hooks::lookup,
        probes::{LoadOptions, Probes},
        process::sees_all_pids,
    },
    vfio::sysfs::Host,
};
use remap_core::account::Misses;

/// Says what this machine can show and what it cannot, with the reason and the remedy.
///
/// Loads the probes for a moment, and opens no device. Exits with 3 if a trace is impossible here.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Write JSON Lines; they have all hooks.
    #[arg(long)]
    json: bool,
    /// Write a line for each hook, also for those that are there.
    #[arg(long)]
    all: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// Something will be missing from a trace.
    Limited,
    /// Not here, and so nothing to see of it; or only what owns a device is concerned.
    Absent,
    /// A trace is impossible.
    Failed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    r#type: &'static str,
    name: String,
    status: Status,
    /// What a hook is for; only hooks have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'static str>,
    detail: String,
    /// What to do about it; empty where there is nothing to do.
    remedy: String,
}

impl Check {
    fn new(name: &str, status: Status, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            r#type: "check",
            name: name.to_owned(),
            status,
            topic: None,
            detail: detail.into(),
            remedy: remedy.to_owned(),
        }
    }

    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, "")
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Limited => "limited",
            Status::Absent => "absent",
            Status::Failed => "failed",
        };
        write!(f, "{status:<8} {:<20} {}", self.name, self.detail)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// All lines for people, the hooks by their topics.
struct Lines<'a>(&'a [Check], bool);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(checks, all) = self;
        let mut hooks = Vec::new();
        for check in *checks {
            if check.topic.is_some() {
                hooks.push(check);
                continue;
            }
            // They follow one another, and the next check closes them.
            hooks::write(f, &std::mem::take(&mut hooks), *all)?;
            writeln!(f, "{check}")?;
        }
        hooks::write(f, &hooks, *all)
    }
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
        match Kernel::running(&lookup::functions()) {
            Ok(kernel) => {
                checks.push(Check::ok("kernel types", "BTF and symbols can be read"));
                checks.extend(hooks::checks(&kernel));
                checks.extend(layout(&kernel));
            }
            Err(error) => checks.push(Check::new(
                "kernel types",
                Status::Failed,
                error.to_string(),
                "a kernel with CONFIG_DEBUG_INFO_BTF is needed",
            )),
        }
        checks.extend(probes());
        let format = Format::new(self.json);
        let mut out = io::stdout().lock();
        match format {
            Format::Json => checks
                .iter()
                .try_for_each(|check| format.write(&mut out, check))?,
            Format::Text => write!(out, "{}", Lines(&checks, self.all))?,
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
    let name = "vfio";
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
    let devices = host.vfio_devices();
    if devices.is_empty() {
        Check::new(
            "devices",
            Status::Absent,
            "no device is bound to a vfio driver",
            "set its driver_override, and bind it",
        )
    } else {
        let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
        Check::ok("devices", names.join(", "))
    }
}

fn processes() -> Check {
    let name = "processes";
    if sees_all_pids() {
        Check::ok(name, "/proc shows those that the probes see")
    } else {
        Check::new(
            name,
            Status::Limited,
            "remap is in a PID namespace: virtual machines have no names, and calls that are under \
             way when a trace begins are not told",
            "run it outside of the namespace",
        )
    }
}

/// What to do where the kernel itself lacks something.
const OTHER_KERNEL: &str = "use a kernel that has it, or report this one to remap";

fn layout(kernel: &Kernel) -> Vec<Check> {
    let measured = measure(kernel);
    let name = "kernel structures";
    let limited = |detail: String| Check::new(name, Status::Limited, detail, OTHER_KERNEL);
    let mut checks: Vec<Check> = measured.missing.into_iter().map(limited).collect();
    for member in measured.fatal {
        let detail = format!("no {member} in BTF, so nothing can be traced");
        checks.push(Check::new(name, Status::Failed, detail, OTHER_KERNEL));
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            name,
            "every member that the probes read is described",
        ));
    }
    checks
}

/// Whether every loss can be counted here.
fn account(probes: &Probes) -> Check {
    let name = "account";
    let unknown = "how often a kprobe did not fire, or a kretprobe had no room for one more thread, is \
                   unknown; a return that is missed for that shows as return_missed";
    match probes.hooks.missed() {
        Ok(Misses { known: true, .. }) => {
            Check::ok(name, "every run that the kernel skips is counted")
        }
        Ok(_) => Check::new(
            name,
            Status::Absent,
            format!(
                "this kernel does not tell it (it does since 6.7, with CAP_SYS_ADMIN): {unknown}"
            ),
            "",
        ),
        Err(error) => Check::new(name, Status::Limited, format!("{error}: {unknown}"), ""),
    }
}

/// The proof: load and attach everything, and take it out again.
fn probes() -> Vec<Check> {
    let name = "probes";
    let options = LoadOptions {
        ring_bytes: 1 << 20,
        tracing: true,
        diagnostics: false,
    };
    match Probes::attach(options) {
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
            vec![attached, account(&probes), walk(&mut probes)]
        }
        Err(error) => vec![Check::new(
            name,
            Status::Failed,
            error.to_string(),
            "see the lines above",
        )],
    }
}

/// The proof that a trace finds what is there before it.
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
                "{} open devices were found, with their interrupts and mappings; mappings for DMA \
                 are known from when a trace begins",
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
    fn a_line_has_status_name_reason_and_remedy() {
        let check = Check::new("iommu", Status::Absent, "no group", "enable it");
        assert_eq!(
            check.to_string(),
            "absent   iommu                no group; enable it"
        );
    }

    #[test]
    fn a_machine_without_groups_is_told_what_to_do() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(iommu(sys.path()).status, Status::Absent);
        fs::create_dir_all(sys.path().join("kernel/iommu_groups/7")).unwrap();
        assert_eq!(iommu(sys.path()).status, Status::Ok);
    }
}
