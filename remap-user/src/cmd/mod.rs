//! One file for each subcommand: its arguments and its `run`.

pub mod drill;
pub mod list;
pub mod serve;

mod machine;
mod output;
