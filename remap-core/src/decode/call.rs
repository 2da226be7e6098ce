//! The bytes of an ioctl → its arguments and its answer.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Buf as _;
use remap_common::{
    record::{self, ANSWER_BYTES, ARGUMENT_BYTES},
    uapi,
};
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_BUS_MASTER, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START, VFIO_DEVICE_FEATURE_GET,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_MASK,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET,
    VFIO_IRQ_SET_ACTION_TYPE_MASK, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_TYPE_MASK,
};

use super::result;
use crate::{
    event::{
        Answer, Call, DeviceKey, DeviceState, Exit, FeatureData, FeatureOp, IrqAction, IrqData,
        bodies,
    },
    parse::{capability::ChainError, irq, region},
};

bodies! {
    Enter(raw) => Self::Enter {
        device: DeviceKey(raw.device),
        call: call(raw.request, captured(&raw.argument, raw.argument_len)),
    },
    Exit(raw, answer) => Self::Exit(exit(raw, answer)),
}

fn exit(raw: &record::Exit, answer: &[u8; ANSWER_BYTES]) -> Exit {
    let call = call(raw.request, captured(&raw.argument, raw.argument_len));
    let answer = if raw.answer_unreadable != 0 {
        Answer::Unreadable
    } else {
        self::answer(&call, captured(answer, raw.answer_len))
    };
    Exit {
        device: DeviceKey(raw.device),
        call,
        begin_ns: raw.begin_ns,
        result: result(raw.result),
        answer,
    }
}

fn captured(bytes: &[u8], len: u32) -> &[u8] {
    &bytes[..bytes.len().min(len as usize)]
}

/// The arguments of a request, from the first bytes behind its pointer.
pub(super) fn call(request: u32, argument: &[u8]) -> Call {
    let parsed = match request {
        uapi::VFIO_DEVICE_SET_IRQS => set_irqs(argument),
        uapi::VFIO_DEVICE_GET_IRQ_INFO => word(argument, 8).map(|index| Call::GetIrqInfo { index }),
        uapi::VFIO_DEVICE_GET_REGION_INFO => {
            word(argument, 8).map(|index| Call::GetRegionInfo { index })
        }
        uapi::VFIO_DEVICE_FEATURE => feature(argument),
        uapi::VFIO_DEVICE_RESET => Some(Call::Reset),
        uapi::VFIO_DEVICE_PCI_HOT_RESET => Some(Call::HotReset),
        uapi::VFIO_DEVICE_BIND_IOMMUFD => word(argument, 8).map(|fd| Call::BindIommufd {
            iommufd: fd.cast_signed(),
        }),
        uapi::VFIO_DEVICE_ATTACH_IOMMUFD_PT => word(argument, 8).map(|pt| Call::AttachPt { pt }),
        uapi::VFIO_DEVICE_DETACH_IOMMUFD_PT => Some(Call::DetachPt),
        _ => Some(Call::Other { request }),
    };
    parsed.unwrap_or(Call::Unreadable { request })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.try_get_u32_ne().ok()
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.try_get_u64_ne().ok()
}

/// `struct vfio_irq_set`.
fn set_irqs(argument: &[u8]) -> Option<Call> {
    let flags = word(argument, 4)?;
    let count = word(argument, 16)?;
    let data = argument.get(uapi::vfio_irq_set::DATA..)?;
    let data = match flags & VFIO_IRQ_SET_DATA_TYPE_MASK {
        uapi::VFIO_IRQ_SET_DATA_NONE => IrqData::None,
        VFIO_IRQ_SET_DATA_BOOL => {
            let bytes = data.iter().take(count as usize);
            IrqData::Bool(bytes.map(|byte| *byte != 0).collect())
        }
        uapi::VFIO_IRQ_SET_DATA_EVENTFD => {
            let words = data.chunks_exact(4).take(count as usize);
            IrqData::Eventfd(words.map(|mut word| word.get_i32_ne()).collect())
        }
        other => IrqData::Unknown(other),
    };
    let action = match flags & VFIO_IRQ_SET_ACTION_TYPE_MASK {
        uapi::VFIO_IRQ_SET_ACTION_MASK => IrqAction::Mask,
        uapi::VFIO_IRQ_SET_ACTION_UNMASK => IrqAction::Unmask,
        uapi::VFIO_IRQ_SET_ACTION_TRIGGER => IrqAction::Trigger,
        other => IrqAction::Unknown(other),
    };
    Some(Call::SetIrqs {
        index: word(argument, 8)?,
        start: word(argument, 12)?,
        count,
        action,
        data,
    })
}

