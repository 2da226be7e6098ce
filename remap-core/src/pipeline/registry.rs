//! The names of a trace: of the devices that are open, and of the virtual machines.

use std::collections::HashMap;

use crate::event::{Body, DeviceKey, Event};
use crate::model::Stats;

/// The devices that are open, and the virtual machine of each process that runs one.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The event that made each device known.
    devices: HashMap<DeviceKey, Event>,
    vms: HashMap<u32, String>,
}

impl Registry {
    /// An event, before anything is asked about it.
    pub(super) fn record(&mut self, event: &Event) {
        match &event.body {
            Body::Device(seen) => drop(self.devices.insert(seen.device, event.clone())),
            Body::Owner { pid, vm: Some(vm) } => drop(self.vms.insert(*pid, vm.clone())),
            Body::Owner { pid, vm: None } => drop(self.vms.remove(pid)),
            _ => {}
        }
    }

    /// A device was closed: its address may be that of another device next time.
    pub(super) fn close(&mut self, device: DeviceKey) {
        self.devices.remove(&device);
    }

    /// The event that made a device known, as long as it is open.
    pub(super) fn opening(&self, device: DeviceKey) -> Option<&Event> {
        self.devices.get(&device)
    }

    /// The name of a device that is open.
    pub(super) fn device(&self, device: DeviceKey) -> Option<&str> {
        match &self.devices.get(&device)?.body {
            Body::Device(seen) => Some(&seen.name),
            _ => None,
        }
    }

    /// The virtual machine that a process runs.
    pub(super) fn vm(&self, pid: u32) -> Option<&str> {
        self.vms.get(&pid).map(String::as_str)
    }

    /// Names the virtual machines of the users in a summary.
    pub(super) fn name_users(&self, stats: &mut Stats) {
        let devices = stats.devices.values_mut();
        for (pid, user) in devices.flat_map(|device| &mut device.users) {
            user.vm = self.vm(*pid).map(str::to_owned);
        }
    }
}
