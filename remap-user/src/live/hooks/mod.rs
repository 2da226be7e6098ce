//! The hooks: a table, the form that each takes on this kernel, and their attachment.

pub(super) mod attach;
mod hook;
pub mod lookup;
mod misses;
pub mod row;
pub mod set;
pub mod shape;
pub mod table;
