//! The device layer against a made-up sysfs: no kernel, no root.

mod sysfs;
