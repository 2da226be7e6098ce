//! What happens to eventfds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContextKey, DeviceKey, Errno, Origin, Returned, Target};
use crate::json;

/// An eventfd context was looked up inside a `SET_IRQS`, was found, or is inferred to be a
/// device's: from now on it stands for `target`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// The context.
    pub context: ContextKey,
    /// What it stands for; its index is [`UNKNOWN_INDEX`](super::UNKNOWN_INDEX) where it is inferred.
    #[serde(flatten)]
    pub target: Target,
    /// The fd number that named it in that process, where a call named it.
    pub fd: Option<i32>,
    /// How it came to be known.
    pub origin: Origin,
}

json::written_as! {
    /// Whether there is a device, without its address.
    IsDevice: Option<DeviceKey> as bool {
        |device| device.is_some(),
        |is_device| is_device.then(DeviceKey::default)
    }
}

/// The kernel signals a context (entry of `eventfd_signal_mask`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// The context.
    pub context: ContextKey,
    /// What it stands for.
    #[serde(flatten)]
    pub target: Target,
    /// What is added to the counter; always 1 where eventfd_signal has no count.
    pub addend: u64,
    /// The counter before the addition, if it could be read.
    pub count: Option<u64>,
    /// The device whose ioctl or region write the signalling thread is inside of, if any.
    #[serde(with = "IsDevice")]
    pub inside: Option<DeviceKey>,
    /// Whether the thread itself signals, and not an interrupt on top of it; `None` if that
    /// could not be read.
    pub in_task: Option<bool>,
}

/// The kernel itself took the counter (`eventfd_ctx_do_read`): KVM's irqfd, or a virqfd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Consumed {
    /// The context.
    pub context: ContextKey,
    /// What it stands for.
    #[serde(flatten)]
    pub target: Target,
    /// The value that was taken, if it could be read.
    pub value: Option<u64>,
}

/// User space read the counter (return of `eventfd_read`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// The context.
    pub context: ContextKey,
    /// What it stands for.
    #[serde(flatten)]
    pub target: Target,
    /// The value that user space got, if it could be read.
    pub value: Option<u64>,
    /// 8, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}

/// User space wrote to the counter (return of `eventfd_write`; `begin_ns` is its entry).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Write {
    /// The context.
    pub context: ContextKey,
    /// What it stands for.
    #[serde(flatten)]
    pub target: Target,
    /// When it began.
    pub begin_ns: u64,
    /// The value written, if it could be read.
    pub value: Option<u64>,
    /// 8, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}
