//! The guest's instructions, and its verdict.

use serde::{Deserialize, Serialize};

/// Where the guest finds its [`Run`], as JSON.
pub const PATH: &str = "/etc/remap-run.json";
/// The name of the virtio port that carries the frames.
pub const PORT: &str = "remap";
/// The serial line that carries them instead under instruction counting, where
/// a device that works beside the processor would change the figures. It moves
/// 100 KB/s, a virtio port as much as there is.
pub const SERIAL: &str = "/dev/ttyS1";

/// One run of the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The command and its arguments, each exactly as given; empty: a shell on
    /// the console.
    pub argv: Vec<String>,
    /// Environment of the command, beside the init's own.
    pub env: Vec<(String, String)>,
    /// How the guest talks to the host.
    pub line: Line,
    /// Modules, in the order to load them.
    pub modules: Vec<Module>,
    /// The driver under test, loaded after the modules and unloaded at the end.
    pub driver: Option<Module>,
    /// The PCI driver that the devices are bound to.
    pub bind: Option<String>,
    /// The devices, by address (`0000:01:00.0`).
    pub devices: Vec<String>,
}

/// What carries the frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// [`SERIAL`].
    #[default]
    Serial,
    /// The virtio port [`PORT`], after these modules are loaded.
    Virtio(Vec<Module>),
}

/// A module to load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its file in the guest.
    pub path: String,
    /// Its parameters, as insmod takes them.
    pub args: String,
}

impl Module {
    /// Its name in the kernel.
    #[must_use]
    pub fn name(&self) -> String {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.trim_end_matches(".ko").replace('-', "_")
    }
}

/// How the run ended, as the guest saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The command ended with this exit status (128 + n for signal n).
    Exited(u8),
    /// The init could not do a step: what failed and why, in one line.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_arrive_exactly() {
        let argv = ["sh", "-c", "a  b\t'\"$x\\\n*", "", "ü"]
            .map(String::from)
            .to_vec();
        let run = Run {
            argv,
            bind: Some("remap-ref".into()),
            ..Run::default()
        };
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }

    #[test]
    fn a_module_is_named_as_the_kernel_names_it() {
        let module = Module {
            path: "/lib/remap/vfio-pci-core.ko".into(),
            args: String::new(),
        };
        assert_eq!(module.name(), "vfio_pci_core");
    }
}
