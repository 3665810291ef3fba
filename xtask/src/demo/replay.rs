//! What was played: the exports each jail wrote, in order, for the audit.

use std::path::PathBuf;

use jiff::Timestamp;
use sallyport_audit::Export;

/// The exports of one run.
pub(super) struct Replay {
    /// Per jail: ORI and exports in the order they were written.
    pub(super) exports: Vec<(String, Vec<Export>)>,
    /// The moment a backfill speaks of.
    pub(super) as_of: Timestamp,
    /// Past records: no lead time, no deadlines.
    pub(super) backfill: bool,
    /// Source times ran this many times as fast.
    pub(super) speed: f64,
    /// When each export of the day was handed to its agent, and which moment it stands for: the difference is the
    /// demonstration's own delay, which no jail has.
    pub(super) taken: Vec<Taken>,
    /// What the agents said of the exports, where it can be added up (one export only).
    pub(super) summary: Option<serde_json::Value>,
}

/// One export of the day on its way to an agent.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    /// The jail.
    pub(super) ori: String,
    /// When the agent was given it.
    pub(super) at: Timestamp,
    /// The moment it stands for.
    pub(super) as_of: Timestamp,
}

impl Replay {
    /// Notes one export.
    pub(super) fn add(&mut self, ori: &str, path: PathBuf, as_of: Option<Timestamp>) {
        let export = Export { path, as_of };
        match self.exports.iter_mut().find(|(known, _)| known == ori) {
            Some((_, exports)) => exports.push(export),
            None => self.exports.push((ori.to_owned(), vec![export])),
        }
    }
}
