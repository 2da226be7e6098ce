//! Rules about device states that differ from the expected one, and about data that was not read.

macro_rules! device_state_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// The device reports the state ERROR.
        rule ErrorState {
            advice: "Reset the device (VFIO_DEVICE_RESET), and look for the driver's message in \
                     the kernel log.",
            evidence: ErrorState {
                /// The state that it was last known to be in.
                after: Option<DeviceState>,
                /// Whether the same answer came twice without a break. Else it may be what another
                /// thread wrote to the caller's memory.
                confirmed: bool,
            },
            sentence: {
                let after = after.map_or(String::new(), |state| format!(" after {state}"));
                match confirmed {
                    true => format!("the device is in ERROR{after}: only a reset ends that state"),
                    false => format!(
                        "after MIG_DEVICE_STATE (GET) {HELD} the state ERROR{after}: only a reset \
                         ends it"
                    ),
                }
            },
        }

        /// The device reports another state than the last one that was set, and no reset was
        /// observed.
        rule UnexpectedState {
            advice: "Look for a reset that was not traced. If there was none, and the answer came \
                     twice, the driver reports a wrong state; if it came once, look for a thread \
                     that writes to the caller's memory during the call.",
            evidence: UnexpectedState {
                /// The state that the device reports.
                state: DeviceState,
                /// The state that it was last put into.
                expected: DeviceState,
                /// Whether the same answer came twice without a break. Else it may be what another
                /// thread wrote to the caller's memory.
                confirmed: bool,
            },
            sentence: {
                let seen = match confirmed {
                    true => format!("the device reports {state}"),
                    false => format!("after MIG_DEVICE_STATE (GET) {HELD} the state {state}"),
                };
                format!(
                    "{seen}, but {expected} was the last state that was set, and no reset was \
                     observed since"
                )
            },
        }

        /// A state change failed, and for a second or more until the end of the trace no call
        /// queried the state, changed it or reset the device.
        rule StateUnknown {
            advice: "After a failed state change, query the state (MIG_DEVICE_STATE, GET) or reset \
                     the device.",
            evidence: StateUnknown {
                /// The state asked for, if it could be read.
                to: Option<DeviceState>,
                /// What the change failed with.
                errno: Errno,
                /// How long before the trace's end, ns.
                since_ns: u64,
            },
            sentence: format!(
                "{} failed with {errno} {} before the trace's end, and user space has not queried \
                 the state, changed it or reset the device since",
                to_state(*to),
                Ns(*since_ns)
            ),
        }

        /// The device went from STOP_COPY to STOP before its data was read to the end, and did not
        /// continue to run afterwards.
        rule DataLeft {
            advice: "Read the data fd until a read returns 0 before the device leaves STOP_COPY; \
                     the destination's data is incomplete.",
            needs: [data_read],
            unreliable_without: [vfio_release],
            evidence: DataLeft {
                /// What had been read, bytes.
                read_bytes: u64,
            },
            sentence: format!(
                "the device went from STOP_COPY to STOP after {read_bytes} bytes of data had been \
                 read, without a read that returned 0, the end of the data"
            ),
        }
    } };
}
pub(crate) use device_state_rules;
