//! What a command needs, what it gives up, and that it still does its work with the rest.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use remap_user::confine::capabilities::{ATTACHING, names};
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::lockdown;
use crate::rig::process::{Ended, Output, Running, remap, run};
use crate::rig::suite::Group;
use crate::rig::trace::Trace;
use crate::{ALL, ONCE, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("rights::a_trace_gives_up_all", VECTORS, gives_up_all),
        Test::new("rights::a_trace_keeps_what_attaching_needs", ALL, keeps),
        Test::new(
            "rights::a_module_is_not_traced_without_them",
            ONCE,
            untraced,
        ),
        Test::new("rights::each_set_of_capabilities", ONCE, sets),
        Test::new("rights::serve_becomes_another_user", ALL, serves),
        Test::new("rights::files_are_private", ONCE, files),
    ]
}

/// The last test of a guest: lockdown is not switched off again, and forbids what the other tests need.
pub fn last() -> Test {
    Test::new(
        "rights::lockdown",
        &[Group::Bitmap, Group::Cdev],
        locked_down,
    )
}

/// A word of each `/proc/PID/task/TID/status`: the value of a field.
fn fields(process: &Running, name: &str) -> Result<Vec<String>> {
    let tasks = format!("/proc/{}/task", process.pid());
    let mut values = Vec::new();
    for task in fs::read_dir(&tasks)? {
        // A thread may have exited meanwhile.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else {
            continue;
        };
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.with_context(|| format!("no {name} in {status}"))?;
        values.push(value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    ensure!(!values.is_empty(), "no task in {tasks}");
    Ok(values)
}

fn all_are(process: &Running, name: &str, value: &str) -> Result<()> {
    let values = fields(process, name)?;
    ensure!(
        values.iter().all(|one| one == value),
        "{name} {values:?}, not {value:?}"
    );
    Ok(())
}

const NONE: &str = "0000000000000000";

fn gives_up_all(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--no-reattach"])?;
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        all_are(trace.process(), set, NONE)?;
    }
    all_are(trace.process(), "NoNewPrivs:", "1")?;
    all_are(trace.process(), "Seccomp:", "2")?;
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", "3"])?.expect(0)?;
    let log = lab.driver.log()?;
    let traced = trace.end(0)?;
    traced.lost_nothing()?;
    traced.found(&[])?;
    driver::agree(&traced.lines, &log)
}

fn keeps(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&[])?;
    let kept = format!("{:016x}", ATTACHING.bits());
    let sets = fields(trace.process(), "CapEff:")?;
    ensure!(
        sets.contains(&kept) && sets.iter().all(|set| *set == kept || set == NONE),
        "{sets:?}, not {kept}"
    );
    all_are(trace.process(), "NoNewPrivs:", "1")?;
    all_are(trace.process(), "Seccomp:", "2")?;
    lab.use_it()?;
    trace.end(0)?.lost_nothing()
}

/// The driver is reloaded: a trace that gave up everything says that it does not see it any more.
fn untraced(lab: &mut Lab) -> Result<()> {
    let command = remap(&["trace", "--json", "--no-reattach"]);
    let trace = Running::start_ready(command, Output::Kept)?;
    lab.driver.reload(&[])?;
    lab.use_it()?;
    let ended = trace.end(Signal::INT)?;
    ended.expect(0)?;
    let said = |words: &str| ended.stderr.lines().any(|line| line.contains(words));
    ensure!(
        said("remap_ref was unloaded") && said("remap_ref was loaded, and is not traced"),
        "{}",
        ended.stderr
    );
    Ok(())
}

/// A user of its own, so that nothing is allowed because a file is root's.
const OTHER: u32 = 65534;

/// Runs a command of another user with these capabilities only.
fn run_with(set: CapabilitySet, arguments: &[&str]) -> Result<Ended> {
    let ended = thread::scope(|scope| {
        // A thread has capabilities of its own, and its children get them.
        let run = || {
            become_other(set)?;
            run(remap(arguments))
        };
        scope.spawn(run).join()
    });
    ended.map_err(|_| anyhow!("the thread panicked"))?
}

