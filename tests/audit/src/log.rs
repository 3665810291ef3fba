//! Hand-over logs: one JSON line per hand-over, append-only. Out of scope: whether it was due (`compare`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;

use crate::report::{Report, TornLine, UnreadableLine};

/// One line, as the subscriber wrote it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) notice_id: String,
    pub(crate) event_id: String,
    pub(crate) ori: String,
    pub(crate) subscriber: String,
    pub(crate) custody_key: String,
    pub(crate) revision: u32,
    pub(crate) release_state: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    pub(crate) traffic: String,
}

/// One hand-over and in whose log it stands: that, not what the line says, is who was told.
#[derive(Debug, Clone)]
pub(crate) struct HandOver {
    pub(crate) told: String,
    pub(crate) log_line: u64,
    pub(crate) line: Line,
}

/// Reads every log; what is no hand-over goes to the report.
pub(crate) fn read_all(
    logs: &BTreeMap<String, PathBuf>,
    report: &mut Report,
) -> anyhow::Result<Vec<HandOver>> {
    let mut hand_overs = Vec::new();
    for (subscriber, path) in logs {
        if !path.exists() {
            continue;
        }
        let bytes = std::fs::read(path).with_context(|| format!("hand-over log {}", path.display()))?;
        for (bytes, log_line) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Line>(bytes) {
                Ok(line) => hand_overs.push(HandOver { told: subscriber.clone(), log_line, line }),
                // The front of a JSON object and no more: what a crash leaves, with or without lines after it.
                Err(why) if why.is_eof() => {
                    report.torn_lines.push(TornLine { log: path.clone(), line: log_line });
                }
                Err(why) => report.unreadable_lines.push(UnreadableLine {
                    log: path.clone(),
                    line: log_line,
                    why: why.to_string(),
                }),
            }
        }
    }
    Ok(hand_overs)
}
