//! `cargo xtask demo`: a jail's day on a real nats-server, from its export to an acknowledged notice, judged at the end by
//! the independent audit. Everything lives in one folder that goes when the demo ends, unless `--dir` names it.
//!
//! The way through: `stage` (server, relay, agents, subscribers) -> `day` or `backfill` (what the jails export) ->
//! `board` (what a person watches) -> `verdict` (audit, figures, exit code).

mod backfill;
mod board;
mod day;
mod figures;
mod replay;
mod stage;
mod verdict;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;

use self::{board::Board, stage::Stage, verdict::Verdict};
use crate::build;

/// `--once` without any progress for this long: something is stuck (exit code 3).
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Between two looks at the hand-over logs.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Nothing waits and nothing moves for this long, longer than the first redelivery of a notice (10 s): what is missing
/// then is lost.
const QUIET_FOR: Duration = Duration::from_secs(15);
/// What the programs know of deliberate defects.
const MUTANTS: [&str; 3] = ["hand-over-twice", "skip-100th-custody", "send-to-not-allowed"];
/// The default speed shows the day in a minute and a half.
const DEFAULT_SPEED: f64 = 960.0;
/// Exit code of a stalled run; the programs use the same.
const EXIT_STALLED: u8 = 3;
/// Exit code after Ctrl-C, as a shell gives it.
const EXIT_INTERRUPTED: u8 = 130;
/// Exit code of a command line or configuration that cannot be (EX_USAGE).
const EXIT_CONFIG: u8 = 64;

/// How to run the demonstration.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// End when every notice is received, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
    /// Print one JSON object on one line at the end; progress goes to standard error
    #[arg(long)]
    json: bool,
    /// Replay the day this many times as fast
    #[arg(long, default_value_t = DEFAULT_SPEED, conflicts_with = "input")]
    speed: f64,
    /// Replay this export instead, as past records; needs --mapping
    #[arg(long, requires = "mapping")]
    input: Option<PathBuf>,
    /// How to read --input
    #[arg(long, requires = "input")]
    mapping: Option<PathBuf>,
    /// Keep everything in this folder (empty or new)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A deliberate defect, which the audit must find
    #[arg(long, value_parser = MUTANTS)]
    mutant: Option<String>,
}

/// Runs the demonstration.
pub(crate) fn run(options: &Options) -> ExitCode {
    match check(options).map_err(Failure::Config).and_then(|()| play(options).map_err(Failure::Broken)) {
        Ok(verdict) => verdict.exit_code(),
        Err(Failure::Config(error)) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Broken(_)) if interrupted() => {
            say("Interrupted: everything is ended, nothing is kept.");
            ExitCode::from(EXIT_INTERRUPTED)
        }
        Err(Failure::Broken(error)) => {
            anstream::eprintln!("error: {error:#}");
            crate::exit_code(&error)
        }
    }
}

enum Failure {
    Config(anyhow::Error),
    Broken(anyhow::Error),
}

/// Everything that can be wrong before anything starts.
fn check(options: &Options) -> anyhow::Result<()> {
    if !(options.speed.is_finite() && options.speed >= 1.0) {
        bail!("--speed must be a number of at least 1");
    }
    for file in [&options.input, &options.mapping].into_iter().flatten() {
        std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    if let Some(dir) = &options.dir
        && dir.exists()
        && std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?.next().is_some()
    {
        bail!(
            "{} is not empty: a demo starts from nothing, so that its figures mean this run",
            dir.display()
        );
    }
    Ok(())
}

fn play(options: &Options) -> anyhow::Result<Verdict> {
    heed_interrupts()?;
    let own = tempfile::Builder::new().prefix("sallyport-demo-").tempdir().context("make a folder")?;
    let dir: &Path = options.dir.as_deref().unwrap_or(own.path());
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let dir = &dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    say("Sallyport demonstration: invented jails and agencies, exercise traffic only.");
    say("Parts are not sealed yet: this relay could read the person data it carries.");
    if options.mutant.is_some() {
        build::with_faults()?
    } else {
        build::plain_unless_chosen()?
    }

    let mut stage = Stage::set(dir, options.mapping.as_deref(), options.mutant.as_deref())?;
    let mut board = Board::new(&stage)?;
    let play = match (&options.input, &options.mapping) {
        (Some(input), Some(_)) => backfill::play(&stage, input)?,
        _ => day::play(&mut stage, options.speed, &mut board)?,
    };
    let due = verdict::judge(&stage, &play)?.notices;
    let mut seen = (0, 0);
    let mut moved = Instant::now();
    let stalled = loop {
        go_on()?;
        let now = board.look(&stage, due)?;
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        let (handed_over, waiting) = now;
        if handed_over >= due && waiting == 0 {
            // More than due is a finding of the audit.
            break false;
        }
        if waiting == 0 && moved.elapsed() > QUIET_FOR {
            // Everybody is done: the audit names what never came.
            break false;
        }
        if moved.elapsed() > STALLED_AFTER {
            break true;
        }
        pause(LOOK_EVERY);
    };
    board.finish();
    let verdict = verdict::reach(&stage, &play, options, stalled)?;
    verdict.print(options.json)?;
    if !options.once && !stalled {
        wait_for_ctrl_c(&stage);
    }
    stage.strike();
    Ok(verdict)
}

fn wait_for_ctrl_c(stage: &Stage) {
    say("");
    say(&format!(
        "Everything still runs in {}: Ctrl-C ends it. Meanwhile, in another terminal:",
        stage.instance.dir.display()
    ));
    for hint in stage.hints() {
        say(&format!("  {hint}"));
    }
    while !interrupted() {
        pause(LOOK_EVERY);
    }
    say("Ending.");
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is a wish that is looked at: programs end in order, and the folder goes.
fn heed_interrupts() -> anyhow::Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("hear Ctrl-C")
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error once somebody has pressed Ctrl-C.
fn go_on() -> anyhow::Result<()> {
    if interrupted() { bail!("interrupted") } else { Ok(()) }
}

/// Progress and words for people: standard error, so that standard output is the result.
fn say(line: &str) {
    anstream::eprintln!("{line}");
}

#[allow(
    clippy::disallowed_methods,
    reason = "the demo paces itself by the wall clock; nothing asynchronous runs here"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
