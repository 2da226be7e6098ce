//! The kernel side from user space: the table of hooks, loading and attaching them, and the
//! account of what they saw and lost.

mod attach;
mod left;
pub mod load;
mod miss;
mod missed;
pub mod reload;
pub mod table;
mod tell;
pub mod walk;
