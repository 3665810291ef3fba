//! The commands of `sallyport-relay`.

mod keep;
mod look;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use sallyport_link::{
    config::ConfigProblems,
    exit, private, registry,
    say::{complain, say},
    telemetry,
};
use sallyport_proto::{
    ids::{EventId, Ori},
    key::RegistrarKey,
};
use sallyport_relay::{
    config::Config,
    doctor, keys,
    node::BUILD,
    provision::{self, Doors, Report},
    restore, service,
};

/// Routes release events from jails to the agencies that may and want to know.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration, this machine, the servers, streams and durables; name every problem and how to mend it.
    Check {
        #[arg(long)]
        config: PathBuf,
        /// Look at nothing outside this machine.
        #[arg(long)]
        offline: bool,
        #[arg(long)]
        json: bool,
    },
    /// Run one node.
    Run {
        #[arg(long)]
        config: PathBuf,
    },
    /// Make streams, durables and the static server's accounts; report drift; destroy nothing.
    Provision {
        #[arg(long)]
        config: PathBuf,
        /// Only render the static server's configuration: before the server first starts.
        #[arg(long)]
        server_config_only: bool,
        /// Render a configuration under which only `restore` can log in.
        #[arg(long, requires = "server_config_only")]
        for_restore: bool,
        #[arg(long)]
        json: bool,
    },
    /// Copy the streams into a folder as hash-chained segments, now and then every hour until it is ended.
    Archive {
        #[arg(long)]
        config: PathBuf,
        /// The folder. It will hold person data.
        #[arg(long)]
        to: PathBuf,
        /// Only what there is now.
        #[arg(long)]
        once: bool,
        /// Seconds from one turn to the next.
        #[arg(long, default_value_t = sallyport_relay::archive::EVERY.as_secs())]
        every_s: u64,
        #[arg(long)]
        json: bool,
    },
    /// Fill an empty cluster from an archive. The server runs with `provision --server-config-only --for-restore`.
    Restore {
        #[arg(long)]
        config: PathBuf,
        /// The folder that `archive` wrote.
        #[arg(long)]
        from: PathBuf,
        /// Go on where a restore from this very archive was cut short.
        #[arg(long)]
        resume: bool,
        /// Although sequences are missing: what follows them takes other sequences than it had.
        #[arg(long)]
        accept_gaps: bool,
        /// Although nothing in the folder says where the archive ends: one of an older program.
        #[arg(long)]
        without_anchor: bool,
        #[arg(long)]
        json: bool,
    },
    /// Show how far behind delivery is, in time: per subscriber and facility.
    Lag {
        #[arg(long)]
        config: PathBuf,
        /// Figures of notices routed within so many hours.
        #[arg(long, default_value_t = 24)]
        hours: i64,
        #[arg(long)]
        json: bool,
    },
    /// Show everything that is known of one event, with every time and whether each signature verifies.
    Trace {
        event: EventId,
        #[arg(long)]
        config: PathBuf,
        /// When several facilities have an event of this id.
        #[arg(long)]
        facility: Option<Ori>,
        /// Write the evidence into this file; it holds the notices and so person data.
        #[arg(long)]
        bundle: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Read the streams from end to end and name everything that is missing between them. Exit 0: nothing is.
    Audit {
        #[arg(long)]
        config: PathBuf,
        /// Only what was stored since: a time (2026-11-21T00:00:00Z) or a span (90m, 24h, 7d).
        #[arg(long, value_parser = look::since)]
        since: Option<look::Since>,
        /// What is younger than so many seconds is on its way and not missed.
        #[arg(long, default_value_t = sallyport_relay::audit::GRACE.as_secs())]
        grace_s: i64,
        #[arg(long)]
        json: bool,
    },
    /// Check a bundle offline, with the registrar's public key alone.
    Verify {
        file: PathBuf,
        #[arg(long)]
        registrar_key: RegistrarKey,
        #[arg(long)]
        json: bool,
    },
    /// Make a key.
    Key {
        kind: keys::Kind,
        /// Where the seed is written; the public key is printed.
        #[arg(long)]
        out: PathBuf,
    },
    /// Sign a registry file.
    SignRegistry {
        file: PathBuf,
        /// The registrar's seed file.
        #[arg(long)]
        seed: PathBuf,
    },
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    private::files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::CONFIG } else { exit::OK };
            let _ = error.print();
            return code.into();
        }
    };
    telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::SOFTWARE, &error.to_string()),
    };
    runtime.block_on(run(cli.command)).into()
}

