//! The kernel side from user space: the table of hooks, loading and attaching them, and the
//! account of what they saw and lost.

pub mod health;
pub mod load;
pub mod table;
pub mod walk;
