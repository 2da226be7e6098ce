//! Wire bytes → [`Event`]. No unsafe, no clock, no file; what is not known is a value.

use bytes::Buf as _;
use remap_common::{
    ioctl,
    record::{self, ARGUMENT_BYTES, Header, kind, role},
};
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MASK, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET, VFIO_IRQ_SET_ACTION_TYPE_MASK,
    VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_TYPE_MASK,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{
    event::{
        Answer, Body, Call, ContextKey, DeviceKey, DeviceState, Errno, Event, FeatureOp, IrqAction,
        IrqData, Role, Target, Task,
    },
    vfio::{capability::ChainError, irq, region},
};

/// Why bytes are no record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than its kind's struct.
    #[error("a record of {0} bytes is cut off")]
    Truncated(usize),
    /// A kind that this version does not know.
    #[error("a record of the unknown kind {0}")]
    Kind(u32),
}

/// Decodes one record.
///
/// # Errors
/// If the record is cut off or of an unknown kind; the caller counts it as lost.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let header: &Header = view(bytes)?;
    let body = match header.kind {
        kind::DEVICE => {
            let raw: &record::Device = view(bytes)?;
            Body::Device {
                device: DeviceKey(raw.device),
                name: text(&raw.name),
            }
        }
        kind::CLOSE => Body::Close {
            device: DeviceKey(view::<record::Close>(bytes)?.device),
        },
        kind::ENTER => {
            let raw: &record::Enter = view(bytes)?;
            Body::Enter {
                device: DeviceKey(raw.device),
                call: call(raw.request, captured(&raw.argument, raw.argument_len)),
            }
        }
        kind::EXIT => exit(view(bytes)?),
        kind::CONTEXT => {
            let raw: &record::Context = view(bytes)?;
            Body::Context {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                fd: raw.fd,
            }
        }
        kind::SIGNAL => {
            let raw: &record::Signal = view(bytes)?;
            Body::Signal {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                addend: raw.addend,
                count: known(raw.count, raw.count_known),
                inside: Some(raw.inside).filter(|key| *key != 0).map(DeviceKey),
            }
        }
        kind::READ => {
            let raw: &record::Read = view(bytes)?;
            Body::Read {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                value: known(raw.value, raw.value_known),
                result: result(raw.result),
            }
        }
        kind::WRITE => {
            let raw: &record::Write = view(bytes)?;
            Body::Write {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                begin_ns: raw.begin_ns,
                value: known(raw.value, raw.value_known),
                result: result(raw.result),
            }
        }
        kind::RELEASE => {
            let raw: &record::Release = view(bytes)?;
            Body::Release {
                context: ContextKey(raw.context),
                target: target(&raw.target),
            }
        }
        kind::MAP => {
            let raw: &record::Map = view(bytes)?;
            let (region, offset) = split(raw.offset);
            Body::Map {
                device: DeviceKey(raw.device),
                region,
                offset,
                size: raw.size,
                address: raw.address,
                result: result(raw.result).map(drop),
            }
        }
        kind::UNMAP => {
            let raw: &record::Unmap = view(bytes)?;
            let (region, offset) = split(raw.offset);
            Body::Unmap {
                device: DeviceKey(raw.device),
                region,
                offset,
                size: raw.size,
                address: raw.address,
            }
        }
        kind::STATE_ENTER => {
            let raw: &record::StateEnter = view(bytes)?;
            Body::StateWriteEnter {
                device: DeviceKey(raw.device),
                region: split(raw.offset).0,
                word: known(raw.word, raw.word_known),
            }
        }
        kind::STATE_EXIT => {
            let raw: &record::StateExit = view(bytes)?;
            Body::StateWriteExit {
                device: DeviceKey(raw.device),
                region: split(raw.offset).0,
                word: known(raw.word, raw.word_known),
                begin_ns: raw.begin_ns,
                result: result(raw.result),
            }
        }
        other => return Err(DecodeError::Kind(other)),
    };
    Ok(Event {
        time_ns: header.time_ns,
        cpu: header.cpu,
        task: Task {
            pid: header.pid,
            tid: header.tid,
            comm: text(&header.comm),
        },
        body,
    })
}

/// The front of `bytes` as a wire struct. Records lie aligned in the ring; a copy that does not
/// would be refused like a short one.
fn view<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<&T, DecodeError> {
    T::ref_from_prefix(bytes)
        .map(|(record, _)| record)
        .map_err(|_| DecodeError::Truncated(bytes.len()))
}

