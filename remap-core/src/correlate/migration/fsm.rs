//! The uAPI's state machine: how a device gets from one migration state to another.
//!
//! As `vfio_mig_get_next_state` (drivers/vfio/vfio_main.c since 5.18, P2P since 5.18, PRE_COPY
//! since 6.2) leads a driver, which takes one arc at a time. A state that the device does not
//! have (`VFIO_DEVICE_FEATURE_MIGRATION`) is skipped. In the legacy protocol only words that it does
//! not define are impossible.

use remap_common::uapi::{VFIO_MIGRATION_P2P as P2P, VFIO_MIGRATION_PRE_COPY as PRE_COPY};

use crate::event::DeviceState::{
    self, Error, PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy,
};

use crate::model::NoWay;

/// The path of a change in the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// It is possible, through these states.
    Through(Vec<DeviceState>),
    /// No arcs lead there: the kernel's table refuses it with EINVAL.
    Blocked,
    /// It leads to, or from, a state that the device does not have.
    Unsupported(DeviceState),
    /// Unknown: a state of the legacy protocol, or of a later kernel.
    Unknown,
}

impl Route {
    /// Why there is no path, if that is known.
    pub(super) fn no_way(&self) -> Option<NoWay> {
        match self {
            Self::Blocked => Some(NoWay::Blocked),
            Self::Unsupported(state) => Some(NoWay::Unsupported(*state)),
            Self::Through(_) | Self::Unknown => None,
        }
    }
}

/// Whether a device with these flags has `state`.
fn has(flags: u64, state: DeviceState) -> bool {
    let needed = match state {
        PreCopy => PRE_COPY,
        PreCopyP2p => PRE_COPY | P2P,
        RunningP2p => P2P,
        _ => 0,
    };
    flags & needed == needed
}

/// The next state on the path from one state to another one, for a device that supports all states;
/// `Error` if there is no path.
fn next(from: DeviceState, to: DeviceState) -> DeviceState {
    match (from, to) {
        (Error, _) | (_, Error) | (StopCopy, PreCopy | PreCopyP2p) => Error,
        (Stop, StopCopy | Resuming) => to,
        (Stop, _) => RunningP2p,
        (Running, PreCopy) => PreCopy,
        (Running, _) => RunningP2p,
        (PreCopy, PreCopyP2p | StopCopy) => PreCopyP2p,
        (PreCopy, _) => Running,
        (PreCopyP2p, PreCopy | StopCopy) => to,
        (PreCopyP2p, _) => RunningP2p,
        (RunningP2p, Running | PreCopy) => Running,
        (RunningP2p, PreCopyP2p) => PreCopyP2p,
        (RunningP2p, _) => Stop,
        (StopCopy | Resuming, _) => Stop,
        (DeviceState::Unknown(_) | DeviceState::Legacy(_), _) => Error,
    }
}

/// The path from one state to another. Without the flags, the result is `Unknown` or `Blocked`, which
/// holds for every device.
pub(super) fn route(from: DeviceState, to: DeviceState, flags: Option<u64>) -> Route {
    if to.is_valid_word() == Some(false) {
        return Route::Blocked;
    }
    let foreign = |state| matches!(state, DeviceState::Unknown(_) | DeviceState::Legacy(_));
    if foreign(from) || foreign(to) {
        return Route::Unknown;
    }
    if from == to && to != Error {
        return Route::Through(Vec::new());
    }
    let missing = |state: &DeviceState| flags.is_some_and(|flags| !has(flags, *state));
    if let Some(state) = [from, to].into_iter().find(missing) {
        return Route::Unsupported(state);
    }
    let mut path = Vec::new();
    let mut at = from;
    // A path visits each state at most once.
    for _ in 0..8 {
        at = next(at, to);
        while missing(&at) {
            at = next(at, to);
        }
        match at {
            Error => return Route::Blocked,
            at if at == to && flags.is_some() => return Route::Through(path),
            at if at == to => return Route::Through(Vec::new()),
            at => path.push(at),
        }
    }
    Route::Unknown
}

