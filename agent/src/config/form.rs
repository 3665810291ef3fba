//! The configuration file as it stands, before any check (deploy/examples/agent.toml is its contract).

use std::path::PathBuf;

use sallyport_agent_core::disclose::AllowForm;
use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) facility: Facility,
    pub(super) registry: Registry,
    pub(super) nats: Nats,
    pub(super) store: Store,
    pub(super) http: Option<Http>,
    #[serde(default)]
    pub(super) intake: Intake,
    #[serde(default)]
    pub(super) heartbeat: Heartbeat,
    pub(super) traffic: Traffic,
    #[serde(default)]
    pub(super) allow: Vec<AllowForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facility {
    pub(super) instance: Text,
    pub(super) jurisdiction: Text,
    pub(super) ori: Text,
    pub(super) signing_seed_file: PathBuf,
    pub(super) connect_seed_file: PathBuf,
    pub(super) secret_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registry {
    pub(super) file: PathBuf,
    pub(super) registrar_key: Option<Text>,
    #[serde(default)]
    pub(super) unsigned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nats {
    pub(super) url: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: Text,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Intake {
    pub(super) mapping: Option<PathBuf>,
    pub(super) drop_dir: Option<PathBuf>,
    pub(super) rescan_s: Option<Spanned<u32>>,
    pub(super) drop_quiet_s: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    pub(super) every_s: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traffic {
    pub(super) kind: Text,
    pub(super) exercise_id: Option<Text>,
}
