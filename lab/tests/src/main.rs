//! The lab tests.

fn main() {}
