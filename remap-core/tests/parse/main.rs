//! The kernel's answers as bytes, right and wrong, against the parsers.

mod answer;
mod chain;
mod remap_irq;
