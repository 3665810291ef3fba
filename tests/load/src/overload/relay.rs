//! A backlog on INGEST: many jails published while no relay ran, then one starts.

use std::{fmt, path::Path};

use anyhow::{Context, Result};
use sallyport_bench::usage;
use serde::Serialize;

use super::store_bytes;
use crate::{Scenario, Size, scenario, world::Country};

/// Many small jails and some agencies: no jail comes near its own limit on INGEST.
const FACILITIES: usize = 50;
const SUBSCRIBERS: usize = 5;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct RelayRun {
    /// Events on INGEST when the relay started.
    pub events: u64,
    /// Peak resident memory of the relay, MiB.
    pub relay_peak_mib: f64,
    /// From the first notice to the last.
    pub drain_s: f64,
    /// Events a second meanwhile.
    pub events_per_s: f64,
    /// Notices a second meanwhile.
    pub notices_per_s: f64,
}

pub(super) fn play(events: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<RelayRun> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let size = Size { facilities: FACILITIES, subscribers: SUBSCRIBERS, cases: 0, replicas: 1, nodes: 1 };
    say(&format!("{size}: {events} events wait on INGEST ..."));
    let mut country = Country::with_store(&size, dir, &runtime, store_bytes(events))?;
    let run = scenario::play(Scenario::Backlog { events }, &mut country, &runtime, say)?;
    let relays = country.stage.pids().into_iter().filter(|(name, _)| *name == "relay");
    let pids: Vec<u32> = relays.flat_map(|(_, pids)| pids).collect();
    let relay_peak_mib = pids.iter().map(|pid| usage::peak_mib(*pid)).sum::<Result<f64>>()?;
    country.end()?;
    Ok(RelayRun {
        events,
        relay_peak_mib,
        drain_s: run.seconds,
        events_per_s: events as f64 / run.seconds,
        notices_per_s: run.notices as f64 / run.seconds,
    })
}

impl fmt::Display for RelayRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events on INGEST when the relay starts: drained in {:.0} s, {:.0} events and {:.0} notices a second; \
             peak resident of the relay {:.1} MiB",
            self.events, self.drain_s, self.events_per_s, self.notices_per_s, self.relay_peak_mib
        )
    }
}
