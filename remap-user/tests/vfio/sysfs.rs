//! Addresses, and what a made-up sysfs and /proc say.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use proptest::prelude::*;
use remap_user::vfio::bdf::BadBdf;
use remap_user::vfio::error::Error;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Holder, Host, OtherDevice, name_holders};
use tempfile::TempDir;

fn bdf(text: &str) -> Bdf {
    text.parse().unwrap()
}

/// A sysfs and a /proc in a scratch directory.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(machine.path("sys/bus/pci/devices")).unwrap();
        fs::create_dir_all(machine.path("proc")).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn host(&self) -> Host {
        Host::at(self.path("sys"), self.path("proc"))
    }

    fn device(self, bdf: &str, driver: Option<&str>, vfio: bool, group: Option<u32>) -> Self {
        let device = self.path("sys/bus/pci/devices").join(bdf);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), "0x1b36\n").unwrap();
        fs::write(device.join("device"), "0x0010\n").unwrap();
        if let Some(driver) = driver {
            let to = self.path("sys/bus/pci/drivers").join(driver);
            fs::create_dir_all(&to).unwrap();
            symlink(to, device.join("driver")).unwrap();
        }
        if vfio {
            fs::create_dir_all(device.join("vfio-dev/vfio0")).unwrap();
        }
        if let Some(group) = group {
            let to = self.path(&format!("sys/kernel/iommu_groups/{group}"));
            fs::create_dir_all(to.join("devices").join(bdf)).unwrap();
            symlink(to, device.join("iommu_group")).unwrap();
        }
        self
    }

    fn process(self, pid: u32, comm: &str, opened: &str) -> Self {
        let process = self.path(&format!("proc/{pid}"));
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::write(process.join("comm"), format!("{comm}\n")).unwrap();
        symlink(opened, process.join("fd/7")).unwrap();
        self
    }
}

#[test]
fn a_device_that_is_no_pci_device_is_found() {
    let machine = Machine::new();
    let device = machine.path("sys/devices/platform/acme.0");
    let node = device.join("vfio-dev/vfio3");
    fs::create_dir_all(node.join("dev")).unwrap();
    fs::create_dir_all(machine.path("sys/class/vfio-dev")).unwrap();
    symlink(&node, machine.path("sys/class/vfio-dev/vfio3")).unwrap();
    symlink(&device, node.join("device")).unwrap();
    symlink("../../../bus/platform", device.join("subsystem")).unwrap();
    symlink("../../../bus/platform/drivers/acme", device.join("driver")).unwrap();
    symlink("../../../kernel/iommu_groups/7", device.join("iommu_group")).unwrap();
    let found = machine.host().other_devices();
    let expected = OtherDevice {
        name: "acme.0".into(),
        driver: Some("acme".into()),
        group: Some(7),
        cdev: Some("/dev/vfio/devices/vfio3".into()),
    };
    assert_eq!(found, [expected]);
    // A PCI device has its address.
    fs::remove_file(device.join("subsystem")).unwrap();
    symlink("../../../bus/pci", device.join("subsystem")).unwrap();
    assert_eq!(machine.host().other_devices(), []);
}

#[test]
fn a_command_name_is_exact() {
    let machine = Machine::new().process(7, "a\u{1b}[2J b ", "/dev/vfio/1");
    let holders = machine.host().holders(&["/dev/vfio/1".into()]);
    assert_eq!(holders[0].comm, "a\u{1b}[2J b ");
}

