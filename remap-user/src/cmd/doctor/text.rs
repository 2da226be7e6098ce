//! The checks as text: hooks by category, consequences of a failed check folded into one line.

use std::fmt;

use super::check::{Check, Status};
use crate::live::hooks::row::Category;

/// The text of all checks.
pub(super) struct Lines<'a> {
    checks: &'a [Check],
    all: bool,
}

impl<'a> Lines<'a> {
    /// The text of `checks`; with `all` each hook and each consequence has its line.
    pub fn new(checks: &'a [Check], all: bool) -> Self {
        Self { checks, all }
    }

    /// Whether a check follows from one that has its own line.
    fn is_folded(&self, check: &Check) -> bool {
        let failed = |cause| {
            let mut all = self.checks.iter();
            all.any(|other| other.name == cause && other.status != Status::Ok)
        };
        !self.all && check.status != Status::Ok && check.cause.is_some_and(failed)
    }

    /// What is known of a hook that can be attached: whether it was.
    fn attached(&self) -> &'static str {
        let failed = |check: &Check| check.name == "probes" && check.status == Status::Failed;
        match self.checks.iter().any(failed) {
            true => "available",
            false => "attached",
        }
    }

    fn hooks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for category in Category::ALL {
            let own = |check: &&Check| check.category == Some(category.name());
            let own: Vec<&Check> = self.checks.iter().filter(own).collect();
            // The line of the cause is enough.
            if own.is_empty() || own.iter().any(|check| self.is_folded(check)) {
                continue;
            }
            writeln!(f, "{}", self.category(category, &own))?;
            for check in own {
                if self.all || matches!(check.status, Status::Limited | Status::Failed) {
                    let name = format!("  {}", check.name.trim_start_matches("hook "));
                    writeln!(
                        f,
                        "{}",
                        Check {
                            name,
                            ..check.clone()
                        }
                    )?;
                }
            }
        }
        Ok(())
    }

    /// The line of a category, with the worst status of its hooks.
    fn category(&self, category: Category, own: &[&Check]) -> Check {
        let of = |status| own.iter().filter(|check| check.status == status).count();
        let (here, absent) = (of(Status::Ok), of(Status::Absent));
        let status = match () {
            () if of(Status::Failed) > 0 => Status::Failed,
            () if of(Status::Limited) > 0 => Status::Limited,
            () if here == 0 => Status::Absent,
            () => Status::Ok,
        };
        let mut detail = format!("{here} of {} hooks {}", own.len() - absent, self.attached());
        if absent > 0 {
            let more = format!(", {absent} not on this machine");
            detail.push_str(&more);
        }
        Check::new(category.name(), status, detail, "")
    }

    /// One line for what was folded, which names the cause.
    fn folded(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folded = self.checks.iter().filter(|check| self.is_folded(check));
        let causes: Vec<&str> = folded.filter_map(|check| check.cause).collect();
        let mut named: Vec<&str> = causes.clone();
        named.dedup();
        for cause in named {
            let count = causes.iter().filter(|other| **other == cause).count();
            writeln!(
                f,
                "{count} further checks depend on {cause}: `--all` shows them"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = true;
        for check in self.checks {
            // The hooks follow one another.
            if check.category.is_some() {
                if std::mem::take(&mut before) {
                    self.hooks(f)?;
                }
            } else if !self.is_folded(check) {
                writeln!(f, "{check}")?;
            }
        }
        self.folded(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::VFIO;
    use super::*;

    fn hook(name: &str, category: Category, status: Status, detail: &str) -> Check {
        Check {
            category: Some(category.name()),
            ..Check::new(name, status, detail, "")
        }
    }

    fn some() -> Vec<Check> {
        let there = "kprobe on vfio_device_fops_mmap";
        let lacking = "no zap_vma_ptes in this kernel: no zaps";
        let absent = (Status::Absent, "no iommufd");
        vec![
            Check::ok("kernel types", "BTF and symbols can be read"),
            hook("hook zap_vma", Category::Mappings, Status::Limited, lacking),
            hook("hook vfio_mmap", Category::Mappings, Status::Ok, there),
            hook("hook iommufd_ioctl", Category::Dma, absent.0, absent.1),
            hook("hook data_read", Category::Migration, Status::Ok, there),
            hook(
                "hook data_write",
                Category::Migration,
                Status::Absent,
                "no driver",
            ),
            Check::ok("probes", "all"),
        ]
    }

    #[test]
    fn a_missing_hook_stands_under_its_category() {
        let expected = "\
ok       kernel types         BTF and symbols can be read
limited  mappings             1 of 2 hooks attached
limited    zap_vma            no zap_vma_ptes in this kernel: no zaps
absent   dma                  0 of 0 hooks attached, 1 not on this machine
ok       migration            1 of 1 hooks attached, 1 not on this machine
ok       probes               all
";
        assert_eq!(Lines::new(&some(), false).to_string(), expected);
    }

    #[test]
    fn all_shows_every_hook() {
        let text = Lines::new(&some(), true).to_string();
        for name in ["  vfio_mmap", "  data_read", "  iommufd_ioctl"] {
            assert!(text.contains(name), "{text}");
        }
    }

    /// VFIO is not loaded: the cause with its remedy, and nothing that follows from it.
    fn without_vfio() -> Vec<Check> {
        let vfio = Check::new(VFIO, Status::Failed, "not loaded", "`modprobe vfio-pci`");
        let lost = |name, category, status| {
            hook(name, category, status, "the module vfio is not loaded").caused_by(Some(VFIO))
        };
        vec![
            vfio,
            lost("hook vfio_ioctl", Category::Devices, Status::Failed),
            lost("hook iommufd_open", Category::Devices, Status::Absent),
            hook(
                "hook eventfd_read",
                Category::Interrupts,
                Status::Ok,
                "fentry",
            ),
            hook("hook unmap", Category::Mappings, Status::Ok, "fentry"),
            lost("hook vfio_mmap", Category::Mappings, Status::Limited),
            Check::new("probes", Status::Failed, "vfio", "").caused_by(Some(VFIO)),
        ]
    }

    #[test]
    fn consequences_of_a_cause_are_folded() {
        let expected = "\
failed   vfio                 not loaded; `modprobe vfio-pci`
ok       interrupts           1 of 1 hooks available
4 further checks depend on vfio: `--all` shows them
";
        assert_eq!(Lines::new(&without_vfio(), false).to_string(), expected);
        let all = Lines::new(&without_vfio(), true).to_string();
        assert!(
            all.contains("failed   probes") && all.contains("  vfio_mmap"),
            "{all}"
        );
        assert!(!all.contains("further"), "{all}");
    }

    #[test]
    fn json_names_the_cause_and_folds_nothing() {
        let checks = without_vfio();
        let json = serde_json::to_value(&checks).unwrap();
        assert_eq!(json.as_array().map(Vec::len), Some(checks.len()));
        assert_eq!(json[1]["cause"], "vfio");
        assert_eq!(json[1]["category"], "devices");
        assert_eq!(json[0].get("cause"), None);
    }
}
