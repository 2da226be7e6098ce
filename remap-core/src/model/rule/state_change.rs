//! Rules about state changes that failed, that never return, or that are not allowed.

macro_rules! state_change_rules {
    ($next:path, $($rest:tt)*) => { $next! { $($rest)*
        /// The state change failed with ENODEV while the remap IRQ was not enabled.
        rule NotEnabled {
            advice: "Enable the remap IRQ with SET_IRQS before the state change.",
            needs: [vfio_write],
            evidence: NotEnabled {
                /// The change.
                change: FailedChange,
            },
            sentence: format!("{}, and the remap IRQ is not enabled", failed(change)),
        }

        /// The thread that changes the state is the only one that reads the eventfd, so it cannot
        /// answer.
        rule Deadlock {
            advice: "Answer the remap IRQ on another thread than the one that changes the state.",
            needs: [eventfd_read],
            evidence: Deadlock {
                /// The change.
                change: FailedChange,
                /// Its thread.
                tid: u32,
                /// The regions whose trigger that thread could not read.
                regions: Vec<u32>,
            },
            sentence: format!(
                "{}: its thread {tid} is the only reader of the eventfd, so it could not read the \
                 trigger of {}",
                failed(change),
                list(regions)
            ),
        }

        /// The state change failed with ETIMEDOUT although every trigger was acknowledged.
        rule WaitTimeout {
            advice: "Find out why the driver ignores the ack, or which mapping still exists.",
            unreliable_without: [eventfd_signal],
            evidence: WaitTimeout {
                /// The change.
                change: FailedChange,
                /// The regions whose trigger was acknowledged; empty where there was no trigger.
                regions: Vec<u32>,
            },
            sentence: match regions.as_slice() {
                [] => format!("{}, and no trigger was signalled during it", failed(change)),
                regions => format!(
                    "{}, although the trigger of {} was acknowledged in time",
                    failed(change),
                    list(regions)
                ),
            },
        }

        /// The state change failed with ENODEV, the driver is not vfio-pci, and user space did not
        /// look for a remap IRQ: no GET_IRQ_INFO for a further index with room for a capability
        /// chain.
        rule NeverAsked {
            advice: "Look for a remap IRQ: call GET_IRQ_INFO for every index, with a buffer large \
                     enough for a capability chain.",
            evidence: NeverAsked {
                /// The change.
                change: FailedChange,
            },
            sentence: format!(
                "{}, and user space has not looked for a remap IRQ in this trace: the driver may \
                 have one that must be enabled first",
                failed(change)
            ),
        }

        /// A state change that the uAPI's state machine or the device's migration flags do not
        /// allow (in the legacy protocol: a word that is not defined); it failed with EINVAL, or it
        /// succeeded all the same.
        rule ImpossibleChange {
            advice: "Only request changes that the uAPI's state machine and the device's MIGRATION \
                     flags allow; a driver refuses others with EINVAL.",
            needs: [vfio_write],
            case: "that was refused",
            evidence: RefusedChange {
                /// The change.
                change: FailedChange,
                /// The state before.
                from: DeviceState,
                /// Why it cannot be.
                no_way: NoWay,
            },
            sentence: format!("{} in {from}: {}", failed(change), why(*no_way)),
            case: "that succeeded",
            evidence: ImpossibleChange {
                /// The state before.
                from: DeviceState,
                /// The state asked for.
                to: DeviceState,
                /// Why it cannot be.
                no_way: NoWay,
            },
            sentence: format!(
                "the change from {from} to {to} succeeded, although {}",
                why(*no_way)
            ),
        }

        /// The change out of RESUMING failed: the device did not accept the loaded data.
        rule ResumeFailed {
            advice: "Check that source and destination match, and that all data was written; then \
                     reset the device.",
            evidence: ResumeFailed {
                /// The change.
                change: FailedChange,
            },
            sentence: format!("{}: the device did not accept the loaded state", failed(change)),
        }
    } };
}
pub(crate) use state_change_rules;
