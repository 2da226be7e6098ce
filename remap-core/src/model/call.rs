//! Calls that were in flight when the trace began.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::Class;
use crate::event::{Call, DeviceCall, RequestName, Task, feature_name};
use crate::json;

json::written_as! {
    /// A list, null where it is empty because nothing is known.
    MaybeList: Vec<String> as Option<Vec<String>> {
        |list| Some(list.clone()).filter(|list| !list.is_empty()),
        |list| list.unwrap_or_default()
    }
}

/// A call that was in flight when the trace began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InFlightCall {
    /// Name of the device.
    pub device: String,
    /// When remap observed that it is in flight, or that it has ended (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// What was called.
    pub call: DeviceCall,
    /// The functions in which the thread waits, or waited, innermost first; empty if that is not
    /// known.
    #[serde(with = "MaybeList")]
    pub waits_in: Vec<String>,
    /// If it has ended: when it was last seen in flight (CLOCK_MONOTONIC ns).
    pub last_seen_ns: Option<u64>,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}

impl InFlightCall {
    /// What it is about.
    pub fn class(&self) -> Class {
        match &self.call {
            call if call.changes_state() => Class::Migration,
            DeviceCall::Ioctl(Call::SetIrqs { .. }) => Class::Irq,
            _ => Class::File,
        }
    }

    /// The call in words.
    pub fn what(&self) -> String {
        let call = match &self.call {
            DeviceCall::Write { region } => return format!("a write to region {region}"),
            DeviceCall::Ioctl(call) => call,
        };
        match call {
            Call::SetIrqs { index, .. } => format!("SET_IRQS of index {index}"),
            Call::GetIrqInfo { index } => format!("GET_IRQ_INFO of index {index}"),
            Call::GetRegionInfo { index } => format!("GET_REGION_INFO of region {index}"),
            Call::Feature { data, .. } if self.call.changes_state() => match data.state {
                Some(to) => format!("the change to {to}"),
                None => "a state change".to_owned(),
            },
            Call::Feature { feature, .. } => match feature_name(*feature) {
                Some(name) => format!("the feature {name}"),
                None => format!("the feature {feature}"),
            },
            Call::Reset => "RESET".to_owned(),
            Call::HotReset => "PCI_HOT_RESET".to_owned(),
            Call::BindIommufd { .. } => "BIND_IOMMUFD".to_owned(),
            Call::AttachPt { .. } => "ATTACH_IOMMUFD_PT".to_owned(),
            Call::DetachPt => "DETACH_IOMMUFD_PT".to_owned(),
            Call::Other { request } | Call::Unreadable { request } => {
                match RequestName(*request).to_string() {
                    number if number.starts_with("ioctl") => format!("the {number}"),
                    name => name,
                }
            }
        }
    }

    /// Where its thread waits, and who called that: the innermost functions. `None` if that is not
    /// known.
    pub fn whereabouts(&self) -> Option<String> {
        let innermost: Vec<&str> = self.waits_in.iter().take(3).map(String::as_str).collect();
        (!innermost.is_empty()).then(|| innermost.join(" ← "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeviceState, FeatureData, FeatureOp, IrqAction, IrqData};

    fn call(call: Call) -> InFlightCall {
        InFlightCall {
            device: "0000:01:00.0".to_owned(),
            time_ns: 1,
            call: DeviceCall::Ioctl(call),
            waits_in: Vec::new(),
            last_seen_ns: None,
            task: Task {
                pid: 1,
                tid: 1,
                comm: "vmm".to_owned(),
            },
        }
    }

    /// `MIG_DEVICE_STATE`.
    fn state(set: bool, data: FeatureData) -> InFlightCall {
        let (get, probe) = (!set, false);
        call(Call::Feature {
            feature: 2,
            op: FeatureOp { get, set, probe },
            data,
        })
    }

    #[test]
    fn only_a_call_that_sets_the_state_changes_it() {
        let change = state(true, DeviceState::StopCopy.into());
        assert_eq!(change.what(), "the change to STOP_COPY");
        assert_eq!(change.class(), Class::Migration);
        let unread = state(true, FeatureData::default());
        assert_eq!(unread.what(), "a state change");
        let query = state(false, FeatureData::default());
        assert_eq!(query.what(), "the feature MIG_DEVICE_STATE");
        assert_eq!(query.class(), Class::File);
    }

    #[test]
    fn a_call_that_sets_irqs_is_about_interrupts() {
        let set = call(Call::SetIrqs {
            index: 2,
            start: 0,
            count: 0,
            action: IrqAction::Trigger,
            data: IrqData::None,
        });
        assert_eq!(set.class(), Class::Irq);
        assert_eq!(call(Call::Reset).class(), Class::File);
    }
}
