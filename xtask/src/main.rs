//! Builds, boots and judges remap: `cargo xtask setup|build|lab|demo|test`.

fn main() {}
