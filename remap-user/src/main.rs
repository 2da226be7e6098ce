//! The `remap` command.

use std::process::ExitCode;

use clap::Parser;
use remap_user::cli::Cli;
use remap_user::exit;

fn main() -> ExitCode {
    // A wrong command line ends here, with exit code 2 of clap.
    exit::report(Cli::parse().run())
}
