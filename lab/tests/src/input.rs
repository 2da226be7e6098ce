//! Bad input, missing prerequisites, and the ways in which a tracer ends: each gives one clear line.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, as_unprivileged, remap, run};
use crate::rig::trace::{Trace, Traced};
use crate::{ALL, ANY, ONCE, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("input::no_such_device", ALL, no_such_device),
        Test::new("input::malformed_arguments", ONCE, malformed),
        Test::new("input::not_bound_to_vfio", ALL, not_bound),
        Test::new("input::a_device_without_the_remap_irq", ALL, without_irq),
        Test::new("input::a_busy_group_names_its_holder", ALL, busy),
        Test::new("input::without_rights", ONCE, without_rights),
        Test::new("input::list_shows_regions_and_irqs", ALL, list),
        Test::new("input::doctor_finds_every_hook", ANY, doctor),
        Test::new("input::filters_of_a_trace", ONCE, filters),
        Test::new("input::in_a_pid_namespace", ONCE, |_| inside()),
        Test::new("input::a_trace_ends_after_its_duration", ONCE, duration),
        Test::new("input::ctrl_c_ends_a_trace_with_a_table", ONCE, ctrl_c),
        Test::new(
            "input::a_closed_pipe_ends_a_trace_silently",
            ONCE,
            broken_pipe,
        ),
    ]
}

/// The commands that open a device.
const USERS: [&str; 2] = ["serve", "drill"];

fn no_such_device(_: &mut Lab) -> Result<()> {
    for command in USERS {
        run(remap(&[command, "0000:7e:1f.7"]))?.fails(1, &["no PCI device 0000:7e:1f.7"])?;
    }
    Ok(())
}

fn malformed(lab: &mut Lab) -> Result<()> {
    for text in ["nonsense", "0000:01:00", "0000:01:20.0", "0000:01:00.8", ""] {
        for command in USERS {
            run(remap(&[command, text]))?.fails(2, &["not a PCI address"])?;
        }
        run(remap(&["trace", "--device", text]))?.fails(2, &["not a PCI address"])?;
    }
    let bdf = lab.bdf.to_string();
    for arguments in [
        vec!["drill", &bdf, "--cycles", "0"],
        vec!["drill", &bdf, "--states", "sideways"],
        vec!["trace", "--buffer", "3"],
        vec!["trace", "--duration", "-1"],
        vec!["trace", "--no-such-option"],
        vec!["no-such-command"],
    ] {
        run(remap(&arguments))?
            .expect(2)
            .with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}

fn not_bound(lab: &mut Lab) -> Result<()> {
    lab.driver.unbind()?;
    for command in USERS {
        let ended = run(remap(&[command, &lab.bdf.to_string()]))?;
        ended.fails(
            1,
            &["unbound, not bound to a vfio driver", "driver_override"],
        )?;
    }
    Ok(())
}

fn without_irq(lab: &mut Lab) -> Result<()> {
    lab.driver.bind("vfio-pci")?;
    let bdf = lab.bdf.to_string();
    run(remap(&["serve", &bdf]))?.fails(1, &["has no remap IRQ"])?;
    run(remap(&["drill", &bdf]))?.fails(1, &["has no migration"])
}

fn busy(lab: &mut Lab) -> Result<()> {
    let service = lab.serve(&[])?;
    let holder = format!("remap ({})", service.pid());
    let bdf = lab.bdf.to_string();
    for command in USERS {
        run(remap(&[command, &bdf]))?.fails(1, &["busy", &holder])?;
    }
    let listed = listed(lab)?;
    ensure!(listed["holders"][0]["pid"] == service.pid(), "{listed}");
    ensure!(listed["details"].is_null(), "{listed}");
    service.end(Signal::TERM)?.expect(0).map(drop)
}

fn without_rights(lab: &mut Lab) -> Result<()> {
    let bdf = lab.bdf.to_string();
    run(as_unprivileged(remap(&["trace", "--duration", "0"])))?
        .fails(3, &["root", "lacks CAP_BPF and CAP_PERFMON"])?;
    for command in USERS {
        run(as_unprivileged(remap(&[command, &bdf])))?.fails(3, &["not allowed"])?;
    }
    let doctor = run(as_unprivileged(remap(&["doctor"])))?;
    doctor.fails(3, &["cannot trace"])?;
    ensure!(
        doctor.stdout.contains("failed   rights"),
        "{}",
        doctor.stdout
    );
    Ok(())
}

/// The line of `list --json` about the device.
pub fn listed(lab: &Lab) -> Result<Value> {
    let ended = run(remap(&["list", "--json"]))?;
    let bdf = lab.bdf.to_string();
    let lines = ended.expect(0)?.stdout.lines();
    lines
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["device"] == bdf.as_str())
        .context("the device is not listed")
}

