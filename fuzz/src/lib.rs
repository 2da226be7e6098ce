//! Fuzz targets: what remap reads of the kernel, of drivers, of other processes and of files, each as a
//! function of arbitrary bytes. It must neither panic nor overflow, hang, or take more memory than
//! [`BUDGET`].
//!
//! libFuzzer runs them (`cargo xtask fuzz`); the tests of this crate run them over their seeds.

pub mod forged;
pub mod recording;
pub mod sink;
pub mod stream;
pub mod target;

use std::alloc::System;

use cap::Cap;

use target::Target;

/// The heap, which counts what is allocated.
#[global_allocator]
pub static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What the queues and tables of a trace may take, bytes.
pub const BUDGET: usize = 64 << 20;

/// Runs a target on one input. An allocation beyond the budget fails, which ends the process.
pub fn run(target: &Target, bytes: &[u8]) {
    if HEAP.set_limit(HEAP.allocated() + BUDGET).is_ok() {
        (target.run)(bytes);
    }
    let _unlimited = HEAP.set_limit(usize::MAX);
}
