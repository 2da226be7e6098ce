//! The offsets that the programs read by, looked up in BTF. A member that is not there is a
//! sentence, never an error: what depends on it says "unknown".

use remap_common::layout::{ABSENT, KernelLayout};

use super::btf::Btf;

/// A measured layout, and what could not be found.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The offsets.
    pub layout: KernelLayout,
    /// For each missing member: which it is, and what is unknown without it.
    pub missing: Vec<String>,
    /// Missing members without which nothing can be traced.
    pub fatal: Vec<String>,
}

/// Measures the layout of a kernel. `vfio` is the module's BTF (or the core's own, if built in).
pub fn measure(core: &Btf, vfio: Option<&Btf>) -> Measured {
    let vfio = vfio.unwrap_or(core);
    let mut missing = Vec::new();
    let mut fatal = Vec::new();
    let mut offset = |btf: &Btf, name: &str, path: &[&str], without: Option<&str>| {
        btf.member_offset(name, path).unwrap_or_else(|| {
            let member = format!("{name}.{}", path.join("."));
            match without {
                Some(without) => missing.push(format!("no {member} in BTF: {without}")),
                None => fatal.push(member),
            }
            ABSENT
        })
    };
    let unread = Some("values that user space reads from an eventfd are unknown");
    let unmapped = Some("mappings are not seen");
    let unnamed = Some("devices have no names");
    let forgetful = Some("a recycled eventfd could be taken for a device's");
    let layout = KernelLayout {
        file_private_data: offset(core, "file", &["private_data"], None),
        file_f_op: offset(core, "file", &["f_op"], unmapped),
        kiocb_filp: offset(core, "kiocb", &["ki_filp"], Some("wakes are not seen")),
        iter_type: offset(core, "iov_iter", &["iter_type"], unread),
        iter_ubuf: offset(core, "iov_iter", &["ubuf"], unread),
        iter_offset: offset(core, "iov_iter", &["iov_offset"], unread),
        iter_is_ubuf: core.enumerator("iter_type", "ITER_UBUF").unwrap_or(ABSENT),
        eventfd_count: offset(
            core,
            "eventfd_ctx",
            &["count"],
            Some("the counter before a signal is unknown"),
        ),
        eventfd_kref: offset(core, "eventfd_ctx", &["kref"], forgetful),
        vma_start: offset(core, "vm_area_struct", &["vm_start"], unmapped),
        vma_end: offset(core, "vm_area_struct", &["vm_end"], unmapped),
        vma_pgoff: offset(core, "vm_area_struct", &["vm_pgoff"], unmapped),
        vma_file: offset(core, "vm_area_struct", &["vm_file"], unmapped),
        device_file_device: if vfio.has_struct("vfio_device_file") {
            offset(vfio, "vfio_device_file", &["device"], None)
        } else {
            ABSENT
        },
        vfio_device_dev: offset(vfio, "vfio_device", &["dev"], unnamed),
        vfio_device_open_count: offset(
            vfio,
            "vfio_device",
            &["open_count"],
            Some("each closed file of a device counts as its last"),
        ),
        device_name: offset(core, "device", &["kobj", "name"], unnamed),
        signal_has_addend: core
            .parameters("eventfd_signal_mask")
            .map_or(0, |parameters| u32::from(parameters.len() == 3)),
    };
    Measured {
        layout,
        missing,
        fatal,
    }
}
