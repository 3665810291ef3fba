//! What a person types: `cargo xtask <task>`. Each task is one file; this one only reads the command line and turns the
//! result into an exit code.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "every task talks to the person who typed it")]

mod bench;
mod build;
mod demo;
mod house;
mod load;
mod nats;
mod proto;
mod sample;
mod sim;
mod soak;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sallyport_harness::nats_binary;

/// `EX_USAGE` of sysexits, as the programs give it for a wrong command line or configuration.
const EXIT_USAGE: u8 = 64;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "What a person types in this workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find the pinned nats-server, or fetch it, and print its path
    Nats,
    /// Regenerate proto/src/gen from the .proto files
    Proto {
        /// Change nothing; fail when what is committed is stale
        #[arg(long)]
        check: bool,
    },
    /// Write the synthetic day of two invented jails again (the same bytes every time)
    Sample {
        /// The file to write
        #[arg(long, default_value_os_t = workspace::root().join("deploy/examples/synthetic-day.csv"))]
        out: PathBuf,
    },
    /// Replay a jail's day on a real nats-server and judge it
    Demo(demo::Options),
    /// Measure floors and product on one server
    Bench(bench::Options),
    /// A whole country's jails and agencies with real connections
    Load(load::Options),
    /// Build the programs: plain, and apart from them with crash points for the kill tests
    Build,
    /// Run seeds of the deterministic simulation
    Sim(sim::Options),
    /// Apply faults at random to real programs on a real cluster, for as long as asked
    Soak(soak::Options),
    /// Run what CI runs: format, lints, every test, docs
    Test(test::Options),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere left to report a closed output to.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.task {
        Task::Nats => nats::run(),
        Task::Proto { check } => proto::run(check),
        Task::Sample { out } => sample::run(&out),
        Task::Demo(options) => return demo::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Load(options) => load::run(&options),
        Task::Build => build::both(),
        Task::Sim(options) => sim::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Test(options) => test::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<nats_binary::Error>())
        .map_or(ExitCode::FAILURE, |missing| ExitCode::from(missing.exit_code()))
}
