//! Every place where a record can be seen, sent or lost. Each CPU counts for itself.

/// Words between the counters of one CPU and those of the next: a cache line's worth.
pub const STRIDE: u32 = Counter::ALL.len().next_multiple_of(8) as u32;

/// One counter; the value is its index in the counter map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// A program decided that this is to be reported.
    Seen = 0,
    /// The record went into the ring.
    Sent = 1,
    /// The ring was full.
    RingFull = 2,
    /// The map of calls under way was full: the return would not be understood.
    CallsFull = 3,
    /// A call began on a thread whose previous call of that kind never reported its return.
    ReturnMissed = 4,
    /// The map of eventfd contexts was full.
    ContextsFull = 5,
    /// A kernel structure could not be read, so that the record had no subject.
    Unreadable = 6,
    /// A device ioctl returned whose entry was not seen: the kernel skipped the program.
    EntryMissed = 7,
}

impl Counter {
    /// All counters, in index order.
    pub const ALL: [Self; 8] = [
        Self::Seen,
        Self::Sent,
        Self::RingFull,
        Self::CallsFull,
        Self::ReturnMissed,
        Self::ContextsFull,
        Self::Unreadable,
        Self::EntryMissed,
    ];

    /// The name under which a loss is reported; `None` for what is not a loss.
    pub const fn loss(self) -> Option<&'static str> {
        match self {
            Self::Seen | Self::Sent => None,
            Self::RingFull => Some("ring_full"),
            Self::CallsFull => Some("calls_full"),
            Self::ReturnMissed => Some("return_missed"),
            Self::ContextsFull => Some("contexts_full"),
            Self::Unreadable => Some("unreadable"),
            Self::EntryMissed => Some("entry_missed"),
        }
    }
}