fn known<T>(value: T, known: u32) -> Option<T> {
    (known != 0).then_some(value)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn captured(bytes: &[u8], len: u32) -> &[u8] {
    &bytes[..bytes.len().min(len as usize)]
}

fn result(value: i64) -> Result<i64, Errno> {
    if value < 0 {
        Err(Errno(i32::try_from(-value).unwrap_or(i32::MAX)))
    } else {
        Ok(value)
    }
}

fn target(raw: &record::Target) -> Target {
    Target {
        device: DeviceKey(raw.device),
        index: raw.index,
        sub: raw.sub,
        role: match raw.role {
            role::MASK => Role::Mask,
            role::UNMASK => Role::Unmask,
            _ => Role::Trigger,
        },
    }
}

/// An offset in the device file as region index and offset within the region.
fn split(offset: u64) -> (u32, u64) {
    let region = u32::try_from(offset >> ioctl::REGION_SHIFT).unwrap_or(u32::MAX);
    (region, offset & ((1 << ioctl::REGION_SHIFT) - 1))
}

fn exit(raw: &record::Exit) -> Body {
    let argument = captured(&raw.argument, raw.argument_len);
    let call = call(raw.request, argument);
    let answer = if raw.answer_unreadable != 0 {
        Answer::Unreadable
    } else {
        answer(&call, captured(&raw.answer, raw.answer_len))
    };
    Body::Exit {
        device: DeviceKey(raw.device),
        call,
        begin_ns: raw.begin_ns,
        result: result(raw.result),
        answer,
    }
}

/// The arguments of a request, from the first bytes behind its pointer.
fn call(request: u32, argument: &[u8]) -> Call {
    let parsed = match request {
        ioctl::SET_IRQS => set_irqs(argument),
        ioctl::GET_IRQ_INFO => word(argument, 8).map(|index| Call::GetIrqInfo { index }),
        ioctl::GET_REGION_INFO => word(argument, 8).map(|index| Call::GetRegionInfo { index }),
        ioctl::FEATURE => feature(argument),
        ioctl::RESET => Some(Call::Reset),
        _ => Some(Call::Other { request }),
    };
    parsed.unwrap_or(Call::Unreadable { request })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.try_get_u32_ne().ok()
}

/// `struct vfio_irq_set`.
fn set_irqs(argument: &[u8]) -> Option<Call> {
    let flags = word(argument, 4)?;
    let count = word(argument, 16)?;
    let data = argument.get(ioctl::IRQ_SET_HEADER..)?;
    let data = match flags & VFIO_IRQ_SET_DATA_TYPE_MASK {
        ioctl::IRQ_SET_DATA_NONE => IrqData::None,
        VFIO_IRQ_SET_DATA_BOOL => {
            let bytes = data.iter().take(count as usize);
            IrqData::Bool(bytes.map(|byte| *byte != 0).collect())
        }
        ioctl::IRQ_SET_DATA_EVENTFD => {
            let words = data.chunks_exact(4).take(count as usize);
            IrqData::Eventfd(words.map(|mut word| word.get_i32_ne()).collect())
        }
        other => IrqData::Unknown(other),
    };
    let action = match flags & VFIO_IRQ_SET_ACTION_TYPE_MASK {
        ioctl::IRQ_SET_ACTION_MASK => IrqAction::Mask,
        ioctl::IRQ_SET_ACTION_UNMASK => IrqAction::Unmask,
        ioctl::IRQ_SET_ACTION_TRIGGER => IrqAction::Trigger,
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
    let sets_state = feature == VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE && op.set && !op.probe;
    let state = if sets_state {
        Some(DeviceState::from_uapi(word(argument, 8)?))
    } else {
        None
    };
    Some(Call::Feature { feature, op, state })
}

fn answer(call: &Call, bytes: &[u8]) -> Answer {
    if bytes.is_empty() {
        return Answer::None;
    }
    match call {
        Call::GetRegionInfo { .. } => parsed(region::parse(bytes).map(Answer::Region), bytes),
        Call::GetIrqInfo { .. } => parsed(irq::parse(bytes).map(Answer::Irq), bytes),
        Call::Feature { feature, op, .. }
            if *feature == VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE && !op.probe =>
        {
            match (word(bytes, 8), word(bytes, 12)) {
                (Some(state), Some(fd)) => Answer::State {
                    state: DeviceState::from_uapi(state),
                    data_fd: i32::try_from(fd).ok(),
                },
                _ => Answer::Unreadable,
            }
        }
        _ => Answer::None,
    }
}

/// A caller that asked for the size alone got no answer yet. A chain that is cut off by our own
/// capture is unreadable, not malformed.
fn parsed(parsed: Result<Answer, ChainError>, bytes: &[u8]) -> Answer {
    match parsed {
        Ok(answer) => answer,
        Err(ChainError::NotGiven { .. }) => Answer::None,
        Err(ChainError::Truncated { .. }) if bytes.len() == record::ANSWER_BYTES => {
            Answer::Unreadable
        }
        Err(error) => Answer::Malformed(error.to_string()),
    }
}

const _: () = assert!(ARGUMENT_BYTES >= ioctl::IRQ_SET_HEADER + 8);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn header(kind: u32) -> Header {
        let mut comm = [0; 16];
        comm[..4].copy_from_slice(b"qemu");
        Header {
            kind,
            cpu: 3,
            time_ns: 77,
            pid: 10,
            tid: 11,
            comm,
        }
    }

    fn enter(request: u32, words: &[u32]) -> Event {
        let mut argument = [0; ARGUMENT_BYTES];
        for (n, word) in words.iter().enumerate() {
            argument[n * 4..n * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        let raw = record::Enter {
            header: header(kind::ENTER),
            device: 5,
            request,
            argument_len: u32::try_from(words.len() * 4).unwrap(),
            argument,
        };
        decode(raw.as_bytes()).unwrap()
    }

    #[test]
    fn the_header_names_time_cpu_and_task() {
        let event = enter(ioctl::RESET, &[]);
        assert_eq!((event.time_ns, event.cpu), (77, 3));
        assert_eq!((event.task.pid, event.task.tid), (10, 11));
        assert_eq!(event.task.comm, "qemu");
        assert_eq!(
            event.body,
            Body::Enter {
                device: DeviceKey(5),
                call: Call::Reset
            }
        );
    }

    #[test]
    fn set_irqs_names_its_eventfds() {
        let flags = ioctl::IRQ_SET_DATA_EVENTFD | ioctl::IRQ_SET_ACTION_UNMASK;
        let event = enter(ioctl::SET_IRQS, &[28, flags, 5, 2, 2, 9, u32::MAX]);
        let Body::Enter { call, .. } = event.body else {
            panic!("{event:?}")
        };
        let expected = Call::SetIrqs {
            index: 5,
            start: 2,
            count: 2,
            action: IrqAction::Unmask,
            data: IrqData::Eventfd(vec![9, -1]),
        };
        assert_eq!(call, expected);
    }

    #[test]
    fn only_a_set_of_the_state_names_a_state() {
        let state = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
        let of = |flags: u32| match enter(ioctl::FEATURE, &[16, flags, 6, 0]).body {
            Body::Enter {
                call: Call::Feature { state, .. },
                ..
            } => state,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            of(VFIO_DEVICE_FEATURE_SET | state),
            Some(DeviceState::PreCopy)
        );
        assert_eq!(of(VFIO_DEVICE_FEATURE_GET | state), None);
        assert_eq!(
            of(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE | state),
            None
        );
    }

    #[test]
    fn unreadable_arguments_are_a_value() {
        let event = enter(ioctl::SET_IRQS, &[]);
        let call = Call::Unreadable {
            request: ioctl::SET_IRQS,
        };
        assert_eq!(
            event.body,
            Body::Enter {
                device: DeviceKey(5),
                call
            }
        );
    }

    #[test]
    fn an_unknown_kind_and_a_short_record_are_errors() {
        let raw = record::Close {
            header: header(99),
            device: 1,
        };
        assert_eq!(decode(raw.as_bytes()), Err(DecodeError::Kind(99)));
        let raw = record::Close {
            header: header(kind::CLOSE),
            device: 1,
        };
        let bytes = raw.as_bytes();
        let short = &bytes[..bytes.len() - 8];
        assert_eq!(decode(short), Err(DecodeError::Truncated(short.len())));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(kind in 0u32..16, words in prop::collection::vec(any::<u64>(), 4..120)) {
            let mut words = words;
            words[0] = u64::from(kind);
            let _ = decode(words.as_bytes());
        }
    }
}
