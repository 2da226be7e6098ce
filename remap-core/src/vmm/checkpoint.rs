//! QEMU trace events that mark the progress of a migration, on the trace's time line.
//!
//! Names and formats are of QEMU's `migration/trace-events`, `hw/vfio/trace-events` and
//! `system/trace-events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::Line;

/// A point of a migration, from the VMM's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// When (CLOCK_MONOTONIC ns), from the VMM's wall clock, within
    /// [`Checkpoint::error_ns`].
    pub time_ns: u64,
    /// The largest error of `time_ns`, ns.
    pub error_ns: u64,
    /// The log's name, as the user gave it.
    pub log: String,
    /// The thread in the VMM's own PID namespace, if the log has it.
    pub tid: Option<u32>,
    /// The trace event's name.
    pub event: String,
    /// Its arguments, as its format writes them.
    pub arguments: String,
    /// The device that it concerns: QEMU names an assigned device by its address on the host.
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

/// Which trace events are shown. Events for each block of data or each poll are left
/// out: the probes measure those.
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

/// The address in parentheses at the start of an hw/vfio event's arguments.
pub fn device(line: &Line<'_>) -> Option<String> {
    let (name, _) = line.arguments.strip_prefix('(')?.split_once(')')?;
    let is_vfio = line.event.starts_with("vfio_") && !name.is_empty();
    is_vfio.then(|| name.to_owned())
}

impl Checkpoint {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        let has = |text: &str| self.arguments.contains(text);
        match self.event.as_str() {
            "vmstate_downtime_checkpoint" => match self.arguments.as_str() {
                "src-downtime-start" => Meaning::Stops,
                "src-downtime-end" => Meaning::HandedOver,
                "dst-precopy-bh-vm-started" | "dst-postcopy-bh-vm-started" => Meaning::Runs,
                _ => Meaning::Step,
            },
            "vm_state_notify" | "vfio_vmstate_change" | "vfio_vmstate_change_prepare" => {
                if has("running 1") {
                    Meaning::Runs
                } else if has("finish-migrate") {
                    Meaning::Stops
                } else {
                    Meaning::Other
                }
            }
            "migrate_set_state" if has("failed") || has("cancelled") => Meaning::Failed,
            _ => Meaning::Other,
        }
    }

    /// The shortest name: that of the downtime checkpoint, else that of the event.
    pub fn name(&self) -> &str {
        match self.event.as_str() {
            "vmstate_downtime_checkpoint" if !self.arguments.is_empty() => &self.arguments,
            event => event,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::vmm::log::parse;

    /// A checkpoint of `log`, from the text after the stamp.
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
    fn each_checkpoint_has_its_meaning() {
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
    fn the_end_of_a_migration_has_its_meaning() {
        for (words, meaning) in [
            ("migrate_set_state new state failed", Meaning::Failed),
            (
                "vmstate_downtime_checkpoint dst-postcopy-bh-vm-started",
                Meaning::Runs,
            ),
            ("vfio_vmstate_change_prepare  (a) running 1", Meaning::Runs),
            ("savevm_state_complete_precopy failed", Meaning::Other),
        ] {
            assert_eq!(checkpoint("src", 0, words).meaning(), meaning, "{words}");
        }
    }

    #[test]
    fn only_an_event_of_vfio_names_a_device() {
        for (words, name) in [
            ("vfio_load_setup (a)", Some("a")),
            ("vfio_load_setup ()", None),
            ("vfio_load_setup a", None),
            ("runstate_set (a)", None),
        ] {
            let device = checkpoint("src", 0, words).device;
            assert_eq!(device.as_deref(), name, "{words}");
        }
    }

    #[test]
    fn a_checkpoint_of_the_downtime_has_its_own_name() {
        let name = |words: &str| checkpoint("src", 0, words).name().to_owned();
        assert_eq!(
            name("vmstate_downtime_checkpoint src-vm-stopped"),
            "src-vm-stopped"
        );
        assert_eq!(name("runstate_set running"), "runstate_set");
        let unnamed = "vmstate_downtime_checkpoint";
        assert_eq!(name(unnamed), unnamed);
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
    fn an_event_for_each_block_is_no_checkpoint() {
        let line = parse(b"7@1.0:vfio_save_block  (0000:01:00.0) data_size 1048576").unwrap();
        assert!(!is_checkpoint(&line));
    }
}
