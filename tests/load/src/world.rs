//! A country: an instance with so many jails and agencies, its servers, its relay nodes, and a connection for each party.

use std::{fmt, path::Path, sync::Arc};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use sallyport_bench::stage::Stage;
use sallyport_ground::{Facility, Instance, Subscriber};
use sallyport_proto::registry::Registry;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{
    agencies::Agencies,
    jails::Jails,
    tally::{Shared, Tally},
};

/// How large the country is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Jails.
    pub facilities: usize,
    /// Agencies.
    pub subscribers: usize,
    /// Subscriptions of each agency for one jail, beside the one that takes everything.
    pub cases: usize,
    /// Of every stream: 1 on one server, 3 on a cluster.
    pub replicas: usize,
    /// Relay nodes.
    pub nodes: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { facilities, subscribers, cases, replicas, nodes } = self;
        write!(
            f,
            "{facilities} jails, {subscribers} agencies with {} subscriptions each, {replicas} replica{}, \
             {nodes} relay node{}",
            cases + 1,
            if *replicas == 1 { "" } else { "s" },
            if *nodes == 1 { "" } else { "s" }
        )
    }
}

/// JetStream's share of the disk.
const FILE_STORE_BYTES: u64 = 8_000_000_000;
/// Before the server says its port.
const ANY_PORT: u16 = 4222;

/// Everything that runs.
pub(crate) struct Country {
    pub(crate) stage: Stage,
    pub(crate) jails: Jails,
    pub(crate) agencies: Agencies,
    pub(crate) tally: Shared,
}

impl Country {
    /// Starts all of it.
    pub(crate) fn make(size: &Size, dir: &Path, runtime: &Runtime) -> Result<Self> {
        Self::with_store(size, dir, runtime, FILE_STORE_BYTES)
    }

    /// The same with another share of the disk for JetStream.
    pub(crate) fn with_store(size: &Size, dir: &Path, runtime: &Runtime, store_bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let instance = Instance { max_file_store_bytes: store_bytes, ..instance(size, dir) };
        let mut stage = Stage::bare(instance)?;
        stage.start_relays()?;
        let tally = Arc::new(ArcSwap::from_pointee(Tally::new()));
        let registry = Arc::new(read_registry(&stage.instance)?);
        let (jails, agencies) = runtime.block_on(async {
            let agencies = Agencies::connect(&stage.instance, &stage.url(), &registry, &tally).await?;
            let jails = Jails::connect(&stage.instance, &stage.url(), &registry, &tally).await?;
            Ok::<_, anyhow::Error>((jails, agencies))
        })?;
        Ok(Self { stage, jails, agencies, tally })
    }

    /// Ends the parties, then the programs.
    pub(crate) fn end(mut self) -> Result<()> {
        self.jails.end();
        self.agencies.end();
        self.stage.end_relays()
    }
}

fn instance(size: &Size, dir: &Path) -> Instance {
    Instance {
        dir: dir.to_owned(),
        name: "zz-load".into(),
        version: 1,
        minimum_version: None,
        nats_port: ANY_PORT,
        replicas: size.replicas,
        nodes: (0..size.nodes).map(|number| format!("n{number}")).collect(),
        facilities: (0..size.facilities).map(facility).collect(),
        subscribers: (0..size.subscribers).map(|number| subscriber(number, size.cases)).collect(),
        exercise_id: "load".into(),
        max_file_store_bytes: FILE_STORE_BYTES,
    }
}

fn facility(number: usize) -> Facility {
    Facility {
        ori: format!("zz{number:07}"),
        name: format!("Invented Jail {number}"),
        mapping: None,
        allow: Vec::new(),
        http_port: 0,
        drop: false,
    }
}

fn subscriber(number: usize, cases: usize) -> Subscriber {
    let (id, name) = (format!("load-{number:03}"), format!("Invented Office {number}"));
    Subscriber { cases, ..Subscriber::of_everything(&id, number, &name) }
}

fn read_registry(instance: &Instance) -> Result<Registry> {
    let text = std::fs::read_to_string(instance.registry_file()).context("read the registry")?;
    Registry::parse(&text).map_err(|problems| anyhow::anyhow!("the registry has problems: {problems:?}"))
}
