//! Notices that a `routed` record names and that DELIVER does not hold. A stream that was restored from an older copy never
//! held them when it was folded, so that only the record tells. Each look reads only what is new, and looks again at
//! what was lacking before.
//!
//! Out of scope: putting them back (`put_back`), and events whose record is gone as well (`look`).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_proto::ids::{EventId, Jurisdiction, Ori};
use sallyport_relay_core::{ledger::Stream, missed::Missed};

use crate::track::store::{
    Loaded, StoreError,
    value::{Columns, micros, number},
};

/// Rows of one look: the rest comes with the next ones.
const ROWS_MAX: i64 = 50_000;
/// Events that are kept in mind at once: what comes after them is looked at when these are mended.
const EVENTS_MAX: usize = 1_000;
/// DELIVER keeps its records for 30 days.
const REACH: SignedDuration = SignedDuration::from_hours(28 * 24);
/// What is compared must be known to be whole.
const NEEDED: [Stream; 2] = [Stream::Ingest, Stream::Deliver];

/// An event with fewer notices than recipients.
#[derive(Debug, Clone)]
pub(super) struct Lacking {
    pub(super) ori: Ori,
    pub(super) event_id: EventId,
    /// Where its message stands on INGEST; none: it does not any more.
    pub(super) from: Option<(Jurisdiction, u64)>,
    /// Notices that are not there.
    pub(super) notices: u64,
    /// Since when, and when they were last put back.
    pub(super) missed: Missed,
}

/// What was compared so far.
#[derive(Debug, Default)]
pub(super) struct Notices {
    made: Option<i64>,
    /// The last `routed` record that was looked at.
    read: u64,
    /// By the sequence of the record.
    pub(super) lacking: BTreeMap<u64, Lacking>,
    alarmed: u64,
}

impl Notices {
    /// Looks at what is new, and again at what was lacking.
    pub(super) fn compare(&mut self, loaded: &Loaded, now: Timestamp) -> Result<(), StoreError> {
        if !loaded.is_whole(&NEEDED, now)? {
            return Ok(());
        }
        let made = loaded.made()?;
        if self.made != Some(made) {
            *self = Self { made: Some(made), alarmed: self.alarmed, ..Self::default() };
        }
        let known: Vec<u64> = self.lacking.keys().copied().collect();
        let known = serde_json::Value::from(known).to_string();
        let mut before = std::mem::take(&mut self.lacking);
        for (sequence, found) in rows(loaded, now, "SELECT value FROM json_each(?1)", params![known])? {
            let missed = before.remove(&sequence).map_or_else(|| Missed::new(now), |one| one.missed);
            self.take(sequence, found, missed);
        }
        let new = "SELECT sequence FROM routed WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
        for (sequence, found) in rows(loaded, now, new, params![number(self.read), ROWS_MAX])? {
            if self.lacking.len() >= EVENTS_MAX {
                break;
            }
            self.read = sequence;
            self.take(sequence, found, Missed::new(now));
        }
        Ok(())
    }

    fn take(&mut self, sequence: u64, found: Found, missed: Missed) {
        if found.notices > 0 {
            let Found { ori, event_id, from, notices } = found;
            self.lacking.insert(sequence, Lacking { ori, event_id, from, notices, missed });
        }
    }

    /// How many notices.
    pub(super) fn count(&self) -> u64 {
        self.lacking.values().map(|one| one.notices).sum()
    }

    /// Alarms when there are more than before.
    pub(super) fn alarm(&mut self) {
        let now = self.count();
        if now > self.alarmed {
            let named = self.lacking.values().take(super::RANGES_NAMED_MAX);
            let named: Vec<String> = named.map(|one| format!("{}.{}", one.ori, one.event_id)).collect();
            tracing::error!(
                notices = now,
                events = named.join(" "),
                "notices that routed records name are not on DELIVER"
            );
        } else if now == 0 && self.alarmed > 0 {
            tracing::info!("every notice that a routed record names is on DELIVER again");
        }
        self.alarmed = now;
    }
}

/// One record with what DELIVER holds of it.
struct Found {
    ori: Ori,
    event_id: EventId,
    from: Option<(Jurisdiction, u64)>,
    notices: u64,
}

/// The records whose sequences `which` selects, in order. What is older than DELIVER reaches lacks nothing.
fn rows(
    loaded: &Loaded,
    now: Timestamp,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<(u64, Found)>, StoreError> {
    let after = micros(now.checked_sub(REACH).unwrap_or(Timestamp::MIN));
    loaded.rows(
        &format!(
            "SELECT r.sequence, r.ori, r.event_id, r.recipients, r.t5 > {after} AS young,
                    (SELECT count(DISTINCT n.subscriber) FROM notice n
                     WHERE n.event_id = r.event_id AND n.ori = r.ori) AS told,
                    (SELECT min(i.sequence) FROM ingest i
                     WHERE i.event_id = r.event_id AND i.ori = r.ori AND i.digest = r.digest) AS message,
                    (SELECT i.jurisdiction FROM ingest i
                     WHERE i.event_id = r.event_id AND i.ori = r.ori AND i.digest = r.digest
                     ORDER BY i.sequence LIMIT 1) AS jurisdiction
             FROM routed r WHERE r.sequence IN ({which}) ORDER BY r.sequence"
        ),
        values,
        |row| {
            let recipients: String = row.get("recipients")?;
            let wanted = recipients.split_whitespace().count() as u64;
            let lacks = wanted.saturating_sub(row.unsigned("told")?);
            let message: Option<i64> = row.get("message")?;
            let from = match message.and_then(|message| u64::try_from(message).ok()) {
                Some(message) => Some((row.parsed("jurisdiction")?, message)),
                None => None,
            };
            let found = Found {
                ori: row.parsed("ori")?,
                event_id: row.parsed("event_id")?,
                from,
                notices: if row.get("young")? { lacks } else { 0 },
            };
            Ok((row.unsigned("sequence")?, found))
        },
    )
}
