//! Lead times from the hand-over logs: usable time between the first notice of a custody and its door.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;

/// Uncertainty of the door time in the shipped mapping: a person types it. A notice is after the door only when it is so
/// for every door time that the record can mean.
const DOOR_UNCERTAINTY_S: f64 = 900.0;

#[derive(Deserialize)]
struct Line {
    custody_key: String,
    t6: Option<Timestamp>,
    t10: Option<Timestamp>,
}

/// Lead times of one run.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// Source seconds, one per custody and subscriber with a door time, sorted.
    seconds: Vec<f64>,
}

impl Leads {
    /// Reads the logs; `speed` multiplies the compressed source times back.
    pub(super) fn read<'p>(logs: impl Iterator<Item = &'p Path>, speed: f64) -> anyhow::Result<Self> {
        let mut seconds = Vec::new();
        for log in logs {
            let Ok(text) = std::fs::read_to_string(log) else { continue };
            let mut custodies: BTreeMap<String, (Option<Timestamp>, Option<Timestamp>)> = BTreeMap::new();
            for line in text.lines() {
                let line: Line =
                    serde_json::from_str(line).with_context(|| format!("read {}", log.display()))?;
                let (first, door) = custodies.entry(line.custody_key).or_default();
                *first = first.or(line.t6);
                *door = line.t10.or(*door);
            }
            for (first, door) in custodies.into_values() {
                if let (Some(first), Some(door)) = (first, door) {
                    seconds.push(door.duration_since(first).as_secs_f64() * speed);
                }
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(Self { seconds })
    }

    /// The median; absent without a door time.
    pub(super) fn p50(&self) -> Option<f64> {
        self.seconds.get(self.seconds.len() / 2).copied()
    }

    /// The least; negative when a notice came after the door.
    pub(super) fn min(&self) -> Option<f64> {
        self.seconds.first().copied()
    }

    /// Notices that came after the door beyond its uncertainty.
    pub(super) fn negative(&self) -> usize {
        self.seconds.iter().filter(|lead| **lead < -DOOR_UNCERTAINTY_S).count()
    }
}
