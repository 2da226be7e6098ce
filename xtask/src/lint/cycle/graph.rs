//! Circles of a graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Module → the modules that it uses.
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// The shortest circle through each module, each circle once.
pub fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let mut seen: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    let all = edges.keys().filter_map(|start| back_to(start, edges));
    all.filter(|circle| seen.insert(circle.iter().cloned().collect()))
        .collect()
}

/// The shortest way from a module back to itself, by breadth-first search.
fn back_to(start: &str, edges: &Edges) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in edges.get(at).into_iter().flatten() {
            if next == start {
                let mut way = vec![start.to_owned(), at.to_owned()];
                let mut step = at;
                while step != start {
                    step = came_from.get(step).copied().unwrap_or(start);
                    way.push(step.to_owned());
                }
                way.reverse();
                way.dedup();
                return Some(way);
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}