/// `struct vfio_device_feature`, and behind it `struct vfio_device_feature_mig_state`.
fn feature(argument: &[u8]) -> Option<Call> {
    let flags = word(argument, 4)?;
    let op = FeatureOp {
        get: flags & VFIO_DEVICE_FEATURE_GET != 0,
        set: flags & VFIO_DEVICE_FEATURE_SET != 0,
        probe: flags & VFIO_DEVICE_FEATURE_PROBE != 0,
    };
    let feature = flags & VFIO_DEVICE_FEATURE_MASK;
    let data = if op.set && !op.probe {
        set_data(feature, argument)?
    } else if feature == VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT && op.get && !op.probe {
        // struct vfio_device_feature_dma_logging_report: what is asked, and where the answer goes.
        FeatureData {
            iova: Some(long(argument, 8)?),
            length: Some(long(argument, 16)?),
            page_size: Some(long(argument, 24)?),
            ..FeatureData::default()
        }
    } else {
        FeatureData::default()
    };
    Some(Call::Feature { feature, op, data })
}

/// What stands behind the head of a `struct vfio_device_feature` that sets.
fn set_data(feature: u32, argument: &[u8]) -> Option<FeatureData> {
    let mut data = FeatureData::default();
    match feature {
        VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => {
            data.state = Some(DeviceState::from_uapi(word(argument, 8)?));
        }
        VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP => {
            data.wakeup_fd = Some(word(argument, 8)?.cast_signed());
        }
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START => {
            data.page_size = Some(long(argument, 8)?);
            data.ranges = Some(word(argument, 16)?);
        }
        VFIO_DEVICE_FEATURE_BUS_MASTER => data.operation = Some(word(argument, 8)?),
        _ => {}
    }
    Some(data)
}

fn answer(call: &Call, bytes: &[u8]) -> Answer {
    if bytes.is_empty() {
        return Answer::None;
    }
    match call {
        Call::GetRegionInfo { .. } => {
            let region = match region::parse(bytes) {
                Err(ChainError::NotGiven { .. }) => region::parse_without_chain(bytes),
                other => other,
            };
            parsed(region.map(Answer::Region), bytes)
        }
        Call::GetIrqInfo { .. } => parsed(irq::parse(bytes).map(Answer::Irq), bytes),
        Call::Feature { feature, op, .. } if !op.probe => feature_answer(*feature, bytes),
        _ => Answer::None,
    }
}

fn feature_answer(feature: u32, bytes: &[u8]) -> Answer {
    let answer = match feature {
        VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => {
            word(bytes, 8)
                .zip(word(bytes, 12))
                .map(|(state, fd)| Answer::State {
                    state: DeviceState::from_uapi(state),
                    data_fd: i32::try_from(fd).ok(),
                })
        }
        VFIO_DEVICE_FEATURE_MIGRATION => {
            long(bytes, 8).map(|flags| Answer::MigrationFlags { flags })
        }
        VFIO_DEVICE_FEATURE_MIG_DATA_SIZE => {
            long(bytes, 8).map(|stop_copy_length| Answer::DataSize { stop_copy_length })
        }
        _ => Some(Answer::None),
    };
    answer.unwrap_or(Answer::Unreadable)
}

/// A caller of `GET_IRQ_INFO` whose buffer had no room for the chain got no answer yet. A chain that is cut off by our own
/// capture is unreadable, not malformed.
fn parsed(parsed: Result<Answer, ChainError>, bytes: &[u8]) -> Answer {
    match parsed {
        Ok(answer) => answer,
        Err(ChainError::NotGiven { .. }) => Answer::None,
        Err(ChainError::Truncated { .. }) if bytes.len() == ANSWER_BYTES => Answer::Unreadable,
        Err(error) => Answer::Malformed {
            reason: error.to_string(),
            digest: digest(bytes),
        },
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

const _: () = assert!(ARGUMENT_BYTES >= uapi::vfio_irq_set::DATA + 8);

#[cfg(test)]
mod tests;
