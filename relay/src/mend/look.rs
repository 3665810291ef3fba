//! The comparison itself, on one state of the read model: numbers that heartbeats state against numbers that INGEST holds,
//! and held events against their `routed` records. What was read stays in memory as ranges; each look reads only what is
//! new.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_proto::{
    envelope::Digest,
    ids::{Jurisdiction, Ori},
    operations::RangeDigest,
};
use sallyport_relay_core::{
    dense::{Dense, Gap},
    ledger::{Stream, rows::HeartbeatRow},
};
use serde::Serialize;

use crate::{
    http::STALE_AFTER,
    track::store::{
        Loaded, StoreError,
        value::{Columns, micros, number},
    },
};

/// Rows of one look: the rest comes with the next ones.
const ROWS_MAX: i64 = 200_000;
/// DELIVER keeps its records for 30 days: what is older may have been routed and be gone by its age.
const DELIVER_REACH: SignedDuration = SignedDuration::from_hours(28 * 24);
/// A heartbeat comes once a minute: after three that did not come the jail is silent, whatever it says about events.
pub(crate) const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(180);
/// What is compared must be known to be whole.
const NEEDED: [Stream; 4] = [Stream::Ingest, Stream::Deliver, Stream::Answers, Stream::Heartbeats];

type Key = (Ori, String);

/// One epoch of a facility, compared.
pub(super) struct Compared {
    pub(super) key: Key,
    pub(super) jurisdiction: Jurisdiction,
    /// Not on INGEST, or accepted and without a `routed` record.
    pub(super) missing: Vec<Gap>,
    /// The jail holds numbers from here on.
    pub(super) kept_from: u64,
    /// All numbers are held and do not stand for what the jail says.
    pub(super) differs: bool,
    /// When its last heartbeat came.
    pub(super) heard: Timestamp,
}

impl Compared {
    pub(super) fn count(&self) -> u64 {
        self.missing.iter().map(Gap::count).sum()
    }
}

/// The numbers that are held.
#[derive(Default)]
pub(super) struct Numbers {
    /// Of INGEST.
    created: String,
    /// The last sequence of INGEST that was taken in.
    read: u64,
    /// The last sequence of INGEST whose `routed` record was looked for.
    checked: u64,
    held: BTreeMap<Key, Dense>,
    /// Accepted, and without a `routed` record.
    unrouted: BTreeSet<(Key, u64)>,
}

