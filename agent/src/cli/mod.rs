//! The commands of `sallyport-agent`. Standard output belongs to a command's result; logs go to standard error.

mod door;
mod events;
mod ingest;
mod mapping_test;
mod ping;
mod status;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use sallyport_link::{doctor::problems_as_json, exit, publish::chain, telemetry};
use serde::Serialize;

use crate::{
    config::{self, Config},
    doctor,
    run::{self, StartError},
    store::StoreError,
};

/// Tells the agencies that may know of releases of one jail, and shows what they answered.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration, this machine, and what the server lets this jail do; name every problem and how to mend it.
    Check {
        #[arg(long)]
        config: PathBuf,
        /// Look at nothing outside this machine.
        #[arg(long)]
        offline: bool,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Run the agent of a jail.
    Run {
        #[arg(long)]
        config: PathBuf,
    },
    /// Read an export: hand it to the running agent, or store its events when none runs.
    Ingest {
        #[arg(long)]
        config: PathBuf,
        /// The export.
        file: PathBuf,
        /// The time the export speaks of (RFC 3339); the file's own time otherwise.
        #[arg(long)]
        as_of: Option<Timestamp>,
        /// A replay of past records: no deadlines, no lead time, no alarms.
        #[arg(long)]
        backfill: bool,
        /// Retract what no longer shows a release, also when it is more than is believed unasked.
        #[arg(long)]
        retract: bool,
        /// Let bookings of this export that were sealed, expunged, juvenile or protected, and carry no mark any more, be
        /// told again.
        #[arg(long)]
        lift_floor: bool,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Read events as JSON lines from standard input; one line of result each.
    Events {
        #[arg(long)]
        config: PathBuf,
        /// Results as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Show the outbox, or who was told of an event, has it, saw it and is coming.
    Status {
        #[arg(long)]
        config: PathBuf,
        /// An event id, or how it begins.
        event: Option<String>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Send an empty event the whole way to a subscriber and back, and show its times.
    Ping {
        #[arg(long)]
        config: PathBuf,
        subscriber: String,
        /// Seconds to wait for the receipt.
        #[arg(long, default_value_t = 30)]
        timeout: u64,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Try out a mapping.
    #[command(subcommand)]
    Mapping(MappingCommand),
}

#[derive(Subcommand)]
enum MappingCommand {
    /// Show what an export would come to; publish and store nothing.
    Test {
        #[arg(long)]
        mapping: PathBuf,
        /// The export.
        export: PathBuf,
        /// Decide with the allow-list of this configuration; without it every release counts.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The time the export speaks of (RFC 3339); the file's own time otherwise.
        #[arg(long)]
        as_of: Option<Timestamp>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    sallyport_link::private::files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::CONFIG } else { exit::OK };
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return code.into();
        }
    };
    telemetry::start();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::SOFTWARE, &error).into(),
    };
    runtime.block_on(command(cli.command)).into()
}

/// Two workers: one may read the store while the other talks to the broker. More would only cost memory.
const WORKERS: usize = 2;
/// Files and names are looked up there.
const BLOCKING_MAX: usize = 4;
/// Our futures are small.
const STACK_BYTES: usize = 1024 * 1024;

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_MAX)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
}

async fn command(command: Command) -> u8 {
    match command {
        Command::Check { config, offline, json } => check(&config, offline, json).await,
        Command::Run { config } => with(&config, run_agent).await,
        Command::Ingest { config, file, as_of, backfill, retract, lift_floor, json } => {
            let how = ingest::How { as_of, backfill, retract, lift_floor, json };
            with(&config, |config| ingest::run(config, file, how)).await
        }
        Command::Events { config, json } => with(&config, |config| events::run(config, json)).await,
        Command::Status { config, event, json } => {
            with(&config, |config| status::run(config, event, json)).await
        }
        Command::Ping { config, subscriber, timeout, json } => {
            with(&config, |config| ping::run(config, subscriber, timeout, json)).await
        }
        Command::Mapping(MappingCommand::Test { mapping, export, config, as_of, json }) => {
            mapping_test::run(&mapping, &export, config.as_deref(), as_of, json)
        }
    }
}

async fn check(file: &Path, offline: bool, json: bool) -> u8 {
    let config = match config::read(file) {
        Ok(config) => config,
        Err(problems) => {
            if json {
                say(&problems_as_json(file, &problems.to_string()));
            } else {
                complain(&problems.to_string());
            }
            return exit::CONFIG;
        }
    };
    let report = doctor::look(file, &config, offline).await;
    if json {
        say(&report.as_json(file));
    } else {
        say(&report.as_text(file));
        say("note: disclosures are not sealed yet; the operator of a relay can read them");
    }
    report.exit_code()
}

async fn run_agent(config: Config) -> u8 {
    match run::run(config).await {
        Ok(true) => exit::OK,
        Ok(false) => exit::FAILED,
        Err(error @ StartError::Store(StoreError::Taken { .. })) => fail(exit::BUSY, &error),
        Err(StartError::TooOld(error)) => fail(exit::UNSAFE, &error),
        Err(StartError::Registry(error)) if error.is_of_registry() => fail(exit::CONFIG, &error),
        Err(error) => fail(exit::UNAVAILABLE, &error),
    }
}

/// Runs a command with its configuration, or names everything that is wrong with it.
async fn with<F: Future<Output = u8>>(path: &Path, run: impl FnOnce(Config) -> F) -> u8 {
    match config::read(path) {
        Ok(config) => run(config).await,
        Err(problems) => {
            complain(&problems.to_string());
            exit::CONFIG
        }
    }
}

/// The command's own result.
fn say(text: &str) {
    sallyport_link::say::say(text.trim_end());
}

/// What went wrong, to whoever typed the command.
fn complain(text: &str) {
    sallyport_link::say::complain(text.trim_end());
}

fn fail(code: u8, error: &(dyn std::error::Error + 'static)) -> u8 {
    complain(&chain(error));
    code
}

/// One JSON object on one line.
fn say_json(value: &impl Serialize) {
    // Our own types have string keys only: they always serialize.
    say(&serde_json::to_string(value).unwrap_or_default());
}

/// The time a file speaks of when nobody says: when it was written.
fn written_at(file: &Path) -> std::io::Result<Timestamp> {
    let modified = std::fs::metadata(file)?.modified()?;
    Timestamp::try_from(modified).map_err(std::io::Error::other)
}
