//! The target `pipeline` for libFuzzer.
#![no_main]

use remap_fuzz::stream::mutate::{cross, mutate};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| remap_fuzz::run(&remap_fuzz::target::PIPELINE, bytes));

libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate(bytes, size, most, seed, libfuzzer_sys::fuzzer_mutate)
});

libfuzzer_sys::fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
    cross(one, other, out, seed)
});
