//! What a lost record can have changed, by what it can have been.

use crate::event::LostKind;
use crate::model::Rule;

/// A kind of lost records, as the trackers see it.
pub(super) trait Effect {
    /// Whether it can have been a stage of a cycle that has begun.
    fn can_be_stage(self) -> bool;
    /// Whether it can refute a finding of that rule.
    fn refutes(self, rule: Rule) -> bool;
}

impl Effect for LostKind {
    fn can_be_stage(self) -> bool {
        matches!(self, Self::Read | Self::Other)
    }

    fn refutes(self, rule: Rule) -> bool {
        let hooks: &[&str] = match self {
            Self::Signal => &["eventfd_signal"],
            Self::Read => &["eventfd_read"],
            Self::Interrupt => &["eventfd_signal", "eventfd_read", "eventfd_ctx_do_read"],
            Self::Consumed => &["eventfd_ctx_do_read"],
            Self::Fault => &["fault", "fault_vendor"],
            Self::Data => &["data_read"],
            Self::Other => return true,
        };
        let depends_on = [rule.needs(), rule.unreliable_without()].concat();
        hooks.iter().any(|hook| depends_on.contains(hook))
    }
}