/// Whether a change takes one arc, on a device with these flags.
pub(crate) fn is_one_arc(from: DeviceState, to: DeviceState, flags: u64) -> bool {
    from != to && route(from, to, Some(flags)) == Route::Through(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DeviceState; 7] = [
        Stop, Running, StopCopy, Resuming, RunningP2p, PreCopy, PreCopyP2p,
    ];

    fn through(from: DeviceState, to: DeviceState, flags: u64) -> Vec<DeviceState> {
        match route(from, to, Some(flags | 1)) {
            Route::Through(path) => path,
            other => panic!("{from} → {to}: {other:?}"),
        }
    }

    #[test]
    fn the_ways_that_the_kernel_names() {
        let both = P2P | PRE_COPY;
        assert_eq!(through(PreCopy, StopCopy, both), [PreCopyP2p]);
        assert_eq!(
            through(PreCopy, Resuming, both),
            [Running, RunningP2p, Stop]
        );
        assert_eq!(
            through(Resuming, PreCopy, both),
            [Stop, RunningP2p, Running]
        );
        assert_eq!(through(StopCopy, Running, both), [Stop, RunningP2p]);
        assert_eq!(through(Running, PreCopyP2p, both), [RunningP2p]);
    }

    #[test]
    fn states_that_a_device_lacks_are_passed_over() {
        assert_eq!(through(PreCopy, StopCopy, PRE_COPY), []);
        assert_eq!(through(Running, StopCopy, 0), [Stop]);
        assert_eq!(through(Running, StopCopy, P2P), [RunningP2p, Stop]);
        assert_eq!(through(Stop, PreCopy, PRE_COPY), [Running]);
        assert_eq!(
            route(Running, PreCopy, Some(P2P)),
            Route::Unsupported(PreCopy)
        );
    }

    #[test]
    fn what_is_blocked_is_blocked_with_and_without_the_flags() {
        for flags in [None, Some(1 | P2P | PRE_COPY)] {
            for state in ALL {
                assert_eq!(route(Error, state, flags), Route::Blocked);
                assert_eq!(route(state, state, flags), Route::Through(Vec::new()));
            }
            assert_eq!(route(Error, Error, flags), Route::Blocked);
            for to in [PreCopy, PreCopyP2p] {
                assert_eq!(route(StopCopy, to, flags), Route::Blocked);
            }
        }
        assert_eq!(
            route(StopCopy, PreCopy, Some(1)),
            Route::Unsupported(PreCopy)
        );
    }

    #[test]
    fn every_other_pair_has_a_way() {
        for flags in [1, 1 | P2P, 1 | PRE_COPY, 1 | P2P | PRE_COPY] {
            for (from, to) in ALL.iter().flat_map(|from| ALL.map(|to| (*from, to))) {
                let blocked = from == StopCopy && matches!(to, PreCopy | PreCopyP2p);
                match route(from, to, Some(flags)) {
                    Route::Through(path) => {
                        assert!(!blocked && path.iter().all(|state| has(flags, *state)));
                    }
                    Route::Unsupported(state) => assert!(!has(flags, state)),
                    Route::Blocked => assert!(blocked, "{from} → {to}"),
                    Route::Unknown => panic!("{from} → {to} is not known"),
                }
            }
        }
    }

    #[test]
    fn without_the_flags_the_path_is_not_known() {
        for to in [PreCopy, StopCopy, Resuming] {
            assert_eq!(route(Running, to, None), Route::Through(Vec::new()));
        }
    }

    #[test]
    fn legacy_words_are_another_protocol() {
        let word = DeviceState::Legacy(1);
        assert_eq!(route(word, DeviceState::Legacy(3), None), Route::Unknown);
        assert_eq!(route(word, Running, None), Route::Unknown);
        assert_eq!(
            route(Running, DeviceState::Unknown(9), None),
            Route::Unknown
        );
    }
}
