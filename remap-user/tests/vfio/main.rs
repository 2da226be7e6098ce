//! The device layer against bytes, and against a made-up sysfs: no kernel, no root.

mod answer;
mod chain;
mod mirror;
mod remap_irq;
mod sysfs;
