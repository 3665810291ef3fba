//! `sim`: seeds of the deterministic simulation. The runs themselves are `sallyport-sim`'s, a program of its own so that
//! this one needs none of what it stands on.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, run as run_command};

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Run for so long, or longer until every transition can be held to have been visited; 5 minutes at most for that
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    minutes: Option<f64>,
    /// Run so many seeds
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first seed; without it one drawn from the clock, so that every run sees others
    #[arg(long, conflicts_with = "seed")]
    from: Option<u64>,
    /// Run this one, and show what happens in it
    #[arg(long)]
    seed: Option<u64>,
    /// Where seeds that fail are noted; target/sim-failures.txt otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    keep: Option<PathBuf>,
    /// One JSON object on one line last
    #[arg(long)]
    json: bool,
}

/// What `test` gives the simulation.
const MINUTES_OF_TEST: f64 = 2.0;

/// Runs what was asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut words = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    add("--minutes", options.minutes.map(|minutes| minutes.to_string()));
    add("--seeds", options.seeds.map(|seeds| seeds.to_string()));
    add("--seed", options.seed.map(|seed| seed.to_string()));
    if options.seed.is_none() {
        add("--from", Some(options.from.unwrap_or_else(fresh).to_string()));
    }
    add("--keep", options.keep.as_ref().map(|file| file.display().to_string()));
    if options.minutes.is_some() {
        words.push("--must-cover".into());
    }
    if options.json {
        words.push("--json".into());
    }
    run_command(cargo().args(["run", "--quiet", "--package", "sallyport-sim", "--"]).args(words))
}

/// Runs seeds from `from` on for so long, as part of something larger; gives how many.
pub(crate) fn beside(from: u64, time: Duration) -> Result<u64> {
    let minutes = (time.as_secs_f64() / 60.0).to_string();
    let words = ["run", "--quiet", "--package", "sallyport-sim", "--", "--json"];
    let ended = cargo()
        .args(words)
        .args(["--minutes", &minutes, "--from", &from.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("start the simulation")?;
    let text = String::from_utf8_lossy(&ended.stdout);
    let last = text.lines().last().unwrap_or_default();
    if !ended.status.success() {
        bail!("the simulation found something: {last}");
    }
    let summary: serde_json::Value = serde_json::from_str(last).context("read the simulation's summary")?;
    summary["seeds"].as_u64().context("the simulation said no number of seeds")
}

/// The step of `test`.
pub(crate) fn of_test() -> Result<()> {
    run(&Options { minutes: Some(MINUTES_OF_TEST), ..Options::default() })
}

/// Seconds since 1970: other seeds every time. Those that fail are printed and kept.
fn fresh() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Far apart, so that two runs share none.
    since.unwrap_or_default().as_secs() * 1_000
}
