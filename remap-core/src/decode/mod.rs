//! Wire bytes → [`Event`]. No unsafe, no clock, no file; what is not known is a value.

mod call;
pub mod in_flight;
mod memory;
#[cfg(test)]
mod tests;

use remap_common::{
    record::{self, Header, answer, kind, node_kind, origin, role},
    uapi,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::event::{
    Answer, Body, ContextKey, DeviceKey, Errno, Event, Node, NodeKey, Origin, Role, Target, Task,
};

/// The bytes are shorter than the struct of their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes is cut off")]
pub struct Truncated(pub usize);

/// Decodes one record.
///
/// # Errors
/// If the record is cut off; the caller counts it as lost. A record of an unknown kind is an event.
pub fn decode(bytes: &[u8]) -> Result<Event, Truncated> {
    let header: &Header = view(bytes)?;
    let body = match header.kind {
        kind::DEVICE => {
            let raw: &record::Device = view(bytes)?;
            Body::Device {
                device: DeviceKey(raw.device),
                name: text(&raw.name),
                driver: Some(text(&raw.driver)).filter(|name| !name.is_empty()),
                origin: origin_of(raw.origin),
            }
        }
        kind::CLOSE => {
            let raw: &record::Close = view(bytes)?;
            Body::Close {
                device: DeviceKey(raw.device),
                dying: answered(raw.dying),
            }
        }
        kind::ENTER => {
            let raw: &record::Enter = view(bytes)?;
            Body::Enter {
                device: DeviceKey(raw.device),
                call: call::call(raw.request, captured(&raw.argument, raw.argument_len)),
            }
        }
        kind::EXIT => exit(view(bytes)?),
        kind::CONTEXT => {
            let raw: &record::Context = view(bytes)?;
            Body::Context {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                fd: (raw.fd >= 0).then_some(raw.fd),
                origin: origin_of(raw.origin),
            }
        }
        kind::SIGNAL => {
            let raw: &record::Signal = view(bytes)?;
            Body::Signal {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                addend: raw.addend,
                count: known(raw.count, raw.count_known),
                inside: device_of(raw.inside),
                in_task: answered(raw.in_task),
            }
        }
        kind::CONSUMED => {
            let raw: &record::Consumed = view(bytes)?;
            Body::Consumed {
                context: ContextKey(raw.context),
                target: target(&raw.target),
                value: known(raw.value, raw.value_known),
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
                origin: origin_of(raw.origin),
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
        kind::FAULT => memory::fault(view(bytes)?),
        kind::ZAP => memory::zap(view(bytes)?),
        kind::CONFIG_WRITE => memory::config_write(view(bytes)?),
        kind::DMA => memory::dma(view(bytes)?),
        kind::NODE => {
            let raw: &record::Node = view(bytes)?;
            let node = node(raw.node, raw.key, raw.number);
            if raw.opened == 0 {
                Body::NodeClose { node }
            } else {
                let result = result(raw.result).map(drop);
                Body::NodeOpen { node, result }
            }
        }
        kind::DEVICE_FILE => {
            let raw: &record::DeviceFile = view(bytes)?;
            Body::DeviceFile {
                device: DeviceKey(raw.device),
                node: node(raw.node, raw.key, raw.number),
                fd: (raw.fd >= 0).then_some(raw.fd),
            }
        }
        kind::DATA => {
            let raw: &record::Data = view(bytes)?;
            Body::Data {
                device: device_of(raw.device),
                file: raw.file,
                write: raw.write != 0,
                requested: raw.requested,
                begin_ns: raw.begin_ns,
                result: result(raw.result),
            }
        }
        kind::PRECOPY_INFO => {
            let raw: &record::PrecopyInfo = view(bytes)?;
            Body::PrecopyInfo {
                device: device_of(raw.device),
                file: raw.file,
                begin_ns: raw.begin_ns,
                bytes: known((raw.initial_bytes, raw.dirty_bytes), raw.bytes_known),
                result: result(raw.result),
            }
        }
        kind => Body::Unknown { kind },
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
fn view<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<&T, Truncated> {
    T::ref_from_prefix(bytes)
        .map(|(record, _)| record)
        .map_err(|_| Truncated(bytes.len()))
}

fn known<T>(value: T, known: u32) -> Option<T> {
    (known != 0).then_some(value)
}

fn answered(value: u32) -> Option<bool> {
    match value {
        answer::YES => Some(true),
        answer::NO => Some(false),
        _ => None,
    }
}

fn origin_of(value: u32) -> Origin {
    match value {
        origin::FOUND => Origin::Found,
        origin::SIGNALLED_INSIDE => Origin::SignalledInside,
        origin::READ_BEFORE_REQUERY => Origin::ReadBeforeRequery,
        _ => Origin::Seen,
    }
}

/// An address; 0 stands for unknown.
fn device_of(address: u64) -> Option<DeviceKey> {
    (address != 0).then_some(DeviceKey(address))
}

fn node(kind: u32, key: u64, number: u32) -> Node {
    let number = (number != record::UNKNOWN_NUMBER).then_some(number);
    let key = NodeKey(key);
    match kind {
        node_kind::GROUP => Node::Group { number },
        node_kind::CDEV => Node::Cdev { number },
        node_kind::IOMMUFD => Node::Iommufd { key },
        _ => Node::Container { key },
    }
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
        Err(Errno(
            i32::try_from(value.unsigned_abs()).unwrap_or(i32::MAX),
        ))
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
            role::WAKEUP => Role::Wakeup,
            _ => Role::Trigger,
        },
    }
}

/// An offset in the device file as region index and offset within the region.
fn split(offset: u64) -> (u32, u64) {
    let region = u32::try_from(offset >> uapi::VFIO_PCI_OFFSET_SHIFT).unwrap_or(u32::MAX);
    (region, offset & ((1 << uapi::VFIO_PCI_OFFSET_SHIFT) - 1))
}

fn exit(raw: &record::Exit) -> Body {
    let argument = captured(&raw.argument, raw.argument_len);
    let call = call::call(raw.request, argument);
    let answer = if raw.answer_unreadable != 0 {
        Answer::Unreadable
    } else {
        call::answer(&call, captured(&raw.answer, raw.answer_len))
    };
    Body::Exit {
        device: DeviceKey(raw.device),
        call,
        begin_ns: raw.begin_ns,
        result: result(raw.result),
        answer,
    }
}
