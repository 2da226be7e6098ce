#![cfg_attr(target_arch = "bpf", no_std, no_main)]
//! The eBPF programs of remap.

#[cfg(not(target_arch = "bpf"))]
fn main() {}
