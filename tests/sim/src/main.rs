//! Runs seeds of the simulation: `sallyport-sim --seeds 1000`, `--minutes 2`, or one with its trace: `--seed 7`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who typed it")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use sallyport_sim::{Budget, Failure, Mutant, Options, Summary, keep, many, run};

/// Seeds without any other word.
const SEEDS: u64 = 200;

#[derive(Parser)]
#[command(name = "sallyport-sim", about = "Deterministic simulation: one seed is one run")]
struct Cli {
    /// Run for so long
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    minutes: Option<f64>,
    /// With --minutes: go on until there are seeds enough to prove that every transition was visited, and fail otherwise
    #[arg(long, requires = "minutes")]
    must_cover: bool,
    /// Run so many seeds
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this one, and show what happens in it
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: break the shells on purpose, by the name of the mutant
    #[arg(long, requires = "seed")]
    mutant: Option<String>,
    /// Where seeds that fail are noted; target/sim-failures.txt otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    keep: Option<PathBuf>,
    /// One JSON object on one line last
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return one(seed, cli.mutant.as_deref());
    }
    let budget = match (cli.minutes, cli.seeds) {
        (Some(minutes), _) => {
            let time = Duration::from_secs_f64(minutes * 60.0);
            if cli.must_cover { Budget::Covering(time) } else { Budget::Time(time) }
        }
        (None, seeds) => Budget::Seeds(seeds.unwrap_or(SEEDS)),
    };
    let file = cli.keep.unwrap_or_else(|| target().join("sim-failures.txt"));
    let summary = many(cli.from, budget, &|failure| note(failure, &file));
    show(&summary, &file);
    if cli.json {
        match serde_json::to_string(&summary) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("error: {error}"),
        }
    }
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, mutant: Option<&str>) -> ExitCode {
    let named = |name| Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
    let chosen = mutant.and_then(named);
    if mutant.is_some() && chosen.is_none() {
        eprintln!("no such mutant; there are {:?}", Mutant::ALL);
        return ExitCode::FAILURE;
    }
    let outcome = run(seed, &Options { mutant: chosen, trace: true, ..Options::default() });
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed}: {} events, {} notices, {} crashes, longest stall {:.1} s",
        outcome.events, outcome.notices, outcome.crashes, outcome.longest_stall_s
    );
    outcome.findings.iter().for_each(|finding| println!("  {finding}"));
    if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where cargo builds, for what is nobody's to commit.
fn target() -> PathBuf {
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(ours, PathBuf::from)
}

fn note(failure: &Failure, file: &Path) {
    if let Err(error) = keep(failure, file) {
        eprintln!("seed {} failed and cannot be noted in {}: {error}", failure.seed, file.display());
    }
}

fn show(summary: &Summary, file: &Path) {
    println!(
        "{} seeds: {} events, {} notices, {} crashes, longest stall {:.1} s, lost {}, duplicates {}, refused with reason {}",
        summary.seeds,
        summary.events,
        summary.notices,
        summary.crashes,
        summary.longest_stall_s,
        summary.lost,
        summary.duplicates,
        summary.refused
    );
    for (kind, times) in &summary.faults_by_kind {
        println!("  {times:>8}  {kind}");
    }
    for (name, times) in &summary.seldom {
        println!("  {times:>8}  {name} (seldom)");
    }
    let fails = |fails: bool| if fails { "FAILED: " } else { "" };
    if let Some(why) = summary.too_few() {
        println!("{}{why}", fails(summary.must_cover));
    }
    if !summary.not_visited.is_empty() {
        println!("{}not visited:", fails(summary.covers || summary.must_cover));
        summary.not_visited.iter().for_each(|name| println!("  {name}"));
    }
    for failure in &summary.failures {
        println!("FAILED seed {}; again: cargo xtask sim --seed {}", failure.seed, failure.seed);
        failure.findings.iter().for_each(|finding| println!("  {finding}"));
    }
    if !summary.failures.is_empty() {
        println!(
            "noted in {}; to run one first for ever, add a line to tests/sim/seeds.txt: the seed, and what it found",
            file.display()
        );
    }
}
