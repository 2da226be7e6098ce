#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
//! The eBPF programs of remap: one file for each hook under `probe/`, one for each walk
//! over what was there before under `walk/`, shared modules beside them.
//! On a host target this is an empty program, so that the workspace checks everywhere.

#[cfg(target_arch = "bpf")]
mod contexts;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod filter;
#[cfg(target_arch = "bpf")]
mod infer;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod perf_events;
#[cfg(target_arch = "bpf")]
mod phase;
#[cfg(target_arch = "bpf")]
mod probe;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod run;
#[cfg(target_arch = "bpf")]
mod self_test;
#[cfg(target_arch = "bpf")]
mod walk;
#[cfg(target_arch = "bpf")]
mod zap;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// eBPF programs do not unwind: the verifier admits no path that gets here.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel's GPL-only helpers need it; user space is licensed apart.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "the loader finds the licence by section and symbol"
)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
