//! How the correlation judges.

/// How the correlation judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long evidence settles before something is reported as wrong or missing, ns. Must be
    /// longer than records of different CPUs, and the report of a loss, may be late.
    pub settle_ns: u64,
    /// How long something must last to be called stuck when the trace ends or a signal
    /// interrupts it, ns.
    pub stuck_ns: u64,
    /// Whether every reader of eventfds is seen, the kernel's own (KVM's irqfd, virqfds) among them.
    /// If not, no interrupt is reported as unread.
    pub sees_consumers: bool,
    /// Whether each stage goes out as an [`Output::Stage`](crate::model::Output::Stage) of its own.
    pub stages: bool,
    /// Whether each interrupt and each `SET_IRQS` goes out as an [`Output`](crate::model::Output) of its own.
    pub interrupts: bool,
    /// Whether each mapping that is made or ended goes out as an [`Output`](crate::model::Output) of its own.
    pub mappings: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settle_ns: 100_000_000,
            stuck_ns: 1_000_000_000,
            sees_consumers: true,
            stages: false,
            interrupts: false,
            mappings: false,
        }
    }
}
