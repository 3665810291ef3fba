//! `cargo xtask soak`: builds the programs with crash points, and applies faults at random to real programs on a real
//! cluster for as long as asked; or kills relay nodes and measures how soon the others take over.
//!
//! What is applied, and how it is judged: `tests/faults`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use sallyport_faults::{
    kinds,
    soak::{self, soak},
    takeovers::{AIM_S, takeovers},
};

use crate::{build, sim};

/// How to soak.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// For how long faults are begun
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Chooses faults and victims; another one each day otherwise
    #[arg(long)]
    seed: Option<u64>,
    /// Print one JSON object on one line last; progress goes to standard error
    #[arg(long)]
    json: bool,
    /// Only these kinds of faults
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    only: Vec<String>,
    /// Mount nothing: a full disk is a store that refuses to grow, or a server's quota; no power cut
    #[arg(long)]
    no_mount: bool,
    /// Instead: kill relay nodes so many times and show how soon the others have taken over
    #[arg(long, value_name = "KILLS")]
    takeover: Option<usize>,
}

/// Runs it; an error when anything was lost, doubled, or went wrong otherwise.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| kinds::named(name).is_none()) {
        let known: Vec<_> = kinds::ALL.iter().map(|kind| kind.name).collect();
        bail!("no fault is called {unknown}; there are {}", known.join(", "));
    }
    build::both_unless_chosen()?;
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("a time")?;
    let seed = options.seed.unwrap_or(today.as_secs() / (24 * 60 * 60));
    let say = |line: &str| anstream::eprintln!("{line}");
    if let Some(kills) = options.takeover {
        let found = takeovers(kills, seed, &say)?;
        show(options.json, &found)?;
        if found.lost + found.duplicates > 0 {
            bail!("{} lost, {} twice", found.lost, found.duplicates);
        }
        // One in ten may have met a machine that stood still.
        if found.p90_s > AIM_S {
            bail!("one takeover in ten took longer than {} s; the aim is {AIM_S}", found.p90_s);
        }
        return Ok(());
    }
    let summary = soak(
        &soak::Options {
            lasting: Duration::from_secs(options.minutes * 60),
            seed,
            only: options.only.clone(),
            no_mount: options.no_mount,
            // Simulation seeds take a processor and no server.
            beside: Some(&sim::beside),
        },
        &say,
    )?;
    for failure in &summary.failures {
        say(failure);
    }
    show(options.json, &summary)?;
    if !summary.is_clean() {
        bail!("{} lost, {} twice, {} failures", summary.lost, summary.duplicates, summary.failures.len());
    }
    Ok(())
}

fn show(json: bool, found: &impl serde::Serialize) -> Result<()> {
    let text = if json { serde_json::to_string(found) } else { serde_json::to_string_pretty(found) };
    anstream::println!("{}", text.context("write JSON")?);
    Ok(())
}
