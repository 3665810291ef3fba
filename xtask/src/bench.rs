//! `cargo xtask bench`: builds the programs, measures floors and product on one server, prints ratios first.
//!
//! What is measured, and how: `tests/bench` and `docs/performance.md`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use sallyport_bench::run as measure;

use crate::build;

/// How to run the bench.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Replicas of every stream: 1 on one server, 3 on a cluster of three
    #[arg(long, default_value = "1", value_parser = ["1", "3"])]
    replicas: String,
    /// Print one JSON object on one line at the end; tables and progress go to standard error
    #[arg(long)]
    json: bool,
    /// Smaller and shorter: for a look, not for a figure
    #[arg(long)]
    quick: bool,
    /// Keep everything in this folder (empty or new): configurations, stores, the programs' logs
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs the bench.
pub(crate) fn run(options: &Options) -> Result<()> {
    build::plain_unless_chosen()?;
    let own = tempfile::Builder::new().prefix("sallyport-bench-").tempdir().context("make a folder")?;
    let dir = options.dir.as_deref().unwrap_or(own.path());
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    if std::fs::read_dir(&dir).context("look into the folder")?.next().is_some() {
        bail!("{} is not empty: a bench starts from nothing", dir.display());
    }
    let replicas = if options.replicas == "3" { 3 } else { 1 };
    let chosen = sallyport_bench::Options { replicas, quick: options.quick };
    let report = measure(chosen, &dir, &|line| anstream::eprintln!("{line}"))?;
    if options.json {
        anstream::eprintln!("{report}");
        anstream::println!("{}", report.to_json());
    } else {
        anstream::println!("{report}");
    }
    Ok(())
}
