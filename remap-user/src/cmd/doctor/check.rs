//! One check: what was looked at, how it ended, and what to do.

use std::fmt;

use remap_core::printable::Name;
use serde::Serialize;

/// The name of the check that most others depend on.
pub(super) const VFIO: &str = "vfio";
/// The name of the check of capabilities, lockdown and the like.
pub(super) const RIGHTS: &str = "rights";
/// The name of the checks of what each command needs.
pub(super) const CAPABILITIES: &str = "capabilities";
/// The remedy where the kernel itself lacks something.
pub(super) const OTHER_KERNEL: &str = "use a kernel that has it, or report this one to remap";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// A trace will lack something.
    Limited,
    /// This machine does not have it, so a trace lacks nothing; or only an owner of devices needs
    /// it.
    Absent,
    /// A trace is impossible.
    Failed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub r#type: &'static str,
    pub name: String,
    pub status: Status,
    /// What a hook traces; only hooks have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<&'static str>,
    pub detail: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
    /// The name of the check whose failure made this one fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
}

impl Check {
    pub fn new(name: &str, status: Status, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            r#type: "check",
            name: name.to_owned(),
            status,
            category: None,
            detail: detail.into(),
            remedy: remedy.to_owned(),
            cause: None,
        }
    }

    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, "")
    }

    /// The same check as a consequence of another.
    pub fn caused_by(self, cause: Option<&'static str>) -> Self {
        Self { cause, ..self }
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
        write!(f, "{status:<8} {:<20} {}", self.name, Name(&self.detail))?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
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
}
