//! Numbers in place of kernel addresses, in the order in which they were first shown.

use std::collections::HashMap;

use crate::event::{Address, Body, Node};

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
        match body.address_mut() {
            Some(Address::Context(context)) => self.contexts.replace(&mut context.0),
            Some(Address::Node(node)) => self.number_node(node),
            Some(Address::DmaNode(node)) => self.nodes.replace(&mut node.0),
            Some(Address::File(file)) => self.files.replace(file),
            None => {}
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
