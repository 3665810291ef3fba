//! Load: a whole country's jails and agencies with real connections, in one process, against the real server and relay.
//! How fast, how late, at what cost, and how the cost grows. What must never happen (a notice lost or told twice) is
//! counted too, and fails the run.
//!
//! `cargo xtask load` builds the programs and calls [`run`]. The jails and agencies here keep nothing on disk: what an
//! agent and a bridge cost with their stores is `tests/bench`. Only [`overload`] has a real agent, with its outbox full.

mod agencies;
mod chaos;
mod growth;
mod jails;
mod overload;
mod plot;
mod rebuild;
mod report;
mod scenario;
mod tally;
mod world;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use sallyport_bench::{
    floor,
    floor::Floor,
    signatures::{BARE, WAY_FROM_OUTBOX},
};

pub use growth::{Growth, Point};
pub use overload::{AgentRun, Overload, RelayRun, Waits, agent_backlog, overload, relay_backlog};
pub use plot::draw;
pub use rebuild::{Rebuild, rebuild};
pub use report::{FloorRates, Report, Run};
pub use scenario::Scenario;
pub use world::Size;

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// How large the country is.
    pub size: Size,
    /// Events of the day, and of the backlog after an outage.
    pub events: u64,
    /// The day is played in this time.
    pub over: Duration,
    /// Kill a server this often while the day is played a second time; only with three replicas.
    pub kill_every: Option<Duration>,
}

/// Messages of one floor: enough for a second or two.
const FLOOR_MESSAGES: u64 = 5_000;

/// Plays the day, a burst and the backlog of an outage, with the floors before and after; files go to `dir`, `say` hears
/// how far it is.
pub fn run(options: &Options, dir: &Path, say: &dyn Fn(&str)) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let machine = sallyport_bench::Machine::look(dir)?;
    say(&format!("Making {} ...", options.size));
    let mut country = world::Country::make(&options.size, dir, &runtime)?;
    say(&format!("Nothing happens for {} s ...", scenario::QUIET.as_secs()));
    let quiet = scenario::quiet(&mut country, &runtime)?;
    quiet.iter().for_each(|program| say(&format!("  {}", program.quiet())));
    say("Floors ...");
    let before = floors(&country, options.size.subscribers, &runtime)?;
    let mut runs = Vec::new();
    let mut play = |scenario: Scenario, country: &mut world::Country| -> Result<()> {
        say(&format!("{scenario} ..."));
        let run = scenario::play(scenario, country, &runtime, say)?;
        say(&format!("  {run}"));
        runs.push(run);
        Ok(())
    };
    let (events, over) = (options.events, options.over);
    play(Scenario::Day { events, over, kill_every: None }, &mut country)?;
    play(Scenario::Burst { events: (events / 10).max(1) }, &mut country)?;
    play(Scenario::Backlog { events }, &mut country)?;
    if let Some(kill_every) = options.kill_every {
        play(Scenario::Day { events, over, kill_every: Some(kill_every) }, &mut country)?;
    }
    let after = floors(&country, options.size.subscribers, &runtime)?;
    country.end()?;
    Ok(Report { machine, size: options.size.clone(), quiet, floors: before.mean(&after), runs })
}

/// Measures how the cost of a notice grows.
pub fn grow(replicas: usize, quick: bool, dir: &Path, say: &dyn Fn(&str)) -> Result<Growth> {
    growth::measure(replicas, quick, dir, say)
}

fn floors(
    country: &world::Country,
    agencies: usize,
    runtime: &tokio::runtime::Runtime,
) -> Result<FloorRates> {
    let [one, each] = [1, agencies].map(|agencies| {
        let floor = floor(&country.stage, country.stage.instance.replicas)?;
        anyhow::Ok(Floor { agencies, ..floor })
    });
    let (one, each) = (one?, each?);
    let rate = |floor: &Floor, shares| -> Result<f64> {
        let reached = runtime.block_on(floor.run(FLOOR_MESSAGES, None, shares))?;
        Ok(FLOOR_MESSAGES as f64 / reached.whole.as_secs_f64())
    };
    Ok(FloorRates {
        bare_per_s: rate(&one, BARE)?,
        signed_per_s: rate(&one, WAY_FROM_OUTBOX)?,
        agencies_per_s: rate(&each, WAY_FROM_OUTBOX)?,
    })
}
