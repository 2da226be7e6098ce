//! Migration states that are not what they should be, and data that was left.

use super::{Found, Table, found};
use crate::event::{DeviceState, Errno};
use crate::model::{Ns, Rule};

/// The device says in which state it is.
pub(in crate::correlate) struct AtState {
    pub(in crate::correlate) state: DeviceState,
    /// The state that it was last known to be in, if nothing that is traced changed it since.
    pub(in crate::correlate) expected: Option<DeviceState>,
    /// It was said to be in the same state before.
    pub(in crate::correlate) known: bool,
}

pub(in crate::correlate) const AT_STATE: &Table<AtState> = &[
    (Rule::ErrorState, error_state),
    (Rule::UnexpectedState, unexpected_state),
];

fn error_state(at: &AtState) -> Option<Found> {
    if at.state != DeviceState::Error || at.known {
        return None;
    }
    let from = match at.expected {
        Some(state) => format!(" after {state}"),
        None => String::new(),
    };
    found(
        None,
        format!("the device is in ERROR{from}: only a reset leads out"),
    )
}

fn unexpected_state(at: &AtState) -> Option<Found> {
    let expected = at.expected.filter(|expected| *expected != at.state)?;
    let text = format!(
        "the device says that it is in {}, where {expected} was the last state that it was put \
         into, and no reset was seen since",
        at.state
    );
    found(None, text)
}

/// STOP_COPY was left with data that nobody read.
pub(in crate::correlate) fn data_left(bytes: u64) -> (Rule, Found) {
    let text = format!(
        "STOP_COPY was left for STOP after {bytes} bytes of data had been read, and the end of \
         the data (a read that gives 0) had not been reached"
    );
    (Rule::DataLeft, Found { region: None, text })
}

/// A change failed, and nobody found out in which state that left the device.
pub(in crate::correlate) fn state_unknown(
    to: Option<DeviceState>,
    errno: Errno,
    since_ns: u64,
) -> (Rule, Found) {
    let to = to.map_or("the state change".to_owned(), |to| {
        format!("the change to {to}")
    });
    let text = format!(
        "{to} failed with {errno} {} before the trace's end, and nobody has asked for the state, \
         changed it or reset the device since",
        Ns(since_ns)
    );
    (Rule::StateUnknown, Found { region: None, text })
}
