//! `cargo xtask load`: a whole country's jails and agencies with real connections against the real server and relay.
//!
//! What is played, and how it is measured: `tests/load` and `docs/performance.md`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use sallyport_load::{Size, draw, grow, overload, rebuild, run as play};

use crate::build;

/// A relay routes as many within a second.
const OVERLOAD_EVENTS_MIN: u64 = 2_000;

/// How to run it.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Jails, each with a connection
    #[arg(long, default_value_t = 3_143)]
    facilities: usize,
    /// Agencies, each with a connection
    #[arg(long, default_value_t = 500)]
    subscribers: usize,
    /// Replicas of every stream: 1 on one server, 3 on a cluster of three
    #[arg(long, default_value = "1", value_parser = ["1", "3"])]
    replicas: String,
    /// Relay nodes
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Events of the day, and of the backlog
    #[arg(long, default_value_t = 30_000)]
    events: u64,
    /// Seconds in which the day is played
    #[arg(long, default_value_t = 300)]
    over_s: u64,
    /// Play the day once more and kill a server this often, seconds; needs --replicas 3
    #[arg(long)]
    kill_every_s: Option<u64>,
    /// Measure instead how the cost grows with jails, agencies and backlog
    #[arg(long)]
    growth: bool,
    /// Measure instead how so many events queued in one agent, and then on INGEST, drain: memory, time, and how long an
    /// event stated meanwhile waits
    #[arg(long, value_name = "EVENTS", num_args = 0..=1, default_missing_value = "5000")]
    overload: Option<u64>,
    /// Measure instead how long a relay takes to build a read model of so many deliveries again
    #[arg(long, value_name = "DELIVERIES", num_args = 0..=1, default_missing_value = "100000")]
    rebuild: Option<u64>,
    /// Smaller and shorter: for a look, not for a figure
    #[arg(long)]
    quick: bool,
    /// Write the growth's curves as SVG into this folder
    #[arg(long, requires = "growth")]
    svg: Option<PathBuf>,
    /// Print one JSON object on one line at the end; progress goes to standard error
    #[arg(long)]
    json: bool,
}

/// Runs it; an error when anything was lost.
pub(crate) fn run(options: &Options) -> Result<()> {
    build::plain_unless_chosen()?;
    let replicas = if options.replicas == "3" { 3 } else { 1 };
    if options.kill_every_s.is_some() && replicas != 3 {
        bail!("--kill-every-s needs --replicas 3: one server alone cannot be killed and go on");
    }
    let dir = tempfile::Builder::new().prefix("sallyport-load-").tempdir().context("make a folder")?;
    let say = |line: &str| anstream::eprintln!("{line}");
    if let Some(events) = options.overload {
        if events < OVERLOAD_EVENTS_MIN {
            bail!("fewer than {OVERLOAD_EVENTS_MIN} events are gone before anything can be measured");
        }
        let report = overload(events, dir.path(), &say)?;
        return print(options.json, &serde_json::to_string(&report)?, &report.to_string());
    }
    if let Some(deliveries) = options.rebuild {
        let report = rebuild(deliveries, dir.path(), &say)?;
        return print(options.json, &serde_json::to_string(&report)?, &report.to_string());
    }
    if options.growth {
        let growth = grow(replicas, options.quick, dir.path(), &say)?;
        if let Some(svg) = &options.svg {
            for file in draw(&growth, svg)? {
                say(&format!("wrote {}", file.display()));
            }
        }
        return print(
            options.json,
            &serde_json::to_string(&growth)?,
            &serde_json::to_string_pretty(&growth)?,
        );
    }
    let (facilities, subscribers, events, over_s) = if options.quick {
        (options.facilities.min(100), options.subscribers.min(20), options.events.min(2_000), 20)
    } else {
        (options.facilities, options.subscribers, options.events, options.over_s)
    };
    if facilities == 0 || subscribers == 0 || events == 0 || options.nodes == 0 {
        bail!("at least one jail, one agency, one node and one event are needed");
    }
    let chosen = sallyport_load::Options {
        size: Size { facilities, subscribers, cases: 0, replicas, nodes: options.nodes },
        events,
        over: Duration::from_secs(over_s),
        kill_every: options.kill_every_s.map(Duration::from_secs),
    };
    let report = play(&chosen, dir.path(), &say)?;
    print(options.json, &serde_json::to_string(&report)?, &report.to_string())?;
    if !report.is_clean() {
        bail!("notices were lost or refused");
    }
    Ok(())
}

fn print(json: bool, line: &str, text: &str) -> Result<()> {
    if json {
        anstream::eprintln!("{text}");
        anstream::println!("{line}");
    } else {
        anstream::println!("{text}");
    }
    Ok(())
}
