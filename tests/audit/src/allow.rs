//! The allow-list of an agent's configuration, read a second time: who may be told what, by the jail's own word.
//! Out of scope: whether anybody asked to be told (`registry`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::FacilityInput;
use crate::reading::Reading;
use crate::registry::{Registry, Terms};

/// The parts of an agent's configuration that decide what may leave; the rest is read past.
#[derive(Debug, Deserialize)]
struct File {
    facility: FacilityTable,
    traffic: Traffic,
    #[serde(default)]
    allow: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct FacilityTable {
    ori: String,
    jurisdiction: String,
}

#[derive(Debug, Deserialize)]
struct Traffic {
    kind: String,
}

/// One permission. An unknown key is refused: it could narrow what the audit would then take for allowed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) subscriber: String,
    #[serde(rename = "rule_id")]
    _rule_id: String,
    agreement: String,
    #[serde(rename = "purpose")]
    _purpose: String,
    #[serde(default)]
    release_states: Vec<String>,
    #[serde(default)]
    reasons: Vec<String>,
    flag: Option<String>,
    #[serde(default)]
    pub(crate) as_request: bool,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
}

/// What one jail allows.
#[derive(Debug)]
pub(crate) struct AllowList {
    entries: Vec<Entry>,
    /// The traffic class that every notice of this jail must carry.
    pub(crate) traffic: String,
}

impl AllowList {
    pub(crate) fn read(path: &Path, of: &FacilityInput, registry: &Registry) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("agent {}", path.display()))?;
        let file: File = toml::from_str(&text).with_context(|| format!("agent {}", path.display()))?;
        ensure!(file.facility.ori == of.ori, "the agent's configuration is of {}", file.facility.ori);
        ensure!(
            file.facility.jurisdiction == of.jurisdiction,
            "the agent's configuration is of jurisdiction {}",
            file.facility.jurisdiction
        );
        let mut entries = Vec::new();
        for mut entry in file.allow {
            // An agreement that nobody signed is a mistake of the inputs; one that has ended allows nothing, and one that
            // stands lets through its own fields at most.
            let terms = registry.terms(&entry.agreement, &of.ori, &entry.subscriber).with_context(|| {
                format!("no agreement {} between {} and {}", entry.agreement, of.ori, entry.subscriber)
            })?;
            if let Terms::Standing { fields } = terms {
                entry.fields.retain(|field| fields.contains(field));
                entries.push(entry);
            }
        }
        Ok(Self { entries, traffic: file.traffic.kind })
    }

    /// Per subscriber the first entry that matches. The real reason counts here, before a health transfer is veiled.
    pub(crate) fn decide(&self, release: &Reading, flags: &BTreeSet<String>) -> BTreeMap<&str, &Entry> {
        let any_or = |list: &[String], value: &str| list.is_empty() || list.iter().any(|item| item == value);
        let mut decided = BTreeMap::new();
        for entry in &self.entries {
            if any_or(&entry.release_states, &release.state)
                && any_or(&entry.reasons, &release.reason)
                && entry.flag.as_ref().is_none_or(|flag| flags.contains(flag))
            {
                decided.entry(entry.subscriber.as_str()).or_insert(entry);
            }
        }
        decided
    }
}
