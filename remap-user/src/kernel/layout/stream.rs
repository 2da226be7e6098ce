//! Files: how an fd leads to one, and what it is.

use remap_common::layout::StreamLayout;

use super::Ruler;
use crate::kernel::btf::Btf;

/// What is unknown if an fd does not lead to its file.
pub(super) const NO_FILES: &str =
    "which device a migration data fd or a device file belongs to is unknown";

pub(super) fn measure(ruler: &mut Ruler, core: &Btf) -> StreamLayout {
    let unfound = "migration data fds from before the trace are not recognised";
    let mut operation = |name| ruler.offset(core, "file_operations", &[name], unfound);
    let (read, write) = (operation("read"), operation("write"));
    StreamLayout {
        operations_read: read,
        operations_write: write,
        operations_ioctl: operation("unlocked_ioctl"),
        files_fdt: ruler.offset(core, "files_struct", &["fdt"], NO_FILES),
        fdtable_max: ruler.offset(core, "fdtable", &["max_fds"], NO_FILES),
        fdtable_fd: ruler.offset(core, "fdtable", &["fd"], NO_FILES),
        file_inode: ruler.offset(core, "file", &["f_inode"], unfound),
        inode_superblock: ruler.offset(core, "inode", &["i_sb"], unfound),
        superblock_magic: ruler.offset(core, "super_block", &["s_magic"], unfound),
    }
}
