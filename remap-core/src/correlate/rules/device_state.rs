//! Migration states that are not what they should be, and data that was left.

use super::verdict::{Table, Verdict};
use crate::event::{DeviceState, Errno};
use crate::model::Evidence;

/// The device reports in which state it is.
pub(in crate::correlate) struct AtState {
    pub(in crate::correlate) state: DeviceState,
    /// The state that it was last known to be in, if nothing that is traced changed it since.
    pub(in crate::correlate) expected: Option<DeviceState>,
    /// It reported the same state before.
    pub(in crate::correlate) known: bool,
}

pub(in crate::correlate) const AT_STATE: &Table<AtState> = &[error_state, unexpected_state];

fn error_state(at: &AtState) -> Option<Verdict> {
    let holds = at.state == DeviceState::Error && !at.known;
    let (after, confirmed) = (at.expected, false);
    holds.then(|| Verdict::new(Evidence::ErrorState { after, confirmed }))
}

fn unexpected_state(at: &AtState) -> Option<Verdict> {
    let expected = at.expected.filter(|expected| *expected != at.state)?;
    Some(Verdict::new(Evidence::UnexpectedState {
        state: at.state,
        expected,
        confirmed: false,
    }))
}

/// The device reports the same state a second time, without a break.
pub(in crate::correlate) fn confirmed(verdict: Verdict) -> Verdict {
    let evidence = match verdict.evidence {
        Evidence::ErrorState { after, .. } => Evidence::ErrorState {
            after,
            confirmed: true,
        },
        Evidence::UnexpectedState {
            state, expected, ..
        } => Evidence::UnexpectedState {
            state,
            expected,
            confirmed: true,
        },
        other => other,
    };
    Verdict {
        evidence,
        ..verdict
    }
}

/// STOP_COPY was left with data that was not read.
pub(in crate::correlate) fn data_left(read_bytes: u64) -> Verdict {
    Verdict::new(Evidence::DataLeft { read_bytes })
}

/// A change failed, and user space did not find out in which state that left the device.
pub(in crate::correlate) fn state_unknown(
    to: Option<DeviceState>,
    errno: Errno,
    since_ns: u64,
) -> Verdict {
    Verdict::new(Evidence::StateUnknown {
        to,
        errno,
        since_ns,
    })
}
