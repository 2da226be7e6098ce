//! Builds, boots and checks remap: `cargo xtask setup|build|lab|demo|test|soak|bench|fuzz|mutants`.

mod apt;
mod archive;
mod bench;
mod build;
mod busybox;
mod c;
mod cache;
mod demo;
mod device;
mod driver;
mod firmware;
mod fixtures;
mod fuzz;
mod guest;
mod guest_modules;
mod initramfs;
mod interrupt;
mod kernel;
mod lab;
mod linker;
mod lint;
mod mutants;
mod outcome;
mod overlay;
mod process;
mod prometheus;
mod qemu;
mod scenario;
mod setup;
mod soak;
mod spec;
mod suite;
mod test;
mod tool;
mod verdict;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, boots and checks remap.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Args),
    Build(build::Args),
    Bench(bench::Args),
    Lab(lab::Args),
    Demo(demo::Args),
    Fixtures(fixtures::Args),
    Soak(soak::Args),
    Test(test::Args),
    Fuzz(fuzz::Args),
    Mutants(mutants::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup(args) => setup::main(&args),
        Task::Build(args) => build::main(&args),
        Task::Bench(args) => bench::main(&args),
        Task::Lab(args) => lab::main(&args),
        Task::Demo(args) => demo::main(&args),
        Task::Fixtures(args) => fixtures::main(&args),
        Task::Soak(args) => soak::main(&args),
        Task::Test(args) => test::main(&args),
        Task::Fuzz(args) => fuzz::main(&args),
        Task::Mutants(args) => mutants::main(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(outcome::exit_code(&error))
        }
    }
}