async fn run(command: Command) -> u8 {
    match command {
        Command::Check { config, offline, json } => check(&config, offline, json).await,
        Command::Run { config } => match Config::read(&config) {
            Ok(config) => match service::run(config).await {
                Ok(true) => exit::OK,
                Ok(false) => exit::FAILED,
                Err(service::StartError::Unsafe(error)) if !error.is_unavailable() => {
                    shout(exit::UNSAFE, &error)
                }
                Err(service::StartError::TooOld(error)) => shout(exit::UNSAFE, &error),
                Err(error @ service::StartError::Busy { .. }) => shout(exit::BUSY, &error),
                Err(service::StartError::Registry(error)) if error.is_of_registry() => {
                    shout(exit::CONFIG, &error)
                }
                Err(error) => shout(exit::UNAVAILABLE, &error),
            },
            Err(problems) => refuse(&problems),
        },
        Command::Provision { config, server_config_only, for_restore, json } => {
            let doors = if for_restore { Doors::Restoring } else { Doors::Open };
            provision(&config, server_config_only, doors, json).await
        }
        Command::Archive { config, to, once, every_s, json } => {
            keep::archive(&config, &to, once, every_s, json).await
        }
        Command::Restore { config, from, resume, accept_gaps, without_anchor, json } => {
            let options = restore::Options { resume, accept_gaps, without_anchor };
            keep::restore(&config, &from, options, json).await
        }
        Command::Lag { config, hours, json } => look::lag(&config, hours, json),
        Command::Trace { event, config, facility, bundle, json } => {
            look::trace(&config, &event, facility.as_ref(), bundle.as_deref(), json).await
        }
        Command::Audit { config, since, grace_s, json } => look::audit(&config, since, grace_s, json).await,
        Command::Verify { file, registrar_key, json } => look::verify(&file, &registrar_key, json),
        Command::Key { kind, out } => answer(keys::make(kind, &out)),
        Command::SignRegistry { file, seed } => {
            answer(keys::sign_registry(&file, &seed).map(|out| format!("wrote {}", out.display())))
        }
    }
}

async fn check(file: &Path, offline: bool, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) if json => {
            say(&sallyport_link::doctor::problems_as_json(file, &problems.to_string()));
            return exit::CONFIG;
        }
        Err(problems) => return refuse(&problems),
    };
    let report = doctor::look(&config, offline).await;
    say(&if json { report.as_json(file) } else { report.as_text(file) });
    report.exit_code()
}

async fn provision(file: &Path, server_config_only: bool, doors: Doors, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    // What an old program renders and makes could lack what the new ones need.
    if let Err(error) = registry::lets_start(&config.registry, BUILD) {
        return shout(exit::UNSAFE, &error);
    }
    let mut report = Report::default();
    let mut outcome = provision::render_server_config(&config, doors, &mut report);
    if outcome.is_ok() && !server_config_only {
        outcome = provision::reconcile(&config, &mut report).await;
    }
    if json {
        say(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        say(&report.to_string());
    }
    match outcome {
        Ok(()) if report.drift.is_empty() => exit::OK,
        Ok(()) => exit::FAILED,
        Err(provision::Error::Config(problems)) => refuse(&problems),
        Err(provision::Error::Unsafe(error)) if !error.is_unavailable() => shout(exit::UNSAFE, &error),
        Err(error) => shout(exit::UNAVAILABLE, &error),
    }
}

fn answer(result: anyhow::Result<String>) -> u8 {
    match result {
        Ok(text) => {
            say(&text);
            exit::OK
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            exit::DATA
        }
    }
}

pub(crate) fn refuse(problems: &ConfigProblems) -> u8 {
    complain(&problems.to_string());
    exit::CONFIG
}

pub(crate) fn shout(code: u8, error: &dyn std::error::Error) -> u8 {
    complain(&sallyport_link::publish::chain(error));
    code
}

fn fail(code: u8, text: &str) -> ExitCode {
    complain(text);
    code.into()
}
