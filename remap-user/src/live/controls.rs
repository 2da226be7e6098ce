//! What user space sets in the programs while they run.

use aya::{Ebpf, Pod, maps::Array};

use super::error::one_line;

/// Sets the address of `vfio_device_fops`: the programs identify a device's file by its operations.
pub(super) fn set_device_operations(ebpf: &mut Ebpf, address: u64) -> Result<(), String> {
    set_word(ebpf, "OPERATIONS", address)
}

/// Sets whether every hook is in place, so that each call that is entered is seen to return.
pub(super) fn set_open(ebpf: &mut Ebpf, open: bool) -> Result<(), String> {
    set_word(ebpf, "OPEN", u32::from(open))
}

fn set_word<T: Pod>(ebpf: &mut Ebpf, name: &str, value: T) -> Result<(), String> {
    let map = ebpf.map_mut(name);
    let map = map.ok_or_else(|| format!("the object has no map {name}"))?;
    let mut array: Array<_, T> = map.try_into().map_err(|error| one_line(&error))?;
    array.set(0, value, 0).map_err(|error| one_line(&error))
}
