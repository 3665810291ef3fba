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
    /// What the agents said of the exports, where it can be added up (one export only).
    pub(super) summary: Option<serde_json::Value>,
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
