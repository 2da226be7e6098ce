//! One file for each subcommand: its arguments and its `run`.

pub mod check;
pub mod doctor;
pub mod drill;
pub mod export;
pub mod list;
pub mod record;
pub mod report;
pub mod schema;
pub mod serve;
pub mod signals;
pub mod trace;

mod excerpt;
mod files;
mod format;
mod launch;
mod limits;
mod machine;
mod outbox;
mod output;
mod recording;
mod select;
mod tracing;
mod writer;
