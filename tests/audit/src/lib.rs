//! The independent audit: which notices should have been handed over to whom, worked out a second time from the jail's
//! own exports, the mapping, the allow-lists and the registry, and compared with each subscriber's hand-over log.
//!
//! It shares no code with the programs it judges: files are read, and rules are written out, afresh. It judges *what*
//! was handed over, never how fast; the agent's brake on many retractions in one export is not played; signatures, streams and receipts are the relay's `trace` and `verify`.
//!
//! The way through: [`Inputs`] -> `mapping`, `allow`, `registry` (the rules), `export` (rows of a file), `reading` (the
//! release of one custody), `part` (what one subscriber sees of it), `life` (which revisions leave, and to whom each
//! is addressed), `facility` (all exports of a jail in their order), `log` (what was handed over), `compare` (the findings) -> [`Report`].

mod allow;
mod compare;
mod export;
mod facility;
mod key;
mod life;
mod log;
mod mapping;
mod moment;
mod part;
mod reading;
mod registry;
mod report;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

pub use report::{
    Duplicate, Mismatch, Missing, Named, Place, RefusedExport, RefusedRow, Report, TornLine, Unallowed,
    Unexpected, UnreadableLine,
};

/// One export of a jail: a file, and when the jail wrote it.
#[derive(Debug, Clone)]
pub struct Export {
    /// The file as the agent read it.
    pub path: PathBuf,
    /// The moment the export speaks of: a door time after it is SCHEDULED. Absent: the file's modification time, or
    /// [`Inputs::as_of`] for a backfill.
    pub as_of: Option<Timestamp>,
}

impl From<PathBuf> for Export {
    fn from(path: PathBuf) -> Self {
        Self { path, as_of: None }
    }
}

/// One jail: its configuration and everything it exported, in the order it exported it.
#[derive(Debug, Clone)]
pub struct FacilityInput {
    /// ORI, lower case, as in the agent's configuration.
    pub ori: String,
    /// Jurisdiction, as in the agent's configuration.
    pub jurisdiction: String,
    /// The facility secret in hex, from which custody keys are derived.
    pub secret_hex: String,
    /// The agent's configuration: its allow-list and traffic class are read, the rest is not.
    pub agent_config: PathBuf,
    /// The mapping that reads the exports.
    pub mapping: PathBuf,
    /// The exports in the order in which the jail exported them.
    pub exports: Vec<Export>,
    /// Past records: an export without a stated time speaks of [`Inputs::as_of`].
    pub backfill: bool,
}

/// Everything the audit reads.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The jails.
    pub facilities: Vec<FacilityInput>,
    /// The registry that the relay routed by.
    pub registry: PathBuf,
    /// Subscriber id -> its hand-over log. A log that does not exist (yet) counts as empty.
    pub hand_over_logs: BTreeMap<String, PathBuf>,
    /// The present: end dates of subscriptions and agreements are judged by its UTC day.
    pub as_of: Timestamp,
}

/// Works out what should have been handed over and compares it with what was.
///
/// # Errors
/// When an input other than an export cannot be read or understood: without the rules there is nothing to compare with.
/// An export that cannot be read as a whole is a finding of the report, and so is everything in the logs.
pub fn audit(inputs: &Inputs) -> anyhow::Result<Report> {
    let registry = registry::Registry::read(&inputs.registry, inputs.as_of)
        .with_context(|| format!("registry {}", inputs.registry.display()))?;
    let mut report = Report::default();
    let mut expected = Vec::new();
    let mut oris = BTreeSet::new();
    for facility in &inputs.facilities {
        ensure!(oris.insert(&facility.ori), "facility {} is given twice", facility.ori);
        let ledger = facility::Facility::open(facility, &registry, inputs.as_of)
            .with_context(|| format!("facility {}", facility.ori))?;
        expected.push(ledger.replay(&mut report)?);
    }
    let hand_overs = log::read_all(&inputs.hand_over_logs, &mut report)?;
    compare::compare(&expected, &hand_overs, &mut report);
    Ok(report)
}
