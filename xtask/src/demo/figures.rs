//! Lead times from the hand-over logs: usable time between the first notice of a custody and its door. The day's own
//! times ran `speed` times as fast and are multiplied back; what the product took is added as it was.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;

use super::replay::Taken;

/// Uncertainty of the door time in the shipped mapping: a person types it. A notice is after the door only when it is so
/// for every door time that the record can mean.
const DOOR_UNCERTAINTY_S: f64 = 900.0;

/// Of a line of the log, what a lead time is made of.
#[derive(Deserialize)]
struct Line {
    custody_key: String,
    ori: String,
    t2: Timestamp,
    t6: Timestamp,
    t10: Option<Timestamp>,
}

/// Lead times of one run.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// Source seconds, one per custody and subscriber with a door time, sorted.
    seconds: Vec<f64>,
}

impl Leads {
    /// Reads the logs of a day whose exports were `taken` in this order.
    pub(super) fn read<'p>(
        logs: impl Iterator<Item = &'p Path>,
        taken: &[Taken],
        speed: f64,
    ) -> anyhow::Result<Self> {
        let mut seconds = Vec::new();
        for log in logs {
            let Ok(text) = std::fs::read_to_string(log) else { continue };
            let mut custodies: BTreeMap<String, (Line, Option<Timestamp>)> = BTreeMap::new();
            for line in text.lines() {
                let line: Line =
                    serde_json::from_str(line).with_context(|| format!("read {}", log.display()))?;
                let (key, door) = (line.custody_key.clone(), line.t10);
                let (_, last_door) = custodies.entry(key).or_insert((line, None));
                *last_door = door.or(*last_door);
            }
            seconds.extend(custodies.into_values().filter_map(|(first, door)| {
                let export = taken_for(&first, taken)?;
                Some(lead(door?, export, first.t6, speed))
            }));
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

/// The export in which a notice's event was observed: a jail's exports are taken one after the other.
fn taken_for<'t>(line: &Line, taken: &'t [Taken]) -> Option<&'t Taken> {
    taken.iter().rev().find(|export| export.ori == line.ori && export.at <= line.t2)
}

/// From the export's moment to the door in source seconds, less the real seconds from the export to the subscriber.
fn lead(door: Timestamp, export: &Taken, received: Timestamp, speed: f64) -> f64 {
    let source = door.duration_since(export.as_of).as_secs_f64() * speed;
    source - received.duration_since(export.at).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_never_multiplied() {
        let at = |millis: i64| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
        // The export of moment 1.0 s was given to the agent 0.4 s late; the notice arrived 0.2 s after that.
        let export = Taken { ori: "ZZ0010000".into(), at: at(1_400), as_of: at(1_000) };
        // Door: 0.5 s later in compressed time, 500 s in the day's own.
        let lead = lead(at(1_500), &export, at(1_600), 1_000.0);
        assert!((lead - 499.8).abs() < 1e-6, "{lead}");
    }

    #[test]
    fn an_event_belongs_to_the_last_export_of_its_own_jail() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let taken = |ori: &str, second| Taken { ori: ori.into(), at: at(second), as_of: at(second) };
        let day = [taken("ZZ0010000", 1), taken("ZZ0020000", 2), taken("ZZ0010000", 5)];
        let line =
            Line { custody_key: String::new(), ori: "ZZ0010000".into(), t2: at(3), t6: at(4), t10: None };
        assert_eq!(taken_for(&line, &day).map(|export| export.at), Some(at(1)));
        let before = Line { t2: at(0), ..line };
        assert!(taken_for(&before, &day).is_none());
    }
}