fn list(lab: &mut Lab) -> Result<()> {
    let listed = listed(lab)?;
    ensure!(
        listed["driver"] == "remap-ref" && listed["group"].is_u64(),
        "{listed}"
    );
    let details = &listed["details"];
    ensure!(
        details["problems"].as_array().is_some_and(Vec::is_empty),
        "{listed}"
    );
    ensure!(
        details["migration"]
            .as_str()
            .is_some_and(|name| name.starts_with("v2")),
        "{listed}"
    );
    let regions = details["regions"].as_array().context("no regions")?;
    let has = |index: u64| {
        let region = regions.iter().find(|region| region["region"] == index);
        region.is_some_and(|region| {
            region["areas"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        })
    };
    ensure!([0, 2, 4, 9].into_iter().all(has), "{listed}");
    let irqs = details["irqs"].as_array().context("no IRQs")?;
    let irq = irqs
        .iter()
        .map(|irq| &irq["remap"])
        .find(|irq| irq.is_object());
    let irq = irq.context("no remap IRQ is listed")?;
    ensure!(
        irq["encoding"] == lab.group.encoding() && irq["mask"] == 0x215,
        "{irq}"
    );
    Ok(())
}

fn doctor(_: &mut Lab) -> Result<()> {
    let ended = run(remap(&["doctor", "--json"]))?;
    let lines = ended.expect(0)?.stdout.lines();
    let checks = lines
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    let hooks = |check: &&Value| {
        let name = check["name"].as_str().unwrap_or_default();
        name.starts_with("hook ") || name == "probes"
    };
    let hooks: Vec<&Value> = checks.iter().filter(hooks).collect();
    ensure!(hooks.len() > 5, "{checks:?}");
    for check in hooks {
        // Absent: this kernel does not have the function, or does not need the hook.
        let fine = check["status"] == "ok" || check["status"] == "absent";
        ensure!(fine, "{check}");
    }
    Ok(())
}

/// In a PID namespace, remap names what does not work there.
fn inside() -> Result<()> {
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("busybox");
        command.args(["unshare", "-p", "-f", "remap"]);
        command.args(arguments);
        run(command)
    };
    inside(&["trace", "--vm", "guest"])?.fails(3, &["--vm", "PID namespace", "--device"])?;
    let doctor = inside(&["doctor"])?;
    let doctor = &doctor.expect(0)?.stdout;
    let limited = |line: &str| line.starts_with("limited") && line.contains("processes");
    ensure!(doctor.lines().any(limited), "{doctor}");
    Ok(())
}

/// Three tracers of the same drill, each with other filters.
fn filters(lab: &mut Lab) -> Result<()> {
    let (bdf, own) = (lab.bdf.to_string(), std::process::id().to_string());
    let small = ["--buffer", "1"];
    let start = |asked: &[&str]| Trace::start(&[&small, asked].concat());
    let other = start(&["--device", "0000:ff:1f.7"])?;
    let part = start(&["--device", &bdf, "--pid", &own, "--class", "migration"])?;
    let long = start(&["--min-latency", "1000s"])?;
    lab.use_it()?;
    let ended = |trace: Trace| -> Result<_> {
        let Traced { lines, summary } = trace.end(0)?;
        Ok((lines.cycles().count(), lines.transitions().count(), summary))
    };
    let (cycles, changes, summary) = ended(other)?;
    ensure!(
        (cycles, changes) == (0, 0)
            && summary.withheld.records > 0
            && summary.stats.transitions() == 0,
        "{summary:?}"
    );
    let (cycles, changes, summary) = ended(part)?;
    ensure!(
        cycles == 0 && changes > 0 && summary.stats.cycles() > 0 && summary.withheld.by_class > 0,
        "{summary:?}"
    );
    let (cycles, changes, summary) = ended(long)?;
    ensure!(
        (cycles, changes) == (0, 0)
            && summary.stats.cycles() > 0
            && summary.withheld.by_latency > 0,
        "{summary:?}"
    );
    Ok(())
}

fn duration(_: &mut Lab) -> Result<()> {
    Trace::start(&["--duration", "0.1"])?.wait(0).map(drop)
}

fn ctrl_c(lab: &mut Lab) -> Result<()> {
    let trace = Running::start_ready(remap(&["trace"]), Output::Kept)?;
    lab.use_it()?;
    let ended = trace.end(Signal::INT)?;
    let text = &ended.expect(0)?.stdout;
    ensure!(ended.stderr.is_empty(), "{}", ended.stderr);
    let bdf = lab.bdf.to_string();
    for word in [bdf.as_str(), "region 0", "seen", "p50", "p99"] {
        ensure!(text.contains(word), "no {word:?} in {text}");
    }
    Ok(())
}

fn broken_pipe(_: &mut Lab) -> Result<()> {
    // It ends at its first write to the closed pipe, which may precede its readiness.
    let ended = Running::start(remap(&["trace", "--json"]), Output::Broken)?.wait()?;
    ended.expect(0)?;
    ensure!(
        ended.stderr.is_empty(),
        "output on stderr: {}",
        ended.stderr
    );
    Ok(())
}
