//! The `remap` command.

fn main() {}
