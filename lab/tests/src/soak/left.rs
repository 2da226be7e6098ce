//! What a tracer could leave behind: programs, links, kprobes, pins, files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::rig::until;

/// Where files could be left.
const FOLDERS: [&str; 5] = ["/run", "/tmp", "/root", "/dev/shm", "/sys/fs/bpf"];
/// Lists of the kernel, a line for each kprobe.
const LISTS: [&str; 2] = [
    "/sys/kernel/debug/kprobes/list",
    "/sys/kernel/tracing/kprobe_events",
];

/// What is there now.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    programs: usize,
    links: usize,
    lines: Vec<String>,
    files: BTreeSet<String>,
}

impl Left {
    /// Reads it.
    pub fn read() -> Result<Self> {
        let (mut lines, mut files) = (Vec::new(), BTreeSet::new());
        for list in LISTS {
            let text = fs::read_to_string(list).with_context(|| format!("reading {list}"))?;
            lines.extend(text.lines().map(str::to_owned));
        }
        for folder in FOLDERS {
            add(Path::new(folder), &mut files)?;
        }
        Ok(Self {
            programs: aya::programs::loaded_programs().count(),
            links: aya::programs::loaded_links().count(),
            lines,
            files,
        })
    }

    /// That nothing else is there now. The kernel frees programs some time after their last user.
    pub fn is_all(&self) -> Result<()> {
        let mut now = Self::read()?;
        let settled = until("programs and kprobes to be freed", || {
            now = Self::read()?;
            Ok((now == *self).then_some(()))
        });
        ensure!(settled.is_ok(), "{now:?} instead of {self:?}");
        Ok(())
    }
}

/// Adds the files below a folder.
fn add(folder: &Path, files: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        files.insert(entry.path().display().to_string());
        if entry.file_type()?.is_dir() {
            add(&entry.path(), files)?;
        }
    }
    Ok(())
}
