//! Rules about the descriptions of regions and of IRQs.

macro_rules! description_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// A region without the mmap flag still has a sparse mmap capability.
        rule StaleSparse {
            advice: "User space must check the mmap flag first: without it the sparse areas have \
                     no meaning.",
            evidence: StaleSparse,
            sentence: "the region has no mmap flag, but still a sparse mmap capability".to_owned(),
        }

        /// A region's size differs from its first description.
        rule SizeChanged {
            advice: "The driver must keep a region's size; only its flags and areas may change.",
            evidence: SizeChanged {
                /// The size at first, bytes.
                before: u64,
                /// The size now, bytes.
                after: u64,
            },
            sentence: format!("the region's size changed from {before:#x} to {after:#x} bytes"),
        }

        /// The driver's answer to GET_REGION_INFO contradicts itself; `text` has the reason.
        rule MalformedRegionInfo {
            advice: "The driver must correct its answer to GET_REGION_INFO.",
            evidence: MalformedRegionInfo {
                /// What is wrong with it.
                reason: String,
            },
            sentence: reason.clone(),
        }

        /// The driver's answer to GET_IRQ_INFO contradicts itself; `text` has the reason.
        rule MalformedIrqInfo {
            advice: "The driver must correct its answer to GET_IRQ_INFO.",
            evidence: MalformedIrqInfo {
                /// IRQ index.
                index: u32,
                /// What is wrong with it.
                reason: String,
            },
            sentence: format!("IRQ index {index}: {reason}"),
        }
    } };
}
pub(crate) use description_rules;
