//! Rules about the descriptions of regions and of IRQs.

macro_rules! description_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// A region without the mmap flag still has a sparse mmap capability.
        rule StaleSparse {
            advice: "User space must check the mmap flag first: without it the sparse areas have \
                     no meaning.",
            evidence: StaleSparse,
            sentence: "the answer has no mmap flag, but still a sparse mmap capability".to_owned(),
        }

        /// The size in an answer to GET_REGION_INFO differs from the region's first description.
        rule SizeChanged {
            advice: "If the answer came twice, the driver must keep the region's size: only its \
                     flags and areas may change. If it came once, look for a thread that writes to \
                     the caller's memory during the call.",
            evidence: SizeChanged {
                /// The size at first, bytes.
                before: u64,
                /// The size now, bytes.
                after: u64,
                /// Whether the same answer came twice without a break. Else it may be what another
                /// thread wrote to the caller's memory.
                confirmed: bool,
            },
            sentence: match confirmed {
                true => format!("the region's size changed from {before:#x} to {after:#x} bytes"),
                false => format!(
                    "after GET_REGION_INFO {HELD} a size of {after:#x} bytes; it was {before:#x} at first"
                ),
            },
        }

        /// An answer to GET_REGION_INFO contradicts itself; `text` has the reason.
        rule MalformedRegionInfo {
            advice: "If the answer came twice, the driver must correct its answer to \
                     GET_REGION_INFO. If it came once, look for a thread that writes to the caller's \
                     memory during the call.",
            evidence: MalformedRegionInfo {
                /// What is wrong with it.
                reason: String,
                /// Whether the same answer came twice without a break. Else it may be what another
                /// thread wrote to the caller's memory.
                confirmed: bool,
            },
            sentence: match confirmed {
                true => format!("the driver answered twice: {reason}"),
                false => format!("after GET_REGION_INFO {HELD} a malformed answer: {reason}"),
            },
        }

        /// An answer to GET_IRQ_INFO contradicts itself; `text` has the reason.
        rule MalformedIrqInfo {
            advice: "If the answer came twice, the driver must correct its answer to GET_IRQ_INFO. \
                     If it came once, look for a thread that writes to the caller's memory during \
                     the call.",
            evidence: MalformedIrqInfo {
                /// IRQ index.
                index: u32,
                /// What is wrong with it.
                reason: String,
                /// Whether the same answer came twice without a break. Else it may be what another
                /// thread wrote to the caller's memory.
                confirmed: bool,
            },
            sentence: match confirmed {
                true => format!("IRQ index {index}: the driver answered twice: {reason}"),
                false => format!(
                    "IRQ index {index}: after GET_IRQ_INFO {HELD} a malformed answer: {reason}"
                ),
            },
        }
    } };
}
pub(crate) use description_rules;
