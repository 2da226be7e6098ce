//! Rules about interrupts that are not read, accesses that are refused, mappings for DMA, and calls
//! that do not return.

macro_rules! usage_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// An enabled interrupt was signalled a second or more before the end of the trace, and
        /// neither user space nor the kernel has read its eventfd since.
        rule NeverRead {
            advice: "Read the eventfd when it is signalled, or disable the interrupt.",
            needs: [eventfd_read],
            unreliable_without: [eventfd_ctx_do_read, eventfd_release],
            evidence: NeverRead {
                /// What the IRQ index is.
                irq: IrqName,
                /// Its sub-indexes that are not read.
                vectors: Vec<u32>,
                /// How long before the trace's end the first signal was, ns.
                since_ns: u64,
            },
            sentence: format!(
                "{} {}: signalled {} before the trace's end, and neither user space nor the kernel \
                 has read it since",
                irq.name(),
                first_vectors(vectors),
                Ns(*since_ns)
            ),
        }

        /// The kernel asked for the device back a second or more before the end of the trace, by its
        /// REQ eventfd if one is set, and the device was not closed.
        rule RequestIgnored {
            advice: "Set a REQ eventfd, and close the device when it is signalled: the unbind waits for that.",
            unreliable_without: [eventfd_ctx_do_read, vfio_release, vfio_request],
            evidence: RequestIgnored {
                /// How long before the trace's end the kernel asked, ns.
                since_ns: u64,
                /// Whether a REQ eventfd was signalled: without one the user is not notified. Null if
                /// one is set whose signal was not observed, or records were lost.
                signalled: Option<bool>,
            },
            sentence: format!(
                "the kernel asked for the device back {} before the trace's end ({}), but the \
                 device was not closed",
                Ns(*since_ns),
                match signalled {
                    Some(true) => "REQ",
                    Some(false) => "no REQ eventfd was signalled",
                    None => "no signal of REQ was observed",
                }
            ),
        }

        /// An access to a mapped region got SIGBUS; `text` names the zap or the trap before it, if
        /// one was observed.
        rule AccessRefused {
            advice: "Do not access a region while its memory is disabled or it is trapped: the \
                     access of a guest fails, a process gets SIGBUS.",
            needs: [fault, fault_vendor],
            evidence: AccessRefused {
                /// Where in the region, bytes.
                offset: u64,
                /// Why.
                why: Refused,
            },
            sentence: format!("an access at {offset:#x} got SIGBUS {}", refused(*why)),
        }

        /// A part of a region was unmapped, or trapped and acknowledged, but it is still mapped for
        /// DMA.
        rule DmaMapped {
            advice: "Remove the DMA mapping of a region before its mmap.",
            needs: [container_ioctl, iommufd_ioctl, vfio_mmap],
            unreliable_without: [unmap],
            evidence: DmaMapped {
                /// How much is still mapped for DMA, bytes.
                bytes: u64,
                /// Where the first of it is, bytes.
                offset: u64,
                /// What has become of the mapping.
                loss: DmaLoss,
            },
            sentence: format!(
                "{bytes:#x} bytes from {offset:#x} on {}, but they are still mapped for DMA",
                match loss {
                    DmaLoss::Unmapped => "were unmapped",
                    DmaLoss::Trapped => "are trapped",
                }
            ),
        }

        /// A call was in flight from the begin of the trace to its end, for a second or more;
        /// `text` has the functions where it waited when remap found it.
        rule NeverReturned {
            advice: "Look at where its thread waits, and whether a process reads the remap IRQ and \
                     acknowledges it.",
            evidence: NeverReturned {
                /// The call.
                call: Box<InFlightCall>,
                /// How long it has been seen in flight, ns.
                since_ns: u64,
            },
            sentence: {
                let waits = call.whereabouts().map_or_else(String::new, |place| {
                    format!("; it waited in {place} when remap found it")
                });
                format!(
                    "{} by {} {} was in flight when the trace began, and has not returned in the \
                     {} since{waits}",
                    call.what(),
                    call.task.comm,
                    call.task.tid,
                    Ns(*since_ns)
                )
            },
        }
    } };
}
pub(crate) use usage_rules;
