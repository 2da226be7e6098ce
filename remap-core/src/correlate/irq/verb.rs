//! The effect of a `SET_IRQS`, in one word.

use crate::event::{IrqAction, IrqData};
use crate::model::IrqVerb;

/// What a `SET_IRQS` does.
pub(super) fn verb(action: IrqAction, data: &IrqData, count: u32) -> IrqVerb {
    match (action, data) {
        (IrqAction::Trigger, IrqData::None) if count == 0 => IrqVerb::Disable,
        (IrqAction::Trigger, IrqData::None | IrqData::Bool(_)) => IrqVerb::Trigger,
        (IrqAction::Trigger, IrqData::Eventfd(fds)) => {
            let none = fds.len() == count as usize && fds.iter().all(|fd| *fd < 0);
            if none {
                IrqVerb::Disable
            } else {
                IrqVerb::Enable
            }
        }
        (IrqAction::Mask | IrqAction::Unmask, IrqData::Eventfd(_)) => IrqVerb::Arm,
        (IrqAction::Mask, IrqData::None | IrqData::Bool(_)) => IrqVerb::Mask,
        (IrqAction::Unmask, IrqData::None | IrqData::Bool(_)) => IrqVerb::Unmask,
        (IrqAction::Unknown(_), _) | (_, IrqData::Unknown(_)) => IrqVerb::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_does() {
        let fds = |fds: &[i32]| IrqData::Eventfd(fds.to_vec());
        assert_eq!(
            verb(IrqAction::Trigger, &fds(&[-1, -1]), 2),
            IrqVerb::Disable
        );
        // The rest was not captured.
        assert_eq!(
            verb(IrqAction::Trigger, &fds(&[-1, -1]), 3),
            IrqVerb::Enable
        );
        // 0 is an fd as good as any other.
        assert_eq!(verb(IrqAction::Trigger, &fds(&[0]), 1), IrqVerb::Enable);
        assert_eq!(
            verb(IrqAction::Trigger, &IrqData::None, 0),
            IrqVerb::Disable
        );
        assert_eq!(
            verb(IrqAction::Trigger, &IrqData::None, 1),
            IrqVerb::Trigger
        );
        assert_eq!(verb(IrqAction::Unmask, &fds(&[7]), 1), IrqVerb::Arm);
    }
}
