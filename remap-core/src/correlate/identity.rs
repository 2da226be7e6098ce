//! The identity of a device.

/// The name of a device that the trace has not named.
pub const UNKNOWN_DEVICE: &str = "unknown device";

/// A device's name, driver and origin.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The BDF for a PCI device.
    pub(super) name: String,
    /// The kernel driver that it is bound to.
    pub(super) driver: Option<String>,
    /// It was open before the trace.
    pub(super) found: bool,
    /// Records were lost since it was opened, or found.
    pub(super) lossy: bool,
    /// It was closed, and is not open again as far as was observed.
    pub(super) closed: bool,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: UNKNOWN_DEVICE.to_owned(),
            driver: None,
            found: false,
            lossy: false,
            closed: false,
        }
    }
}

impl Identity {
    /// Whether the name is that of a PCI device: `domain:bus:device.function`.
    pub(super) fn is_pci(&self) -> bool {
        let parts: Vec<&str> = self.name.split([':', '.']).collect();
        let hex = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
        parts.len() == 4 && parts.iter().all(hex)
    }

    /// The bus of a PCI device: `domain:bus`.
    pub(super) fn bus(&self) -> Option<&str> {
        self.name.rsplit_once(':').map(|(bus, _)| bus)
    }

    /// The device was closed: only name and driver stay valid for the next open.
    pub(super) fn close(&mut self) {
        self.found = false;
        self.lossy = false;
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Identity {
        Identity {
            name: name.to_owned(),
            ..Identity::default()
        }
    }

    #[test]
    fn only_a_pci_device_has_a_bdf() {
        assert!(named("0000:01:00.0").is_pci());
        assert!(!Identity::default().is_pci() && !named("0.0.0001").is_pci());
        assert!(!named("0000::00.0").is_pci() && !named("pci:01:00.0").is_pci());
    }

    #[test]
    fn functions_of_one_bus_share_its_name() {
        assert_eq!(named("0000:01:00.1").bus(), Some("0000:01"));
        assert_eq!(named("mdev").bus(), None);
    }
}