#[test]
fn addresses_are_read_and_written() {
    assert_eq!(bdf("0000:01:00.0").to_string(), "0000:01:00.0");
    assert_eq!(bdf("01:1f.7").to_string(), "0000:01:1f.7");
    assert_eq!(bdf("10000:aB:00.1").to_string(), "10000:ab:00.1");
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "",
        ":",
        ".",
        "xx",
        "0000:01:00",
        "0000:01:20.0",
        "0000:01:00.8",
        "0000:001:00.0",
        "000:01:00.0",
        "0000:01:00.00",
        "+000:01:00.0",
        "0000:01:00.0 ",
        "0000:01:00.0/..",
        "fffffffff:01:00.0",
        "0000:0000:01:00.0",
    ] {
        let refused = text.parse::<Bdf>();
        assert!(
            matches!(&refused, Err(BadBdf(bad)) if bad == text),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_address_parser_panic(text in "[0-9a-f:. é]{0,16}") {
        if let Ok(bdf) = text.parse::<Bdf>() {
            prop_assert_eq!(bdf.to_string().parse::<Bdf>().unwrap(), bdf);
        }
    }
}

#[test]
fn vfio_devices_are_found() {
    let machine = Machine::new()
        .device("0000:02:00.0", Some("remap-ref"), true, Some(5))
        .device("0000:01:00.0", Some("vfio-pci"), true, Some(4))
        .device("0000:00:1f.0", Some("lpc_ich"), false, Some(4));
    let host = machine.host();
    assert_eq!(
        host.vfio_devices(),
        [bdf("0000:01:00.0"), bdf("0000:02:00.0")]
    );
    assert_eq!(
        host.driver(bdf("0000:02:00.0")).as_deref(),
        Some("remap-ref")
    );
    assert_eq!(host.ids(bdf("0000:02:00.0")), Some((0x1b36, 0x10)));
    assert_eq!(host.group(bdf("0000:02:00.0")), Some(5));
    assert_eq!(
        host.group_devices(4),
        [bdf("0000:00:1f.0"), bdf("0000:01:00.0")]
    );
}

#[test]
fn before_vfio_dev_the_drivers_module_decides() {
    let machine = Machine::new()
        .device("0000:01:00.0", Some("vendor"), false, Some(4))
        .device("0000:02:00.0", Some("nvme"), false, Some(5));
    let modules = machine.path("sys/module");
    for (driver, module) in [("vendor", "vendor_vfio"), ("nvme", "nvme")] {
        let driver = machine.path("sys/bus/pci/drivers").join(driver);
        fs::create_dir_all(modules.join(module)).unwrap();
        symlink(modules.join(module), driver.join("module")).unwrap();
    }
    fs::create_dir_all(modules.join("vfio_pci_core/holders/vendor_vfio")).unwrap();
    assert_eq!(machine.host().vfio_devices(), [bdf("0000:01:00.0")]);
}

#[test]
fn holders_are_named() {
    let machine = Machine::new()
        .process(10, "init", "/dev/null")
        .process(1234, "qemu", "/dev/vfio/4")
        .process(99, "remap", "/dev/vfio/4");
    let holders = machine.host().holders(&["/dev/vfio/4".into()]);
    let holder = |pid, comm: &str| Holder {
        pid,
        comm: comm.to_owned(),
    };
    assert_eq!(holders, [holder(99, "remap"), holder(1234, "qemu")]);
    assert_eq!(name_holders(&holders), "remap (99), qemu (1234)");
    assert_eq!(machine.host().holders(&["/dev/vfio/5".into()]), []);
}

#[test]
fn a_device_node_is_found_only_where_the_kernel_makes_one() {
    let machine = Machine::new().device("0000:01:00.0", Some("vfio-pci"), true, Some(4));
    let device = bdf("0000:01:00.0");
    assert_eq!(machine.host().cdev(device), None);
    assert_eq!(
        open::paths(&machine.host(), device),
        [PathBuf::from("/dev/vfio/4")]
    );
    let error = open::open(&machine.host(), device, Via::Cdev).expect_err("there is no node");
    assert!(matches!(error, Error::NoCdev { .. }), "{error}");
    let node = machine.path("sys/bus/pci/devices/0000:01:00.0/vfio-dev/vfio0/dev");
    fs::write(node, "511:0\n").unwrap();
    let paths = ["/dev/vfio/4", "/dev/vfio/devices/vfio0"].map(PathBuf::from);
    assert_eq!(open::paths(&machine.host(), device), paths);
}

/// The error of an attempt to open a device of a made-up machine, before any real file is opened.
fn refusal(machine: &Machine) -> Error {
    open::open(&machine.host(), bdf("0000:01:00.0"), Via::Auto)
        .expect_err("there is no such device")
}

#[test]
fn what_cannot_be_opened_is_reported_with_the_remedy() {
    let machine = Machine::new();
    assert!(matches!(refusal(&machine), Error::NoDevice(_)));

    let machine = Machine::new().device("0000:01:00.0", Some("nvme"), false, Some(4));
    let text = refusal(&machine).to_string();
    assert!(
        text.contains("bound to nvme") && text.contains("driver_override"),
        "{text}"
    );
    assert!(!text.contains('\n'), "{text}");

    let machine = Machine::new().device("0000:01:00.0", None, false, Some(4));
    assert!(refusal(&machine).to_string().contains("is unbound"));

    let machine = Machine::new().device("0000:01:00.0", Some("vfio-pci"), true, None);
    assert!(matches!(refusal(&machine), Error::NoIommu(_)));

    let machine = Machine::new().device("0000:01:00.0", Some("vfio-pci"), true, Some(4));
    fs::write(
        machine.path("sys/kernel/iommu_groups/4/name"),
        "vfio-noiommu\n",
    )
    .unwrap();
    assert!(matches!(refusal(&machine), Error::NoIommu(_)));
}
