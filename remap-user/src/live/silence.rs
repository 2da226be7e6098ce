//! Hooks that do not fire.

use remap_core::model::{BlindCause, BlindHooks};

/// What is wrong, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The hooks that do not fire.
    pub hooks: BlindHooks,
    /// What switched them off.
    pub cause: BlindCause,
}
