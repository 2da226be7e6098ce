//! Counters of the records that were seen, sent or lost. Each CPU has its own.

/// Words between the counters of one CPU and those of the next: a cache line.
pub const STRIDE: u32 = Counter::ALL.len().next_multiple_of(8) as u32;

/// One counter; the value is its index in the counter map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// A program decided to send a record.
    Seen = 0,
    /// The record went into the ring.
    Sent = 1,
    /// The ring was full.
    RingFull = 2,
    /// The map of calls in flight was full: the return would have no entry to match.
    CallsFull = 3,
    /// A call began on a thread before the previous call of that kind had returned.
    ReturnMissed = 4,
    /// The map of eventfd contexts was full.
    ContextsFull = 5,
    /// A kernel structure could not be read, so the record could not be made.
    Unreadable = 6,
    /// A device ioctl returned without a recorded entry: the kernel skipped the program.
    EntryMissed = 7,
    /// The fentry program of the self-test ran.
    TestTraced = 8,
    /// The kprobe of the self-test ran.
    TestProbed = 9,
}

impl Counter {
    /// All counters, in index order.
    pub const ALL: [Self; 10] = [
        Self::Seen,
        Self::Sent,
        Self::RingFull,
        Self::CallsFull,
        Self::ReturnMissed,
        Self::ContextsFull,
        Self::Unreadable,
        Self::EntryMissed,
        Self::TestTraced,
        Self::TestProbed,
    ];

    /// The name under which a loss is reported; `None` for what is not a loss.
    pub const fn loss(self) -> Option<&'static str> {
        match self {
            Self::Seen | Self::Sent | Self::TestTraced | Self::TestProbed => None,
            Self::RingFull => Some("ring_full"),
            Self::CallsFull => Some("calls_full"),
            Self::ReturnMissed => Some("return_missed"),
            Self::ContextsFull => Some("contexts_full"),
            Self::Unreadable => Some("unreadable"),
            Self::EntryMissed => Some("entry_missed"),
        }
    }
}
