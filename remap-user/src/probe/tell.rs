//! What user space tells the programs while they run.

use aya::{Ebpf, Pod, maps::Array};

use super::load::chain;

/// The address of `vfio_device_fops`: the operations of a device's file tell it from any other.
pub(super) fn operations(ebpf: &mut Ebpf, address: u64) -> Result<(), String> {
    word(ebpf, "OPERATIONS", address)
}

/// Whether every hook is in place, so that each call that is entered is seen to return.
pub(super) fn open(ebpf: &mut Ebpf, open: bool) -> Result<(), String> {
    word(ebpf, "OPEN", u32::from(open))
}

fn word<T: Pod>(ebpf: &mut Ebpf, name: &str, value: T) -> Result<(), String> {
    let map = ebpf.map_mut(name);
    let map = map.ok_or_else(|| format!("the object has no map {name}"))?;
    let mut array: Array<_, T> = map.try_into().map_err(|error| chain(&error))?;
    array.set(0, value, 0).map_err(|error| chain(&error))
}