fn become_other(set: CapabilitySet) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(OTHER), Gid::from_raw(OTHER));
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let sets = CapabilitySets {
        effective: set,
        permitted: set,
        inheritable: set,
    };
    set_capabilities(None, sets)?;
    for capability in set.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

const BPF: CapabilitySet = CapabilitySet::BPF;
const PERFMON: CapabilitySet = CapabilitySet::PERFMON;
const SYSLOG: CapabilitySet = CapabilitySet::SYSLOG;
const ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// How a trace ends with a set of capabilities, by `kernel.perf_event_paranoid`.
struct Row {
    set: CapabilitySet,
    /// At 2: it works, or it is refused with these words.
    usual: Result<(), &'static str>,
    /// At 3, which is Debian's own.
    strict: Result<(), &'static str>,
}

const ROWS: [Row; 7] = [
    Row {
        set: CapabilitySet::empty(),
        usual: Err("lacks CAP_BPF and CAP_PERFMON"),
        strict: Err("lacks CAP_BPF and CAP_PERFMON"),
    },
    Row {
        set: BPF,
        usual: Err("lacks CAP_PERFMON"),
        strict: Err("lacks CAP_PERFMON"),
    },
    Row {
        set: PERFMON.union(SYSLOG),
        usual: Err("lacks CAP_BPF"),
        strict: Err("lacks CAP_BPF"),
    },
    Row {
        set: BPF.union(PERFMON),
        usual: Ok(()),
        strict: Err("perf_event_paranoid is 3"),
    },
    Row {
        set: BPF.union(PERFMON).union(SYSLOG),
        usual: Ok(()),
        strict: Err("perf_event_paranoid is 3"),
    },
    Row {
        set: ADMIN,
        usual: Ok(()),
        strict: Ok(()),
    },
    Row {
        set: ADMIN.union(SYSLOG),
        usual: Ok(()),
        strict: Ok(()),
    },
];

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// `perf_event_paranoid` as it was, when this is dropped.
struct Before(String);

impl Drop for Before {
    fn drop(&mut self) {
        let _ = fs::write(PARANOID, &self.0);
    }
}

fn sets(lab: &mut Lab) -> Result<()> {
    let before = Before(fs::read_to_string(PARANOID)?.trim().to_owned());
    // Only Debian's kernels know 3: elsewhere it is 2 for a trace.
    let debian = fs::read_to_string("/proc/version")?.contains("Debian");
    for row in &ROWS {
        let words = names(row.set);
        fs::write(PARANOID, "3")?;
        let expected = if debian { row.strict } else { row.usual };
        one(lab, row.set, expected).with_context(|| format!("[{words}] at paranoid 3"))?;
        if row.strict != row.usual {
            fs::write(PARANOID, "2")?;
            one(lab, row.set, row.usual).with_context(|| format!("[{words}] at paranoid 2"))?;
        }
    }
    drop(before);
    // What opens a device needs its node, and no capability.
    let bdf = lab.bdf.to_string();
    let _open = Opened::all()?;
    run_with(CapabilitySet::empty(), &["drill", &bdf, "--cycles", "1"])?.expect(0)?;
    let listed = run_with(CapabilitySet::empty(), &["list"])?;
    ensure!(
        listed.expect(0)?.stdout.contains("migration v2"),
        "{}",
        listed.stdout
    );
    Ok(())
}

