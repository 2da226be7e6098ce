//! The device layer against bytes: no kernel, no root.

mod answer;
mod chain;
mod mirror;
