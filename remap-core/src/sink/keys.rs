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
            Body::Context { context, .. }
            | Body::Signal { context, .. }
            | Body::Consumed { context, .. }
            | Body::Read { context, .. }
            | Body::Write { context, .. }
            | Body::Release { context, .. } => self.contexts.replace(&mut context.0),
            Body::NodeOpen { node, .. }
            | Body::NodeClose { node }
            | Body::DeviceFile { node, .. } => self.number_node(node),
            Body::Dma { node, .. } => self.nodes.replace(&mut node.0),
            Body::Data { file, .. } | Body::PrecopyInfo { file, .. } => self.files.replace(file),
            Body::Device { .. }
            | Body::Close { .. }
            | Body::Owner { .. }
            | Body::Enter { .. }
            | Body::Exit { .. }
            | Body::Early { .. }
            | Body::EarlyOver { .. }
            | Body::Map { .. }
            | Body::Unmap { .. }
            | Body::StateWriteEnter { .. }
            | Body::StateWriteExit { .. }
            | Body::Fault { .. }
            | Body::Zap { .. }
            | Body::ConfigWrite { .. }
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
