//! What became of everything: the independent audit of the hand-over logs, the folders of files beside them, and the
//! longest time that an event which the jail had stored waited for its hand-over.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use sallyport_audit::{Inputs, Report, audit};
use sallyport_ground::Instance;
use serde::Deserialize;

use crate::flow::Jails;

/// A line of a hand-over log, as far as it is judged here.
#[derive(Debug, Clone, Deserialize)]
pub struct HandOver {
    /// Which notice.
    pub notice_id: String,
    /// Whose event.
    pub ori: String,
    /// To whom.
    pub subscriber: String,
    /// Stands for the booking.
    pub custody_key: String,
    /// Of the custody.
    pub revision: u64,
    /// Stored at the jail.
    pub t2: Timestamp,
    /// Handed over.
    pub at: Timestamp,
}

impl HandOver {
    /// From the jail's store to the hand-over. Never below zero: the clocks are one machine's.
    pub fn waited(&self) -> Duration {
        Duration::try_from(self.at.duration_since(self.t2)).unwrap_or_default()
    }
}

/// How many lines each log had at one moment.
pub type Mark = BTreeMap<String, usize>;

/// The audit of all jails' exports against all hand-over logs.
pub fn audited(instance: &Instance, jails: &Jails) -> Result<Report> {
    let logs = instance.subscribers.iter().map(|s| (s.id.clone(), instance.hand_over_log(&s.id)));
    audit(&Inputs {
        facilities: jails.facilities()?,
        registry: instance.registry_file(),
        hand_over_logs: logs.collect(),
        as_of: Timestamp::now(),
    })
}

/// Where the logs are now.
pub fn mark(instance: &Instance) -> Mark {
    instance.subscribers.iter().map(|s| (s.id.clone(), lines(instance, &s.id).len())).collect()
}

/// What was handed over since.
pub fn since(instance: &Instance, mark: &Mark) -> Vec<HandOver> {
    let of =
        |(id, count): (&String, &usize)| lines(instance, id).into_iter().skip(*count).collect::<Vec<_>>();
    mark.iter().flat_map(of).collect()
}

/// What a folder of files lacks and what it has too much, beside the log of the same subscriber.
#[derive(Debug, Default)]
pub struct Folder {
    /// In the log and not in the folder.
    pub missing: Vec<String>,
    /// In the folder a second time, or without a line in the log, or torn.
    pub wrong: Vec<String>,
}

/// Compares each folder of files with the log beside it.
pub fn folders(instance: &Instance) -> Result<Folder> {
    let mut found = Folder::default();
    for subscriber in instance.subscribers.iter().filter(|s| s.hand_over == "files") {
        let mut logged: BTreeSet<String> =
            lines(instance, &subscriber.id).into_iter().map(|line| line.notice_id).collect();
        let dir = instance.notices_dir(&subscriber.id);
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.context("read a folder of notices")?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            // Hidden: not in its place yet, nobody takes it for a notice.
            let Some(id) = name.strip_suffix(".json").filter(|_| !name.starts_with('.')) else { continue };
            if !logged.remove(id) || named_inside(&path).as_deref() != Some(id) {
                found.wrong.push(name);
            }
        }
        found.missing.extend(logged);
    }
    Ok(found)
}

fn named_inside(file: &Path) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(value["notice_id"].as_str()?.to_owned())
}

/// The highest of the lowest 99 in a hundred.
pub fn p99(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    waits.get((waits.len() * 99 / 100).min(waits.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A subscriber's hand-overs. Whole lines only: what a crash tore is the audit's to judge.
pub fn lines(instance: &Instance, subscriber: &str) -> Vec<HandOver> {
    let text = std::fs::read_to_string(instance.hand_over_log(subscriber)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