impl Numbers {
    /// Takes in what is new and compares; none while the model is not whole.
    pub(super) fn compare(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Result<Option<Vec<Compared>>, StoreError> {
        let positions = loaded.positions()?;
        let is_whole = |stream: &Stream| {
            let whole_at = positions.get(stream).and_then(|position| position.whole_at);
            whole_at.is_some_and(|at| now.duration_since(at) <= STALE_AFTER)
        };
        let (true, Some(ingest)) = (NEEDED.iter().all(is_whole), positions.get(&Stream::Ingest)) else {
            return Ok(None);
        };
        if ingest.created != self.created || ingest.sequence < self.read {
            *self = Self { created: ingest.created.clone(), ..Self::default() };
        }
        self.take_in(loaded)?;
        if self.read < ingest.sequence && !self.is_at_end(loaded)? {
            return Ok(None);
        }
        self.look_for_routed(loaded, now, grace)?;
        let first: Vec<u64> =
            loaded.rows("SELECT min(sequence) AS first FROM ingest HAVING first IS NOT NULL", [], |row| {
                row.unsigned("first")
            })?;
        // A stream that begins later lost its beginning by its age: nothing is said about numbers before.
        let whole = first.first().is_none_or(|first| *first <= 1);
        loaded
            .heartbeats()?
            .into_iter()
            .map(|beat| self.one(loaded, beat, whole))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn take_in(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        let rows = loaded.rows(
            "SELECT sequence, ori, epoch, seq FROM ingest WHERE sequence > ?1 AND epoch IS NOT NULL
             ORDER BY sequence LIMIT ?2",
            params![number(self.read), ROWS_MAX],
            |row| {
                let key: Key = (row.parsed("ori")?, row.get("epoch")?);
                Ok((row.unsigned::<u64>("sequence")?, key, row.unsigned::<u64>("seq")?))
            },
        )?;
        for (sequence, key, seq) in rows {
            self.read = sequence;
            self.held.entry(key).or_default().insert(seq);
        }
        Ok(())
    }

    fn is_at_end(&self, loaded: &Loaded) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM ingest WHERE sequence > ?1 AND epoch IS NOT NULL LIMIT 1";
        Ok(loaded.rows(sql, params![number(self.read)], |_| Ok(()))?.is_empty())
    }

    /// Events that were accepted and of which DELIVER holds no record: it was restored from an older copy.
    fn look_for_routed(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Result<(), StoreError> {
        let before = micros(now.checked_sub(grace).unwrap_or(Timestamp::MIN));
        let after = micros(now.checked_sub(DELIVER_REACH).unwrap_or(Timestamp::MIN));
        let found = loaded.rows(
            "SELECT sequence, ori, epoch, seq FROM ingest i
             WHERE sequence > ?1 AND stored < ?2 AND stored > ?3 AND epoch IS NOT NULL
               AND EXISTS (SELECT 1 FROM accepted a WHERE a.event_id = i.event_id AND a.ori = i.ori AND a.digest = i.digest)
               AND NOT EXISTS (SELECT 1 FROM routed r WHERE r.event_id = i.event_id AND r.ori = i.ori)",
            params![number(self.checked), before, after],
            |row| Ok(((row.parsed::<Ori>("ori")?, row.get::<_, String>("epoch")?), row.unsigned::<u64>("seq")?)),
        )?;
        self.unrouted.extend(found);
        let reached = loaded.rows(
            "SELECT max(sequence) AS reached FROM ingest WHERE sequence > ?1 AND stored < ?2 HAVING reached IS NOT NULL",
            params![number(self.checked), before],
            |row| row.unsigned::<u64>("reached"),
        )?;
        self.checked = reached.first().copied().unwrap_or(self.checked);
        let mut routed = Vec::new();
        for (key, seq) in &self.unrouted {
            let sql = "SELECT 1 FROM ingest i JOIN routed r ON r.event_id = i.event_id AND r.ori = i.ori
                       WHERE i.ori = ?1 AND i.epoch = ?2 AND i.seq = ?3 LIMIT 1";
            let values = params![key.0.as_str(), key.1, number(*seq)];
            if !loaded.rows(sql, values, |_| Ok(()))?.is_empty() {
                routed.push((key.clone(), *seq));
            }
        }
        routed.iter().for_each(|one| {
            self.unrouted.remove(one);
        });
        Ok(())
    }

    fn one(&self, loaded: &Loaded, beat: HeartbeatRow, whole: bool) -> Result<Compared, StoreError> {
        let key = (beat.ori, beat.epoch);
        let empty = Dense::default();
        let held = self.held.get(&key).unwrap_or(&empty);
        let from = if whole { 1 } else { held.first().unwrap_or(beat.seq + 1) };
        let mut gaps = held.missing(from, beat.seq);
        let in_range = |range: &RangeDigest| held.missing(range.first, beat.seq).is_empty();
        let differs = match beat.range.filter(in_range) {
            Some(stated) => range(loaded, &key, stated.first, beat.seq)? != stated,
            None => false,
        };
        let epoch = (key.clone(), 0)..=(key.clone(), u64::MAX);
        gaps.extend(self.unrouted.range(epoch).map(|(_, seq)| Gap { first: *seq, last: *seq }));
        Ok(Compared {
            key,
            jurisdiction: beat.jurisdiction,
            missing: Gap::joined(gaps),
            kept_from: beat.kept_from.unwrap_or(u64::MAX),
            differs,
            heard: beat.stored,
        })
    }
}

/// What INGEST holds under these numbers: of copies the first.
fn range(loaded: &Loaded, key: &Key, first: u64, last: u64) -> Result<RangeDigest, StoreError> {
    let rows = loaded.rows(
        "SELECT seq, digest, min(sequence) FROM ingest WHERE ori = ?1 AND epoch = ?2 AND seq BETWEEN ?3 AND ?4
         GROUP BY seq ORDER BY seq",
        params![key.0.as_str(), key.1, number(first), number(last)],
        |row| row.digest("digest"),
    )?;
    Ok(RangeDigest::of(first, rows.into_iter().collect::<Vec<Digest>>()))
}

/// How one facility is, by its last heartbeat, for `lag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Which facility.
    pub ori: Ori,
    /// Its numbering in force.
    pub epoch: String,
    /// Up to this number everything was sent.
    pub seq: u64,
    /// Age of that heartbeat.
    pub heartbeat_age_s: i64,
    /// Three heartbeats did not come: nobody knows what happens there. A quiet jail is not silent.
    pub silent: bool,
    /// Events that the relay has not answered, as the jail counts them.
    pub outbox_depth: u64,
    /// Since when the oldest of them waits, by the jail's clock.
    pub outbox_oldest: Option<Timestamp>,
    /// Numbers of any epoch that are not held, newest epoch last.
    pub missing: Vec<Gap>,
}

/// Every facility that ever spoke, from the model alone.
pub(crate) fn pulses(loaded: &Loaded, now: Timestamp) -> Result<Vec<Pulse>, StoreError> {
    let mut pulses: BTreeMap<Ori, Pulse> = BTreeMap::new();
    let mut numbers = Numbers::default();
    let compared = numbers.compare(loaded, now, SignedDuration::ZERO)?.unwrap_or_default();
    // By facility, the newest epoch last: it is the one in force.
    for beat in loaded.heartbeats()? {
        let age_s = now.duration_since(beat.stored).as_secs();
        let missing = compared.iter().filter(|one| one.key == (beat.ori.clone(), beat.epoch.clone()));
        let missing = missing.flat_map(|one| one.missing.clone());
        let mut all = pulses.remove(&beat.ori).map(|pulse| pulse.missing).unwrap_or_default();
        all.extend(missing);
        pulses.insert(
            beat.ori.clone(),
            Pulse {
                ori: beat.ori,
                epoch: beat.epoch,
                seq: beat.seq,
                heartbeat_age_s: age_s,
                silent: age_s >= SILENT_AFTER.as_secs(),
                outbox_depth: beat.outbox_depth,
                outbox_oldest: beat.outbox_oldest,
                missing: all,
            },
        );
    }
    Ok(pulses.into_values().collect())
}
