//! Numbers in place of kernel addresses, in the order in which they were first shown.

use std::collections::HashMap;

use crate::event::{Body, Node};

/// What has a number within the trace, each kind from 1.
#[derive(Debug, Default)]
pub(super) struct Keys {
    contexts: Numbers,
    nodes: Numbers,
    files: Numbers,
}

#[derive(Debug, Default)]
struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// Puts the number of an address in its place.
    fn replace(&mut self, address: &mut u64) {
        let next = self.0.len() as u64 + 1;
        *address = *self.0.entry(*address).or_insert(next);
    }
}

impl Keys {
    /// Replaces every address of the kernel that is written.
    pub(super) fn number(&mut self, body: &mut Body) {
        match body {
            Body::Context(context) => self.contexts.replace(&mut context.context.0),
            Body::Signal(signal) => self.contexts.replace(&mut signal.context.0),
            Body::Consumed(taken) => self.contexts.replace(&mut taken.context.0),
            Body::Read(read) => self.contexts.replace(&mut read.context.0),
            Body::Write(write) => self.contexts.replace(&mut write.context.0),
            Body::Release { context, .. } => self.contexts.replace(&mut context.0),
            Body::NodeOpen { node, .. } | Body::NodeClose { node } => self.number_node(node),
            Body::DeviceFile(file) => self.number_node(&mut file.node),
            Body::Dma(call) => self.nodes.replace(&mut call.node.0),
            Body::Data(data) => self.files.replace(&mut data.file),
            Body::PrecopyInfo(info) => self.files.replace(&mut info.file),
            Body::Device(_)
            | Body::Close { .. }
            | Body::Owner { .. }
            | Body::Enter { .. }
            | Body::Exit(_)
            | Body::InFlight(_)
            | Body::InFlightOver { .. }
            | Body::Map(_)
            | Body::Unmap(_)
            | Body::StateWriteEnter(_)
            | Body::StateWriteExit(_)
            | Body::Fault(_)
            | Body::Zap(_)
            | Body::ConfigWrite(_)
            | Body::Unknown { .. }
            | Body::Lost { .. } => {}
        }
    }

    /// Replaces the address of a container or an iommufd.
    pub(super) fn number_node(&mut self, node: &mut Node) {
        match node {
            Node::Container { key } | Node::Iommufd { key } => self.nodes.replace(&mut key.0),
            Node::Group { .. } | Node::Cdev { .. } => {}
        }
    }
}
