//! What user space sets in the programs while they run.

use aya::{Ebpf, Pod, maps::Array};

use super::error::one_line;

/// Sets the address of `vfio_device_fops`: the programs identify a device's file by its operations.
pub(super) fn set_device_operations(ebpf: &mut Ebpf, address: u64) -> Result<(), String> {
    set_word(ebpf, "OPERATIONS", address)
}

/// Sets what the programs are to do: a value of [`remap_common::phase`].
pub(super) fn set_phase(ebpf: &mut Ebpf, phase: u32) -> Result<(), String> {
    set_word(ebpf, "PHASE", phase)
}

fn set_word<T: Pod>(ebpf: &mut Ebpf, name: &str, value: T) -> Result<(), String> {
    let map = ebpf.map_mut(name);
    let map = map.ok_or_else(|| format!("the object has no map {name}"))?;
    let mut array: Array<_, T> = map.try_into().map_err(|error| one_line(&error))?;
    array.set(0, value, 0).map_err(|error| one_line(&error))
}
