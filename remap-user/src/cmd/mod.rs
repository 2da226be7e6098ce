//! One file for each subcommand: its arguments and its `run`.

pub mod doctor;
pub mod drill;
pub mod list;
pub mod schema;
pub mod serve;
pub mod trace;

mod machine;
mod output;
mod select;
mod signals;
mod writer;
