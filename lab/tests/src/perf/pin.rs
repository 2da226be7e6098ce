//! The pin of the perf event array: where it may be, and that it is removed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap, run};
use crate::rig::trace::Trace;

/// Tests by name.
pub type Tests = &'static [(&'static str, fn(&mut Lab) -> Result<()>)];

pub const TESTS: Tests = &[
    ("perf::a_pin_lies_in_a_bpf_file_system", placed),
    ("perf::a_pin_is_removed_however_a_trace_ends", removed),
];

/// Where the file system is.
const FOLDER: &str = "/sys/fs/bpf";
/// The pin.
pub const PIN: &str = "/sys/fs/bpf/remap";

/// `BPF_FS_MAGIC`.
const BPF_FS: u64 = 0xcafe_4a11;

/// Mounts the file system, if it is not there. What a test that failed has left is removed.
pub fn mounted() -> Result<()> {
    let _ = fs::remove_file(PIN);
    if rustix::fs::statfs(FOLDER)?.f_type.cast_unsigned() == BPF_FS {
        return Ok(());
    }
    let none: Option<&std::ffi::CStr> = None;
    mount("bpf", FOLDER, "bpf", MountFlags::empty(), none).context("mounting bpffs")
}

/// That a trace with this pin is refused for a reason with these words.
fn refused(path: &str, words: &[&str]) -> Result<()> {
    let words: Vec<&str> = [path].into_iter().chain(words.iter().copied()).collect();
    run(remap(&["trace", "--perf-events", path]))?.fails(1, &words)
}

fn placed(_: &mut Lab) -> Result<()> {
    // Another test may have been first.
    let _ = unmount(FOLDER, UnmountFlags::empty());
    refused(PIN, &["BPF file system", "mount -t bpf bpf /sys/fs/bpf"])?;
    mounted()?;
    refused("/run/remap", &["BPF file system", "/sys/fs/bpf/NAME"])?;
    refused("/sys/fs/bpf/none/remap", &["ENOENT"])?;
    refused("/sys/fs/bpf/a.b", &["no dot"])
}

pub fn is_there() -> bool {
    fs::symlink_metadata(PIN).is_ok()
}

/// A trace with the pin.
fn trace() -> Result<Trace> {
    let trace = Trace::start(&["--perf-events", PIN])?;
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(PIN)?);
    ensure!(mode & 0o777 == 0o600, "mode {mode:o}");
    Ok(trace)
}

/// The tests of readers have those that end in order.
fn removed(_: &mut Lab) -> Result<()> {
    mounted()?;
    let unread = remap(&["trace", "--json", "--perf-events", PIN]);
    Running::start(unread, Output::Broken)?.wait()?.expect(0)?;
    ensure!(
        !is_there(),
        "left by a trace without a reader of its output"
    );
    let two = trace()?;
    refused(PIN, &["it exists", "rm /sys/fs/bpf/remap"])?;
    ensure!(is_there(), "a refused trace has removed the pin");
    // Both signals are handled one after the other.
    two.process().stop()?;
    two.process().signal(Signal::INT)?;
    two.process().signal(Signal::TERM)?;
    let ended = two.kill(Signal::CONT)?;
    let code = ended.status.code();
    ensure!(code.is_some_and(|code| code > 128), "{ended:?}");
    ensure!(!is_there(), "left by the second signal");
    trace()?.kill(Signal::KILL)?;
    ensure!(is_there(), "nothing can remove it");
    refused(
        PIN,
        &["left from a trace that was killed", "rm /sys/fs/bpf/remap"],
    )?;
    fs::remove_file(Path::new(PIN))?;
    Ok(())
}
