//! The commands of `sallyport-subscriber`: parse, dispatch, print, exit code. What people say is made in `say`, what they
//! ask for is shown by `show`.

mod deliver;
mod moment;
mod say;
mod show;
mod state;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use sallyport_link::{
    clock,
    config::ConfigProblems,
    doctor::problems_as_json,
    exit, private,
    publish::chain,
    registry::TooOld,
    say::{complain, say as print},
    shutdown, telemetry,
};
use serde_json::json;

use crate::{
    bridge::{self, StartError},
    config::Config,
    doctor,
    store::{Store, StoreError},
};

/// Receives notices of releases for one agency, receipts each, hands them over, and carries the agency's answers back.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The configuration; every command needs it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, where the command prints anything
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the bridge.
    Run,
    /// Check a configuration, this machine, and what the server lets this agency do; name every problem and how to mend
    /// it.
    Check {
        /// Look at nothing outside this machine.
        #[arg(long)]
        offline: bool,
    },
    /// Answer a notice.
    Answer {
        /// The notice id, or the id of its event.
        notice: String,
        #[command(flatten)]
        words: say::Words,
        #[command(subcommand)]
        answer: say::Answer,
    },
    /// State what came of it.
    Outcome {
        /// The notice id, or the id of its event.
        notice: String,
        #[command(flatten)]
        words: say::Words,
        #[command(flatten)]
        outcome: say::OutcomeWords,
    },
    /// Show the newest notices and how far each got.
    List {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only of this custody.
        #[arg(long)]
        custody: Option<String>,
    },
    /// Show what waits here, and whether the relay says that something is missing.
    Status,
    /// Say that you know that the relay's stream was made anew, whatever it does not hold: ends that alarm.
    AcknowledgeStream,
    /// Hand over again what the application did not take and what was given up (staging-failed in `list`).
    HandOver {
        /// The notice id, or the id of its event.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        notice: Option<String>,
        /// Every notice that was given up.
        #[arg(long)]
        all: bool,
    },
    /// Show one notice whole, with what was said about it. Prints person data.
    Show {
        /// The notice id, or the id of its event.
        notice: String,
    },
}

/// Why a command did not do it, and with which exit code.
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<ConfigProblems> for Failure {
    fn from(problems: ConfigProblems) -> Self {
        Self::new(exit::CONFIG, problems.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Busy { .. } => exit::BUSY,
            StoreError::OtherOwner { .. } => exit::CONFIG,
            StoreError::NewerSchema { .. } | StoreError::Corrupt(_) => exit::DATA,
            StoreError::File { .. } | StoreError::Sql { .. } => exit::UNAVAILABLE,
            StoreError::CutShort(_) => exit::SOFTWARE,
        };
        Self::new(code, chain(&error))
    }
}

impl From<TooOld> for Failure {
    fn from(error: TooOld) -> Self {
        Self::new(exit::UNSAFE, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Registry(error) if error.is_of_registry() => Self::new(exit::CONFIG, chain(&error)),
            StartError::TooOld(error) => error.into(),
            StartError::Registry(_) | StartError::Log(_) | StartError::Connect(_) => {
                Self::new(exit::UNAVAILABLE, chain(&error))
            }
        }
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    private::files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::CONFIG } else { exit::OK };
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::new(exit::SOFTWARE, error.to_string())),
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code.into(),
        Err(failure) => fail(&failure),
    }
}

async fn dispatch(cli: Cli) -> Result<u8, Failure> {
    let json = cli.json;
    let file = cli.config.ok_or_else(|| Failure::new(exit::CONFIG, "--config FILE is missing"))?;
    if let Command::Check { offline } = cli.command {
        return check(&file, offline, json).await;
    }
    let config = Config::read(&file)?;
    match cli.command {
        Command::Check { .. } => {}
        Command::Run => {
            let well = bridge::run(config, shutdown::token()).await?;
            return Ok(if well { exit::OK } else { exit::FAILED });
        }
        Command::Answer { notice, words, answer } => {
            let said = say::answer(&config, &notice, words, answer)?;
            report(&deliver::deliver(&config, said).await?, json);
        }
        Command::Outcome { notice, words, outcome } => {
            let said = say::outcome(&config, &notice, words, outcome)?;
            report(&deliver::deliver(&config, said).await?, json);
        }
        Command::List { limit, custody } => {
            let rows = Store::open(&config.store_dir, &config.me)?.list(limit, custody.as_deref())?;
            print(&show::list(&rows, json));
        }
        Command::Status => {
            let state = state::State::of(&Store::open(&config.store_dir, &config.me)?, clock::now())?;
            print(&if json { serde_json::to_string(&state).unwrap_or_default() } else { state.in_words() });
        }
        Command::AcknowledgeStream => {
            let done = Store::open(&config.store_dir, &config.me)?.acknowledge_break()?;
            print(if done { "acknowledged" } else { "there is nothing to acknowledge" });
        }
        Command::HandOver { notice, all: _ } => hand_over(&config, notice.as_deref(), json)?,
        Command::Show { notice } => {
            let detail = Store::open(&config.store_dir, &config.me)?.detail(&notice)?;
            let detail = detail.ok_or_else(|| say::unknown(&notice))?;
            print(&show::detail(&detail, &config.registry, json)?);
        }
    }
    Ok(exit::OK)
}

/// The running bridge sees within seconds what was put back; otherwise the next run does.
fn hand_over(config: &Config, notice: Option<&str>, json: bool) -> Result<(), Failure> {
    let put_back = Store::open(&config.store_dir, &config.me)?.put_back(notice)?;
    if let (Some(notice), true) = (notice, put_back.is_empty()) {
        return Err(Failure::new(exit::DATA, format!("{notice}: no such notice was given up")));
    }
    if json {
        print(&json!({ "put_back": put_back }).to_string());
    } else {
        put_back.iter().for_each(|id| print(&format!("{id}: handed over again")));
        print(&format!("{} put back before the hand-over", put_back.len()));
    }
    Ok(())
}

async fn check(file: &std::path::Path, offline: bool, json: bool) -> Result<u8, Failure> {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) if json => {
            print(&problems_as_json(file, &problems.to_string()));
            return Ok(exit::CONFIG);
        }
        Err(problems) => return Err(problems.into()),
    };
    let report = doctor::look(file, &config, offline).await;
    print(&if json { report.as_json(file) } else { report.as_text(file) });
    Ok(report.exit_code())
}

fn report(delivered: &deliver::Delivered, json: bool) {
    if json {
        print(&serde_json::to_string(delivered).unwrap_or_default());
    } else {
        let how = if delivered.published {
            "published"
        } else {
            "stored; it is published as soon as the broker can be reached"
        };
        print(&format!("{}: {} {how}", delivered.notice_id, delivered.word));
    }
}

fn fail(failure: &Failure) -> ExitCode {
    complain(&failure.text);
    failure.code.into()
}
