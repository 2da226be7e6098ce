//! The `remap` command.

use std::process::ExitCode;

use clap::Parser;
use remap_user::cli::Cli;
use remap_user::{cmd::signals, exit};

fn main() -> ExitCode {
    signals::ignore_file_size_signal();
    // A wrong command line ends here, with exit code 2 of clap.
    exit::report(Cli::parse().run())
}
