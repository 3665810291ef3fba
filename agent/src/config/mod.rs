//! The agent's configuration: read whole and cross-checked with the mapping and the registry before any socket opens.
//! Every problem is named at once, with file, key and line. Secrets have no Debug.

mod check;
mod form;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use sallyport_agent_core::{custody::FacilitySecret, disclose::AllowList, mapping::Mapping};
use sallyport_link::{
    config::{ConfigProblems, ConnectSeed},
    registry,
};
use sallyport_proto::{
    ids::{InstanceId, Jurisdiction, Ori},
    key::Signer,
    provenance::TrafficClass,
    registry::Registry,
};

/// A checked configuration.
pub struct Config {
    /// Who we are.
    pub facility: Facility,
    /// Where the registry lies and whose signature it needs.
    pub registry: registry::Source,
    /// The registry as it was at start.
    pub registry_at_start: Registry,
    /// `nats://host:port`
    pub nats_url: String,
    /// Folder of the store.
    pub store_dir: PathBuf,
    /// Loopback address of the HTTP interface.
    pub http: Option<SocketAddr>,
    /// How exports are read and where they are dropped.
    pub intake: Intake,
    /// A heartbeat is stated so often.
    pub heartbeat_every: Duration,
    /// Real or not.
    pub traffic: TrafficClass,
    /// Who may be told.
    pub allow: AllowList,
}

/// The jail.
#[derive(Debug, Clone)]
pub struct Facility {
    /// The relay network.
    pub instance: InstanceId,
    /// Second subject token.
    pub jurisdiction: Jurisdiction,
    /// Its ORI.
    pub ori: Ori,
    /// Signs what leaves.
    pub signer: Signer,
    /// Logs in to NATS.
    pub connect: Seed,
    /// Derives custody keys.
    pub secret: FacilitySecret,
}

/// A seed that logs in; without Debug of its content.
#[derive(Clone)]
pub struct Seed(pub ConnectSeed);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seed({})", self.0.public_key())
    }
}

/// How records come in.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Reads exports; none: only callers state events.
    pub mapping: Option<Mapping>,
    /// Watched folder.
    pub drop_dir: Option<PathBuf>,
    /// The folder is looked through at least so often: a network share tells nobody of new files.
    pub rescan: Duration,
    /// A file that was not renamed into the folder is whole when it has not changed for so long.
    pub quiet: Duration,
}

/// Reads a configuration and everything it names.
pub fn read(path: &Path) -> Result<Config, ConfigProblems> {
    check::config(path)
}

#[cfg(test)]
mod tests;
