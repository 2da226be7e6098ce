//! The target `recording` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| remap_fuzz::run(&remap_fuzz::target::RECORDING, bytes));
