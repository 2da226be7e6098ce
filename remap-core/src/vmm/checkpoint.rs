//! Trace events of QEMU that say how far a migration is, on the trace's own time line.
//!
//! Names and formats are of QEMU's `migration/trace-events`, `hw/vfio/trace-events` and
//! `system/trace-events`.

use serde::{Deserialize, Serialize};

use super::log::Line;

/// A point of a migration, as the VMM told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When (CLOCK_MONOTONIC ns), from the VMM's wall clock; [`Checkpoint::error_ns`] says how
    /// exact that is.
    pub time_ns: u64,
    /// How far the truth may be from `time_ns`, ns.
    pub error_ns: u64,
    /// Which log: the name that the user knows it by.
    pub log: String,
    /// The thread in the VMM's own PID namespace, where the log says so.
    pub tid: Option<u32>,
    /// The trace event's name.
    pub event: String,
    /// Its arguments, as its format writes them.
    pub arguments: String,
    /// The device that it is about: QEMU names an assigned one by its address on the host.
    pub device: Option<String>,
}

/// What a checkpoint means for the virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The source begins to stop it, to hand it over.
    Stops,
    /// The source has handed it over.
    HandedOver,
    /// It runs, again or for the first time.
    Runs,
    /// The migration failed or was cancelled.
    Failed,
    /// A step within the downtime.
    Step,
    /// None of these.
    Other,
}

/// Which trace events are shown. Those that QEMU writes for each block of data or each poll are
/// left out: their sums are what the probes see.
const SHOWN: &[&str] = &[
    "vmstate_downtime_checkpoint",
    "migrate_set_state",
    "migrate_error",
    "migrate_fd_error",
    "migrate_cancel",
    "migrate_fd_cancel",
    "migration_cancel",
    "migration_thread_setup_complete",
    "migration_thread_after_loop",
    "migration_completion_vm_stop",
    "migration_completion_file_err",
    "migration_completion_postcopy_end",
    "process_incoming_migration_co_end",
    "process_incoming_migration_end",
    "savevm_state_complete_precopy",
    "postcopy_start",
    "vm_state_notify",
    "runstate_set",
    "vfio_migration_set_state",
    "vfio_migration_set_device_state",
    "vfio_migration_state_notifier",
    "vfio_vmstate_change",
    "vfio_vmstate_change_prepare",
    "vfio_save_setup",
    "vfio_save_complete_precopy",
    "vfio_save_complete_precopy_start",
    "vfio_save_complete_precopy_thread_start",
    "vfio_save_complete_precopy_thread_end",
    "vfio_save_cleanup",
    "vfio_load_setup",
    "vfio_load_device_config_state",
    "vfio_load_device_config_state_start",
    "vfio_load_device_config_state_end",
    "vfio_load_cleanup",
];

/// Whether the trace event of `line` is a checkpoint.
pub fn is_checkpoint(line: &Line<'_>) -> bool {
    SHOWN.contains(&line.event)
}

/// The address that stands in parentheses at the begin of an hw/vfio event's arguments.
pub fn device(line: &Line<'_>) -> Option<String> {
    let (name, _) = line.arguments.strip_prefix('(')?.split_once(')')?;
    let is_vfio = line.event.starts_with("vfio_") && !name.is_empty();
    is_vfio.then(|| name.to_owned())
}

impl Checkpoint {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        let says = |text: &str| self.arguments.contains(text);
        match self.event.as_str() {
            "vmstate_downtime_checkpoint" => match self.arguments.as_str() {
                "src-downtime-start" => Meaning::Stops,
                "src-downtime-end" => Meaning::HandedOver,
                "dst-precopy-bh-vm-started" | "dst-postcopy-bh-vm-started" => Meaning::Runs,
                _ => Meaning::Step,
            },
            "vm_state_notify" | "vfio_vmstate_change" | "vfio_vmstate_change_prepare" => {
                if says("running 1") {
                    Meaning::Runs
                } else if says("finish-migrate") {
                    Meaning::Stops
                } else {
                    Meaning::Other
                }
            }
            "migrate_set_state" if says("failed") || says("cancelled") => Meaning::Failed,
            _ => Meaning::Other,
        }
    }

    /// The shortest words for it: a downtime checkpoint's own name, else the event's.
    pub fn name(&self) -> &str {
        match self.event.as_str() {
            "vmstate_downtime_checkpoint" => &self.arguments,
            event => event,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::vmm::log::parse;

    /// A checkpoint of `log`, from the words after the stamp.
    pub(crate) fn checkpoint(log: &str, time_ns: u64, words: &str) -> Checkpoint {
        let text = format!("7@1.0:{words}");
        let line = parse(text.as_bytes()).unwrap();
        assert!(is_checkpoint(&line), "{words}");
        Checkpoint {
            time_ns,
            error_ns: 0,
            log: log.into(),
            tid: line.tid,
            event: line.event.into(),
            arguments: line.arguments.into(),
            device: device(&line),
        }
    }

    #[test]
    fn what_checkpoints_mean() {
        for (words, meaning) in [
            (
                "vmstate_downtime_checkpoint src-downtime-start",
                Meaning::Stops,
            ),
            (
                "vmstate_downtime_checkpoint src-iterable-saved",
                Meaning::Step,
            ),
            (
                "vmstate_downtime_checkpoint src-downtime-end",
                Meaning::HandedOver,
            ),
            (
                "vmstate_downtime_checkpoint dst-precopy-bh-vm-started",
                Meaning::Runs,
            ),
            (
                "vm_state_notify running 0 reason 5 (finish-migrate)",
                Meaning::Stops,
            ),
            (
                "vm_state_notify running 0 reason 4 (paused)",
                Meaning::Other,
            ),
            (
                "vm_state_notify running 1 reason 9 (running)",
                Meaning::Runs,
            ),
            ("migrate_set_state new state cancelled", Meaning::Failed),
            ("migrate_set_state new state active", Meaning::Other),
            (
                "vfio_vmstate_change  (0000:01:00.0) running 0 reason finish-migrate device state STOP",
                Meaning::Stops,
            ),
        ] {
            assert_eq!(checkpoint("src", 0, words).meaning(), meaning, "{words}");
        }
    }

    #[test]
    fn a_device_is_named_by_its_address() {
        let words = "vfio_save_complete_precopy  (0000:01:00.0) ret 0";
        let named = checkpoint("src", 0, words);
        assert_eq!(named.device.as_deref(), Some("0000:01:00.0"));
        let reason = "vm_state_notify running 0 reason 5 (finish-migrate)";
        assert_eq!(checkpoint("src", 0, reason).device, None);
    }

    #[test]
    fn what_comes_with_each_block_is_no_checkpoint() {
        let line = parse(b"7@1.0:vfio_save_block  (0000:01:00.0) data_size 1048576").unwrap();
        assert!(!is_checkpoint(&line));
    }
}
