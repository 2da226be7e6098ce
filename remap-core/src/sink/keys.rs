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

/// So many addresses of a kind have a number at a time; then those with the lower half of the
/// numbers get new ones.
const MOST: usize = 65_536;

#[derive(Debug, Default)]
struct Numbers {
    numbers: HashMap<u64, u64>,
    last: u64,
}

impl Numbers {
    /// Puts the number of an address in its place.
    fn replace(&mut self, address: &mut u64) {
        if self.numbers.len() >= MOST && !self.numbers.contains_key(address) {
            let half = self.last - MOST as u64 / 2;
            self.numbers.retain(|_, number| *number > half);
        }
        *address = *self.numbers.entry(*address).or_insert_with(|| {
            self.last += 1;
            self.last
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn number(numbers: &mut Numbers, address: u64) -> u64 {
        let mut number = address;
        numbers.replace(&mut number);
        number
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let mut numbers = Numbers::default();
        let most = MOST as u64;
        for address in 0..=most {
            assert_eq!(number(&mut numbers, address), address + 1);
        }
        assert_eq!(numbers.numbers.len(), MOST / 2 + 1);
        assert_eq!(number(&mut numbers, most), most + 1);
        assert_eq!(number(&mut numbers, 0), most + 2, "a new one");
    }
}
