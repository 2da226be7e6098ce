//! The `remap` command.

use std::process::ExitCode;

use clap::Parser;
use remap_user::cli::Cli;
use remap_user::exit;

fn main() -> ExitCode {
    // A command line that cannot be understood ends here, with clap's exit code: 2.
    exit::report(Cli::parse().run())
}