fn one(lab: &Lab, set: CapabilitySet, expected: Result<(), &'static str>) -> Result<()> {
    let user = lab.open()?;
    let arguments = ["trace", "--json", "--duration", "0.1"];
    let ended = run_with(set, &arguments)?;
    drop(user);
    let words = match expected {
        Ok(()) => {
            ended.expect(0)?;
            // Without CAP_SYSLOG the kernel hides its addresses, and remap says what is lost by that.
            let hidden = ended.stderr.contains("devices that were open before");
            ensure!(hidden != set.contains(SYSLOG), "{}", ended.stderr);
            return Ok(());
        }
        Err(words) => words,
    };
    ended.fails(3, &[words])?;
    let doctor = run_with(set, &["doctor"])?;
    ensure!(
        doctor.expect(3)?.stdout.contains(words),
        "doctor: {}",
        doctor.stdout
    );
    Ok(())
}

/// The nodes of VFIO, for everyone until this is dropped.
struct Opened(Vec<(std::path::PathBuf, fs::Permissions)>);

impl Opened {
    fn all() -> Result<Self> {
        let mut before = Vec::new();
        for node in fs::read_dir("/dev/vfio")? {
            let path = node?.path();
            if path.is_dir() {
                continue;
            }
            before.push((path.clone(), fs::metadata(&path)?.permissions()));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        }
        Ok(Self(before))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        for (path, permissions) in self.0.drain(..) {
            let _ = fs::set_permissions(path, permissions);
        }
    }
}

fn serves(lab: &mut Lab) -> Result<()> {
    let service = lab.serve(&["--user", "65534:65534"])?;
    all_are(&service, "Uid:", "65534 65534 65534 65534")?;
    all_are(&service, "Gid:", "65534 65534 65534 65534")?;
    all_are(&service, "Groups:", "")?;
    all_are(&service, "CapPrm:", NONE)?;
    all_are(&service, "NoNewPrivs:", "1")?;
    lab.driver.clear_log()?;
    lab.driver.trigger(1 << 2)?;
    lab.driver.settle()?;
    let log = lab.driver.log()?;
    ensure!(log.acks().len() == 1, "{:?}", log.acks());
    service.end(Signal::TERM)?.expect(0)?;
    let refused = run(remap(&["serve", &lab.bdf.to_string(), "--user", "none"]))?;
    ensure!(
        refused.expect(2)?.stderr.contains("UID:GID"),
        "{}",
        refused.stderr
    );
    Ok(())
}

fn files(lab: &mut Lab) -> Result<()> {
    let folder = Path::new("/run/lab-test-files");
    fs::create_dir_all(folder)?;
    let (file, link, target) = (
        folder.join("ready"),
        folder.join("link"),
        folder.join("target"),
    );
    let bdf = lab.bdf.to_string();
    symlink(&target, &link)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (ready, linked) = (text(&file), text(&link));
    run(remap(&["trace", "--duration", "1", "--ready-file", &ready]))?.expect(0)?;
    let mode = fs::metadata(&file)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let refused = run(remap(&["trace", "--ready-file", &linked]))?;
    refused.expect(1)?;
    ensure!(
        refused.stderr.contains("symbolic link"),
        "{}",
        refused.stderr
    );
    for arguments in [
        ["serve", &bdf, "--ready-file", &linked],
        ["drill", &bdf, "--ready-file", &linked],
    ] {
        let refused = run(remap(&arguments))?;
        refused.expect(1)?;
        ensure!(
            refused.stderr.contains("symbolic link"),
            "{}",
            refused.stderr
        );
    }
    ensure!(!target.exists(), "a symbolic link was followed");
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// In each mode of lockdown: integrity allows a trace, confidentiality does not.
fn locked_down(_: &mut Lab) -> Result<()> {
    lockdown::switch_to("integrity")?;
    run(remap(&["trace", "--duration", "0.1"]))?.expect(0)?;
    lockdown::switch_to("confidentiality")?;
    let words = "lockdown is in the mode confidentiality";
    run(remap(&["trace", "--duration", "0.1"]))?.fails(3, &[words])?;
    let doctor = run(remap(&["doctor"]))?;
    ensure!(
        doctor.expect(3)?.stdout.contains(words),
        "{}",
        doctor.stdout
    );
    Ok(())
}
