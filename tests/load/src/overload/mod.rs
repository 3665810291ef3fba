//! Overload: a backlog far beyond a day in one real agent, and on INGEST before a relay starts. What memory it takes, how
//! fast it drains, and how long an event that is stated meanwhile waits, at the same jail and at another one, beside the
//! same wait without a backlog.

mod agent;
mod jail;
mod relay;

use std::{fmt, path::Path};

use anyhow::Result;
use sallyport_bench::Machine;
use serde::Serialize;

pub use agent::AgentRun;
pub use jail::Waits;
pub use relay::RelayRun;

/// The server's share of the disk for one event and everything that follows from it: several times what they take,
/// because each stream has a fixed part of it.
const STORE_BYTES_PER_EVENT: u64 = 16_000;
/// What the streams need however few events there are.
const STORE_BYTES_MIN: u64 = 4_000_000_000;

pub(crate) fn store_bytes(events: u64) -> u64 {
    STORE_BYTES_MIN.max(events * STORE_BYTES_PER_EVENT)
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Overload {
    /// Where it ran.
    pub machine: Machine,
    /// Events queued in an agent.
    pub agent: AgentRun,
    /// Events waiting on INGEST.
    pub relay: RelayRun,
}

/// Plays both, `events` each; files go to `dir`, `say` hears how far it is.
pub fn overload(events: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<Overload> {
    let machine = Machine::look(dir)?;
    let agent = agent_backlog(events, &dir.join("agent"), say)?;
    let relay = relay_backlog(events, &dir.join("relay"), say)?;
    Ok(Overload { machine, agent, relay })
}

/// The agent's part alone.
pub fn agent_backlog(events: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<AgentRun> {
    std::fs::create_dir_all(dir)?;
    let run = agent::play(events, dir, say)?;
    say(&run.to_string());
    Ok(run)
}

/// The relay's part alone.
pub fn relay_backlog(events: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<RelayRun> {
    std::fs::create_dir_all(dir)?;
    let run = relay::play(events, dir, say)?;
    say(&run.to_string());
    Ok(run)
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.agent, self.relay)
    }
}
