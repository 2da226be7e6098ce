//! What VMMs report, for people.

use std::fmt;

use crate::model::Ns;
use crate::vmm::calls::Kind;
use crate::vmm::checkpoint::Checkpoint;
use crate::vmm::downtime::{Downtime, End, Part};
use crate::vmm::log::LogAccount;

/// What a checkpoint says, for people; who says it comes before.
pub(super) struct CheckpointText<'a>(pub(super) &'a Checkpoint);

impl fmt::Display for CheckpointText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checkpoint {
            log,
            event,
            arguments,
            device,
            ..
        } = self.0;
        // The device has its own column then.
        let words = match device {
            Some(device) => arguments.trim_start_matches(&format!("({device})")).trim(),
            None => arguments,
        };
        write!(f, "· {log}: {event}")?;
        match words {
            "" => Ok(()),
            words => write!(f, " {words}"),
        }
    }
}

/// Who went where.
pub(super) struct Way<'a>(pub(super) &'a Downtime);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)?;
        match &self.0.destination {
            Some(destination) => write!(f, " → {destination}"),
            None => Ok(()),
        }
    }
}

/// The whole of a downtime, for people.
pub(super) struct DowntimeText<'a>(pub(super) &'a Downtime);

impl fmt::Display for DowntimeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let downtime = self.0;
        let (duration, error) = (Ns(downtime.total.duration()), Ns(downtime.error_ns));
        let shares = Shares(&downtime.total);
        write!(f, "downtime {duration} (± {error}): {shares}")?;
        f.write_str(match downtime.end {
            End::Moved => "",
            End::HandedOver => {
                "; until the handover: no log has the time at which the machine ran again"
            }
            End::WentOn => "; the migration failed, and the machine continued at the source",
            End::TraceEnd => "; not ended when the trace ended",
        })?;
        if !downtime.complete {
            f.write_str("; records are missing, so the kernel's share may be larger")?;
        }
        Ok(())
    }
}

/// A part of a downtime, for people.
pub(super) struct PartText<'a>(pub(super) &'a Part);

impl fmt::Display for PartText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.0;
        let to = part.to.as_deref().unwrap_or("the end of the trace");
        let (duration, shares) = (Ns(part.duration()), Shares(part));
        write!(f, "{} → {to}  {duration}: {shares}", part.from)
    }
}

/// Kernel and VMM, and what the kernel did.
struct Shares<'a>(&'a Part);

impl fmt::Display for Shares<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.0;
        let (kernel, vmm) = (Ns(part.kernel_ns()), Ns(part.vmm_ns()));
        write!(f, "VMM {vmm}, kernel {kernel}")?;
        let mut kinds: Vec<(Kind, u64)> = part.kernel.iter().map(|(k, ns)| (*k, *ns)).collect();
        kinds.sort_by_key(|(kind, ns)| (std::cmp::Reverse(*ns), *kind));
        for (n, (kind, ns)) in kinds.iter().enumerate() {
            let before = if n == 0 { " (" } else { ", " };
            write!(f, "{before}{} {}", kind.words(), Ns(*ns))?;
        }
        f.write_str(if kinds.is_empty() { "" } else { ")" })
    }
}

/// What was read of a log, for people.
pub(super) struct LogText<'a>(pub(super) &'a LogAccount);

impl fmt::Display for LogText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.0;
        write!(f, "QEMU log {}: ", log.name)?;
        if !log.there {
            return f.write_str("the file does not exist; is it the file of QEMU's -D option?");
        }
        let error = Ns(log.error_ns);
        write!(
            f,
            "{} lines, {} checkpoints (± {error})",
            log.lines, log.checkpoints
        )?;
        for (count, what) in [
            (log.others, "other trace events"),
            (log.earlier, "from before the trace"),
            (
                log.untimed,
                "without a time: run QEMU with -msg timestamp=on",
            ),
            (log.foreign, "not understood"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if log.unread_bytes > 0 {
            let bytes = log.unread_bytes;
            write!(f, "; the last {bytes} bytes were not read in time")?;
        }
        if log.clock_moved_ns > 0 {
            let moved = Ns(log.clock_moved_ns);
            write!(f, "; the wall clock was moved by {moved} meanwhile")?;
        }
        if log.checkpoints == 0 {
            f.write_str("; run QEMU with -trace 'vmstate_downtime_*' -trace vm_state_notify")?;
        }
        Ok(())
    }
}
