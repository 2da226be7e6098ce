//! Numbers in place of kernel addresses, in the order in which they were first shown.

use std::collections::HashMap;

use crate::event::{ContextKey, NodeKey};

/// What has a number within the trace, each kind from 1.
#[derive(Debug, Default)]
pub(in crate::sink) struct Keys {
    contexts: HashMap<ContextKey, u64>,
    nodes: HashMap<NodeKey, u64>,
    files: HashMap<u64, u64>,
}

impl Keys {
    pub(super) fn context(&mut self, key: ContextKey) -> u64 {
        number(&mut self.contexts, key)
    }

    pub(super) fn node(&mut self, key: NodeKey) -> u64 {
        number(&mut self.nodes, key)
    }

    pub(super) fn file(&mut self, key: u64) -> u64 {
        number(&mut self.files, key)
    }
}

fn number<K: std::hash::Hash + Eq>(numbers: &mut HashMap<K, u64>, key: K) -> u64 {
    let next = numbers.len() as u64 + 1;
    *numbers.entry(key).or_insert(next)
}
