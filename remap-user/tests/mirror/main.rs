//! The numbers that are written in Rust against the C headers that define them.

mod c;
mod duties;
mod remap_irq;
mod uapi;
