//! The raw form of a registry file, as TOML has it. Checked in `check`.

use serde::Deserialize;
use toml::Spanned;

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) instance: Text,
    pub(super) version: u64,
    pub(super) issued: Text,
    pub(super) refresh_by: Option<Text>,
    pub(super) minimum_version: Option<Text>,
    #[serde(default)]
    pub(super) relay: Vec<Relay>,
    pub(super) operator: Operator,
    #[serde(default)]
    pub(super) facility: Vec<Facility>,
    #[serde(default)]
    pub(super) subscriber: Vec<Subscriber>,
    #[serde(default)]
    pub(super) agreement: Vec<Agreement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relay {
    pub(super) node: Text,
    pub(super) signing_key: Text,
    pub(super) connect_key: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operator {
    pub(super) provision_key: Text,
    pub(super) monitor_key: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facility {
    pub(super) ori: Text,
    pub(super) jurisdiction: Text,
    pub(super) name: String,
    pub(super) signing_key: Text,
    pub(super) connect_key: Text,
    #[serde(default = "default_releases_per_day")]
    pub(super) releases_per_day: u32,
    pub(super) ends: Option<Text>,
}

/// The national mean: 21,000 releases a day over 3,100 jails.
fn default_releases_per_day() -> u32 {
    7
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscriber {
    pub(super) id: Text,
    pub(super) ori: Text,
    pub(super) name: String,
    pub(super) class: Text,
    pub(super) signing_key: Text,
    pub(super) connect_key: Text,
    #[serde(default)]
    pub(super) subscription: Vec<Subscription>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    pub(super) id: Text,
    pub(super) purpose: Text,
    pub(super) legal_basis: Text,
    pub(super) case_number: Text,
    pub(super) expires: Text,
    pub(super) priority: Text,
    /// The machine deadline: 30 s unless the subscription says otherwise.
    #[serde(default = "default_received_within_s")]
    pub(super) received_within_s: u32,
    pub(super) seen_within_s: Option<u32>,
    #[serde(default)]
    pub(super) filter: Filter,
}

fn default_received_within_s() -> u32 {
    30
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) facilities: Vec<Text>,
    #[serde(default)]
    pub(super) jurisdictions: Vec<Text>,
    #[serde(default)]
    pub(super) release_states: Vec<Text>,
    #[serde(default)]
    pub(super) reasons: Vec<Text>,
    pub(super) minimum_certainty: Option<Text>,
    #[serde(default)]
    pub(super) requests_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreement {
    pub(super) id: Text,
    pub(super) version: u32,
    pub(super) facility: Text,
    pub(super) subscriber: Text,
    pub(super) kinds: Vec<Text>,
    pub(super) fields: Vec<String>,
    #[serde(default)]
    pub(super) attempts: u32,
    pub(super) fallback: Text,
    pub(super) legal_basis: Text,
    pub(super) review: Text,
    pub(super) ends: Text,
}
