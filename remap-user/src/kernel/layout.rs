//! The offsets that the programs read by, looked up in BTF. A member that is not there is a
//! sentence, never an error: what depends on it says "unknown".

mod memory;
mod node;
mod stream;
mod task;
mod walk;

use remap_common::layout::{ABSENT, KernelAddresses, KernelLayout};

pub(super) use task::VARIABLES;

use super::{Kernel, btf::Btf};

/// A measured layout, and what could not be found.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The offsets.
    pub layout: KernelLayout,
    /// The addresses.
    pub addresses: KernelAddresses,
    /// For each missing member: which it is, and what is unknown without it.
    pub missing: Vec<String>,
    /// Missing members without which nothing can be traced.
    pub fatal: Vec<String>,
}

/// Collects what is missing while members are looked up.
#[derive(Default)]
struct Ruler {
    missing: Vec<String>,
    fatal: Vec<String>,
}

impl Ruler {
    /// The offset of a member; if it is not there, `without` says what is unknown.
    fn offset(&mut self, btf: &Btf, name: &str, path: &[&str], without: &str) -> u32 {
        btf.member_offset(name, path).unwrap_or_else(|| {
            let member = path.join(".");
            self.missing
                .push(format!("no {name}.{member} in BTF: {without}"));
            ABSENT
        })
    }

    /// The offset of a member without which nothing can be traced.
    fn essential(&mut self, btf: &Btf, name: &str, path: &[&str]) -> u32 {
        btf.member_offset(name, path).unwrap_or_else(|| {
            self.fatal.push(format!("{name}.{}", path.join(".")));
            ABSENT
        })
    }
}

/// Measures the layout of a kernel.
pub fn measure(kernel: &Kernel) -> Measured {
    let core = kernel.core.as_ref();
    let vfio = kernel.vfio.as_ref().unwrap_or(core);
    let mut ruler = Ruler::default();
    let unread = "values that user space reads from an eventfd are unknown";
    let unmapped = "mappings are not seen";
    let unnamed = "devices have no names";
    let driverless = "the drivers of devices are unknown";
    let layout = KernelLayout {
        task: task::measure(&mut ruler, kernel),
        memory: memory::measure(&mut ruler, kernel),
        node: node::measure(&mut ruler, core, vfio),
        stream: stream::measure(&mut ruler, core),
        walk: walk::measure(&mut ruler, kernel),
        file_private_data: ruler.essential(core, "file", &["private_data"]),
        file_f_op: ruler.offset(core, "file", &["f_op"], unmapped),
        kiocb_filp: ruler.offset(core, "kiocb", &["ki_filp"], "wakes are not seen"),
        iter_type: ruler.offset(core, "iov_iter", &["iter_type"], unread),
        iter_ubuf: ruler.offset(core, "iov_iter", &["ubuf"], unread),
        iter_offset: ruler.offset(core, "iov_iter", &["iov_offset"], unread),
        iter_is_ubuf: core.enumerator("iter_type", "ITER_UBUF").unwrap_or(ABSENT),
        eventfd_count: ruler.offset(
            core,
            "eventfd_ctx",
            &["count"],
            "the counter before a signal is unknown",
        ),
        eventfd_flags: ruler.offset(
            core,
            "eventfd_ctx",
            &["flags"],
            "what the kernel itself takes from an eventfd is unknown",
        ),
        eventfd_kref: ruler.offset(
            core,
            "eventfd_ctx",
            &["kref"],
            "a recycled eventfd could be taken for a device's",
        ),
        vma_start: ruler.offset(core, "vm_area_struct", &["vm_start"], unmapped),
        vma_end: ruler.offset(core, "vm_area_struct", &["vm_end"], unmapped),
        vma_pgoff: ruler.offset(core, "vm_area_struct", &["vm_pgoff"], unmapped),
        vma_file: ruler.offset(core, "vm_area_struct", &["vm_file"], unmapped),
        device_file_device: if vfio.has_struct("vfio_device_file") {
            ruler.essential(vfio, "vfio_device_file", &["device"])
        } else {
            ABSENT
        },
        vfio_device_dev: ruler.offset(vfio, "vfio_device", &["dev"], unnamed),
        vfio_device_open_count: ruler.offset(
            vfio,
            "vfio_device",
            &["open_count"],
            "each closed file of a device counts as its last",
        ),
        device_name: ruler.offset(core, "device", &["kobj", "name"], unnamed),
        device_driver: ruler.offset(core, "device", &["driver"], driverless),
        driver_name: ruler.offset(core, "device_driver", &["name"], driverless),
        signal_has_addend: core
            .parameters("eventfd_signal_mask")
            .map_or(0, |parameters| u32::from(parameters.len() == 3)),
    };
    Measured {
        layout,
        addresses: task::addresses(&mut ruler, kernel),
        missing: ruler.missing,
        fatal: ruler.fatal,
    }
}
