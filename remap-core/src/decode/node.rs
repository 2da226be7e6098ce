//! Devices, their files, and the nodes that the files come from.

use remap_common::record::{self, NodeKind, UNKNOWN_NUMBER, Wire};

use super::{answered, fd_of, result, text};
use crate::event::{Body, DeviceFile, DeviceKey, DeviceSeen, Node, NodeKey, bodies};

bodies! {
    Device(raw) => Self::Device(device(raw)?),
    Close(raw) => Self::Close {
        device: DeviceKey(raw.device),
        dying: answered(raw.dying),
    },
    Node(raw) => node(raw)?,
    DeviceFile(raw) => Self::DeviceFile(device_file(raw)?),
}

fn device(raw: &record::Device) -> Option<DeviceSeen> {
    Some(DeviceSeen {
        device: DeviceKey(raw.device),
        name: text(&raw.name),
        driver: Some(text(&raw.driver)).filter(|name| !name.is_empty()),
        origin: raw.origin.known()?,
    })
}

fn named(kind: Wire<NodeKind>, key: u64, number: u32) -> Option<Node> {
    let number = (number != UNKNOWN_NUMBER).then_some(number);
    let key = NodeKey(key);
    Some(match kind.known()? {
        NodeKind::Group => Node::Group { number },
        NodeKind::Container => Node::Container { key },
        NodeKind::Cdev => Node::Cdev { number },
        NodeKind::Iommufd => Node::Iommufd { key },
    })
}

fn node(raw: &record::Node) -> Option<Body> {
    let node = named(raw.node, raw.key, raw.number)?;
    Some(if raw.opened == 0 {
        Body::NodeClose { node }
    } else {
        let result = result(raw.result).map(drop);
        Body::NodeOpen { node, result }
    })
}

fn device_file(raw: &record::DeviceFile) -> Option<DeviceFile> {
    Some(DeviceFile {
        device: DeviceKey(raw.device),
        node: named(raw.node, raw.key, raw.number)?,
        fd: fd_of(raw.fd),
    })
}
