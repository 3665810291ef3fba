//! An instance from nothing, in a folder: keys, a signed registry, and the configuration of every program, as an operator
//! would write them. For demo, end-to-end tests and bench; it writes files and starts nothing.

mod demo;
mod files;
mod keys;

use std::path::{Path, PathBuf};

use anyhow::Context;

pub use demo::{DEMO_FACILITIES, demo};
pub use keys::Keys;

/// What an instance consists of. Change it and write again: keys stay, the registry version rises.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Everything lies here.
    pub dir: PathBuf,
    /// Name of the relay network.
    pub name: String,
    /// Rises with every `write`.
    pub version: u64,
    /// The registry's floor for versions of programs.
    pub minimum_version: Option<String>,
    /// Client port of the server on loopback.
    pub nats_port: u16,
    /// Stream replicas.
    pub replicas: usize,
    /// Relay nodes.
    pub nodes: Vec<String>,
    /// Jails.
    pub facilities: Vec<Facility>,
    /// Agencies.
    pub subscribers: Vec<Subscriber>,
    /// `EXERCISE` with this id.
    pub exercise_id: String,
    /// JetStream's disk share.
    pub max_file_store_bytes: u64,
}

/// One jail.
#[derive(Debug, Clone)]
pub struct Facility {
    /// ORI.
    pub ori: String,
    /// For people.
    pub name: String,
    /// Mapping file, copied beside the configuration.
    pub mapping: Option<PathBuf>,
    /// Who may be told.
    pub allow: Vec<Allow>,
    /// Loopback port of the agent's HTTP; 0: none.
    pub http_port: u16,
    /// Watch a drop folder.
    pub drop: bool,
}

/// One entry of a jail's allow-list.
#[derive(Debug, Clone)]
pub struct Allow {
    /// Who.
    pub subscriber: String,
    /// For what.
    pub purpose: String,
    /// In which states; empty: any.
    pub release_states: Vec<String>,
    /// For which reasons; empty: any.
    pub reasons: Vec<String>,
    /// Only where this flag is set; it stands for a request.
    pub request_flag: Option<String>,
    /// Which fields.
    pub fields: Vec<String>,
}

/// One agency.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Id.
    pub id: String,
    /// ORI.
    pub ori: String,
    /// For people.
    pub name: String,
    /// Purpose of class and subscription.
    pub purpose: String,
    /// Filter: states; empty: any.
    pub release_states: Vec<String>,
    /// Filter: reasons; empty: any.
    pub reasons: Vec<String>,
    /// Filter: only answers to requests.
    pub requests_only: bool,
    /// ROUTINE or URGENT.
    pub priority: String,
    /// Where the bridge hands over: `lines`, `files`, `none`, or `command`.
    pub hand_over: String,
    /// For `command`.
    pub command: Vec<String>,
    /// Loopback port of the bridge's HTTP; 0: none.
    pub http_port: u16,
    /// Without a subscription it matches nothing, and still is told of corrections.
    pub subscribed: bool,
    /// Further subscriptions, each for one of the instance's jails: what an agency with many open cases has.
    pub cases: usize,
}

impl Subscriber {
    /// One of many: the `number`th that takes every event it may have for supervision, and hands nothing over.
    pub fn of_everything(id: &str, number: usize, name: &str) -> Self {
        Self {
            id: id.into(),
            ori: format!("zzfed{number:04}"),
            name: name.into(),
            purpose: "SUPERVISION".into(),
            release_states: Vec::new(),
            reasons: Vec::new(),
            requests_only: false,
            priority: "ROUTINE".into(),
            hand_over: "none".into(),
            command: Vec::new(),
            http_port: 0,
            subscribed: true,
            cases: 0,
        }
    }
}

/// The columns of the county's export, in its order.
pub const COUNTY_COLUMNS: [&str; 15] = [
    "booking_id",
    "booking_dt",
    "bail_posted_dt",
    "release_dt",
    "booking_charge_desc",
    "charge_release_dt",
    "jurisdiction_cd",
    "release_disposition_desc",
    "type",
    "seriousness",
    "felony",
    "misdemeanor",
    "imm_hold",
    "release_to_imm",
    "cancel_detainer",
];

/// The jurisdiction of every facility made here.
pub const JURISDICTION: &str = "zz";

impl Instance {
    /// Writes keys that are missing, the registry with its signature, and all configurations.
    pub fn write(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.dir.join("keys")).context("make the instance's folder")?;
        let keys = Keys::in_dir(&self.dir.join("keys"));
        files::registry(self, &keys, &self.registry_file())?;
        for node in &self.nodes {
            files::relay(self, node)?;
        }
        for facility in &self.facilities {
            keys.secret(&facility.ori)?;
            files::agent(self, &keys, facility)?;
        }
        for subscriber in &self.subscribers {
            files::subscriber(self, &keys, subscriber)?;
        }
        Ok(())
    }

    /// Writes the registry again with the next version: what a registrar does while programs run.
    pub fn rewrite_registry(&mut self) -> anyhow::Result<()> {
        self.version += 1;
        files::registry(self, &self.keys(), &self.registry_file())
    }

    /// Writes a registry of its own for one node, which reads it from then on.
    pub fn write_registry_for(&self, node: &str) -> anyhow::Result<()> {
        let file = self.dir.join(format!("registry-{node}.toml"));
        files::registry(self, &self.keys(), &file)?;
        files::relay_with(self, node, &file)
    }

    /// The keys of this instance.
    pub fn keys(&self) -> Keys {
        Keys::in_dir(&self.dir.join("keys"))
    }

    /// The registry that all share.
    pub fn registry_file(&self) -> PathBuf {
        self.dir.join("registry.toml")
    }

    /// Configuration of a node.
    pub fn relay_config(&self, node: &str) -> PathBuf {
        self.dir.join(format!("relay-{node}.toml"))
    }

    /// Configuration of an agent.
    pub fn agent_config(&self, ori: &str) -> PathBuf {
        self.dir.join(format!("agent-{ori}.toml"))
    }

    /// Store of an agent.
    pub fn agent_store(&self, ori: &str) -> PathBuf {
        self.dir.join(format!("agent-{ori}"))
    }

    /// Drop folder of an agent.
    pub fn drop_dir(&self, ori: &str) -> PathBuf {
        self.dir.join(format!("drop-{ori}"))
    }

    /// Configuration of a bridge.
    pub fn subscriber_config(&self, id: &str) -> PathBuf {
        self.dir.join(format!("subscriber-{id}.toml"))
    }

    /// Store of a bridge.
    pub fn subscriber_store(&self, id: &str) -> PathBuf {
        self.dir.join(format!("subscriber-{id}"))
    }

    /// Its hand-over log.
    pub fn hand_over_log(&self, id: &str) -> PathBuf {
        self.subscriber_store(id).join("hand-over.log")
    }

    /// Folder of its notices, with `files`.
    pub fn notices_dir(&self, id: &str) -> PathBuf {
        self.dir.join(format!("notices-{id}"))
    }

    /// The static server's configuration, which `provision` renders.
    pub fn server_config(&self) -> PathBuf {
        self.dir.join("nats.conf")
    }
}

/// Where a shipped example lies.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples").join(name)
}
