//! Rules about a trigger and its answer: what the driver names, what user space reads and
//! acknowledges.

macro_rules! cycle_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// A read of a bitmap eventfd got a value that is not the OR of the signals.
        rule AliasedTrigger {
            advice: "The driver must not signal a bitmap again before the ack; the vectors \
                     encoding does not have this problem.",
            needs: [eventfd_read],
            evidence: AliasedTrigger {
                /// What the read got.
                value: u64,
                /// The OR of the signals since the last read.
                or: u64,
                /// How many signals those are.
                signals: usize,
            },
            sentence: format!(
                "a read got {value:#x}, but the OR of the {signals} signals since the last read is \
                 {or:#x}: the counter is a sum"
            ),
        }

        /// A read of a bitmap eventfd got a value that user space had written itself.
        rule SelfTrigger {
            advice: "Acknowledge by writing 0, which does not change the counter, or by an unmask.",
            needs: [eventfd_read, eventfd_write],
            evidence: SelfTrigger {
                /// What the read got.
                value: u64,
                /// What the driver signalled.
                or: u64,
            },
            sentence: format!(
                "a read got {value:#x}, but the driver signalled {or:#x}: user space wrote the \
                 rest to the eventfd itself"
            ),
        }

        /// A region was signalled again before its ack (bitmap encoding, or an automasked IRQ).
        rule TriggerBeforeAck {
            advice: "The driver must delay a second signal for a region until the first is \
                     acknowledged.",
            evidence: TriggerBeforeAck {
                /// From the first signal to the second, ns.
                after_trigger_ns: u64,
                /// From the second signal to the ack, ns.
                before_ack_ns: u64,
            },
            sentence: format!(
                "the driver signalled the region again {} after the first signal and {} before \
                 the ack",
                Ns(*after_trigger_ns),
                Ns(*before_ack_ns)
            ),
        }

        /// The driver named a region that its mask does not contain, or one that does not exist.
        rule OutsideMask {
            advice: "The driver must only name regions that the mask in its IRQ's capability \
                     contains.",
            evidence: OutsideMask {
                /// The region that was named.
                region: u32,
                /// Outside of what.
                outside: Outside,
            },
            sentence: match outside {
                Outside::Mask { bit, mask, base } => format!(
                    "the driver named region {region} (bit {bit}), but its mask {mask:#x} from \
                     region {base} does not contain it"
                ),
                Outside::Refused(errno) => format!(
                    "the driver named region {region}, but GET_REGION_INFO fails with {errno}: \
                     there is no such region"
                ),
            },
        }

        /// The driver named a region, but its flags and areas had not changed.
        rule NamedUnchanged {
            advice: "The driver should only name regions whose flags or areas change; each named \
                     region costs a query and an ack.",
            evidence: NamedUnchanged,
            sentence: "the driver named the region, but its flags and areas have not changed"
                .to_owned(),
        }

        /// The ack came before any GET_REGION_INFO for the region.
        rule AckBeforeRequery {
            advice: "Call GET_REGION_INFO for every named region before the ack.",
            needs: [eventfd_write],
            evidence: AckBeforeRequery {
                /// From the trigger to the ack, ns.
                after_trigger_ns: u64,
            },
            sentence: format!(
                "the ack came {} after the trigger, without a GET_REGION_INFO before it",
                Ns(*after_trigger_ns)
            ),
        }

        /// At the ack, user space still had a mapping that the region no longer allows.
        rule AckWithMapping {
            advice: "Before the ack, unmap everything that the new description does not allow.",
            needs: [eventfd_write, vfio_mmap],
            unreliable_without: [unmap],
            evidence: AckWithMapping {
                /// What was still mapped, bytes.
                bytes: u64,
                /// Where the first of it is, bytes.
                offset: u64,
            },
            sentence: format!(
                "at the ack {bytes:#x} bytes from {offset:#x} on were still mapped, but the \
                 region no longer allows it"
            ),
        }

        /// No ack came until the state change timed out, or until the trace ended a second or more
        /// after the trigger.
        rule MissingAck {
            advice: "Acknowledge every trigger, also if nothing had to be remapped.",
            needs: [vfio_write],
            unreliable_without: [eventfd_write, eventfd_ctx_fileget],
            case: "that a state change waited for",
            evidence: MissingAck {
                /// The change.
                change: FailedChange,
                /// The regions whose trigger was not acknowledged.
                regions: Vec<u32>,
                /// Whether the eventfd was read.
                read: bool,
                /// The IRQ's encoding, which says in what form the ack is due.
                encoding: Encoding,
            },
            sentence: format!(
                "{}: the trigger of {} {} ({} is due)",
                failed(change),
                list(regions),
                match read {
                    true => "was read and never acknowledged",
                    false => "was neither read nor acknowledged",
                },
                match encoding {
                    Encoding::Bitmap => "a write to the eventfd",
                    Encoding::Vectors => "an unmask",
                },
            ),
            case: "outside of state changes",
            evidence: ForgottenTrigger {
                /// How long before the trace's end the trigger was, ns.
                since_ns: u64,
                /// Whether the eventfd was read.
                read: bool,
                /// The IRQ's encoding, which says in what form the ack is due.
                encoding: Encoding,
            },
            sentence: format!(
                "the trigger {} before the trace's end {}",
                Ns(*since_ns),
                match (encoding, read) {
                    (Encoding::Bitmap, true) => "was read, and no write to the eventfd followed",
                    (Encoding::Vectors, true) => "was read, and no unmask followed",
                    (_, false) => "was neither read nor acknowledged",
                }
            ),
        }
    } };
}
pub(crate) use cycle_rules;
