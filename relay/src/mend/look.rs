//! The comparison itself, on one state of the read model: numbers that heartbeats state against numbers that INGEST holds,
//! and held events against their `routed` records. What was read stays in memory as ranges; each look reads only what is
//! new, and no more than its limits say. Another model (made anew, or with something taken out of it because its stream
//! lost it) is read from its beginning.
//!
//! Out of scope: whether the model is what the streams hold (`track::shelf`), what is done about it (`mend`).

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

use crate::track::store::{
    Loaded, StoreError,
    value::{Columns, micros, number},
};

/// Rows of one look: the rest comes with the next ones.
const ROWS_MAX: i64 = 200_000;
/// Events without a `routed` record that are kept by name: ten times what one look may ask a jail for. How many more
/// messages were not looked at yet is said as a count.
pub(super) const UNROUTED_MAX: usize = 20_000;
/// A heartbeat's digest is over so many numbers at most (the agent's own limit is 1,000): what states more is not read.
const RANGE_MAX: u64 = 10_000;
/// A jail numbers some hundred events a day: nobody gives so many numbers of which none ever came.
const AHEAD_MAX: u64 = 1_000_000;
/// DELIVER keeps its records for 30 days: what is older may have been routed and be gone by its age.
const DELIVER_REACH: SignedDuration = SignedDuration::from_hours(28 * 24);
/// What is compared must be known to be whole. Not HEARTBEATS: an older heartbeat states less, and a jail that floods that
/// stream must not keep the others from being compared.
const NEEDED: [Stream; 3] = [Stream::Ingest, Stream::Deliver, Stream::Answers];

/// One numbering of one facility.
pub(super) type Key = (Ori, String);

/// One state of the model, compared.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) epochs: Vec<Compared>,
    /// Messages on INGEST whose `routed` record was not looked for: too many before them have none.
    pub(super) waits: u64,
}

/// One epoch of a facility, compared.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) key: Key,
    pub(super) jurisdiction: Jurisdiction,
    /// Not on INGEST, or accepted and without a `routed` record.
    pub(super) missing: Vec<Gap>,
    /// The jail holds numbers from here on; 0: not known.
    pub(super) kept_from: u64,
    /// All numbers are held and do not stand for what the jail says.
    pub(super) differs: bool,
    /// It states numbers so far beyond what ever came that nobody can have given them.
    pub(super) absurd: bool,
    /// When its last heartbeat came; none is held any more.
    pub(super) heard: Option<Timestamp>,
}

impl Compared {
    pub(super) fn count(&self) -> u64 {
        self.missing.iter().map(Gap::count).fold(0, u64::saturating_add)
    }

    /// Whether the jail may still have any of it.
    pub(super) fn is_kept(&self) -> bool {
        self.missing.last().is_some_and(|gap| gap.last >= self.kept_from)
    }
}

/// The numbers that are held.
#[derive(Default)]
pub(super) struct Numbers {
    /// Of which model.
    made: Option<i64>,
    /// The last sequence of INGEST that was taken in.
    read: u64,
    /// The last sequence of INGEST whose `routed` record was looked for.
    checked: u64,
    held: BTreeMap<Key, Dense>,
    /// Accepted, and without a `routed` record: where it stands on INGEST.
    unrouted: BTreeMap<(Key, u64), u64>,
    /// Was held, and INGEST lost it.
    lost: BTreeMap<Key, (Jurisdiction, Dense)>,
}

impl Numbers {
    /// Takes in what is new and compares; none while the model is not whole, or not read to its end. `settled`: everything on
    /// INGEST up to there was done with before this look, by the relays' durable; 0 when that is not known.
    pub(super) fn compare(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
        settled: u64,
    ) -> Result<Option<View>, StoreError> {
        if !loaded.is_whole(&NEEDED, now)? {
            return Ok(None);
        }
        let made = loaded.made()?;
        if self.made != Some(made) {
            *self = Self { made: Some(made), lost: lost(loaded)?, ..Self::default() };
        }
        if !self.take_in(loaded)? {
            return Ok(None);
        }
        let waits = self.look_for_routed(loaded, now, grace, settled)?;
        let first: Vec<u64> =
            loaded.rows("SELECT min(sequence) AS first FROM ingest HAVING first IS NOT NULL", [], |row| {
                row.unsigned("first")
            })?;
        // A stream that begins later may have lost its beginning by its age: of numbers before, nothing is said but of
        // those that the jail still keeps, which INGEST outlives by far.
        let whole = first.first().is_none_or(|first| *first <= 1);
        let beats = loaded.heartbeats()?;
        let unrouted = self.unrouted.keys().map(|(key, _)| key);
        let mut silent: BTreeSet<Key> = unrouted.chain(self.lost.keys()).cloned().collect();
        let mut epochs = Vec::with_capacity(beats.len());
        for beat in beats {
            let compared = self.one(loaded, beat, whole)?;
            silent.remove(&compared.key);
            epochs.push(compared);
        }
        // HEARTBEATS keeps a facility's last ten: an older epoch is gone from there, and its events are not.
        for key in silent {
            epochs.extend(self.unheard(loaded, key)?);
        }
        Ok(Some(View { epochs, waits }))
    }

    /// The same until everything that the model holds was read: for a command that looks once.
    pub(super) fn compare_all(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Result<View, StoreError> {
        loop {
            let before = (self.made, self.read, self.checked);
            let view = self.compare(loaded, now, grace, 0)?;
            let done = view.as_ref().is_some_and(|view| view.waits == 0);
            if done || before == (self.made, self.read, self.checked) {
                return Ok(view.unwrap_or_default());
            }
        }
    }

    /// Takes in numbers; false while there are more.
    fn take_in(&mut self, loaded: &Loaded) -> Result<bool, StoreError> {
        let rows = loaded.rows(
            "SELECT sequence, ori, epoch, seq FROM ingest WHERE sequence > ?1 AND epoch IS NOT NULL
             ORDER BY sequence LIMIT ?2",
            params![number(self.read), ROWS_MAX],
            |row| {
                let key: Key = (row.parsed("ori")?, row.get("epoch")?);
                Ok((row.unsigned::<u64>("sequence")?, key, row.unsigned::<u64>("seq")?))
            },
        )?;
        let all = i64::try_from(rows.len()).is_ok_and(|rows| rows < ROWS_MAX);
        for (sequence, key, seq) in rows {
            self.read = sequence;
            self.held.entry(key).or_default().insert(seq);
        }
        Ok(all)
    }

    /// Events that were accepted, or settled without anything that says why, and of which DELIVER holds no record. Gives how many messages were not looked at.
    fn look_for_routed(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
        settled: u64,
    ) -> Result<u64, StoreError> {
        self.forget_routed(loaded)?;
        let before = micros(now.checked_sub(grace).unwrap_or(Timestamp::MIN));
        let after = micros(now.checked_sub(DELIVER_REACH).unwrap_or(Timestamp::MIN));
        let room = UNROUTED_MAX.saturating_sub(self.unrouted.len());
        let reached = loaded.rows(
            "SELECT max(sequence) AS reached FROM
               (SELECT sequence, stored FROM ingest WHERE sequence > ?1 ORDER BY sequence LIMIT ?3)
             WHERE stored < ?2 HAVING reached IS NOT NULL",
            params![number(self.checked), before, ROWS_MAX],
            |row| row.unsigned::<u64>("reached"),
        )?;
        if let Some(reached) = reached.first().copied() {
            let found = loaded.rows(
                "SELECT sequence, ori, epoch, seq FROM ingest i
                 WHERE sequence > ?1 AND sequence <= ?2 AND stored > ?3 AND epoch IS NOT NULL
                   AND (EXISTS (SELECT 1 FROM accepted a
                                WHERE a.event_id = i.event_id AND a.ori = i.ori AND a.digest = i.digest)
                        -- Its answer is lost as well: settled, and neither parked nor refused.
                        OR (i.sequence <= ?5 AND i.answered = 0 AND NOT EXISTS
                            (SELECT 1 FROM refused f WHERE f.ori = i.ori AND f.digest = i.digest)))
                   AND NOT EXISTS (SELECT 1 FROM routed r WHERE r.event_id = i.event_id AND r.ori = i.ori)
                 ORDER BY sequence LIMIT ?4",
                params![number(self.checked), number(reached), after, room as i64, number(settled)],
                |row| {
                    let key: Key = (row.parsed("ori")?, row.get("epoch")?);
                    Ok(((key, row.unsigned::<u64>("seq")?), row.unsigned::<u64>("sequence")?))
                },
            )?;
            // With the room used up, what comes after the last that was found was not looked at.
            let all = found.len() < room;
            let last = found.last().map(|(_, sequence)| *sequence);
            self.checked = if all { reached } else { last.unwrap_or(self.checked) };
            self.unrouted.extend(found);
        }
        let waits = loaded.rows(
            "SELECT count(*) AS waits FROM ingest WHERE sequence > ?1 AND stored < ?2 AND epoch IS NOT NULL",
            params![number(self.checked), before],
            |row| row.unsigned::<u64>("waits"),
        )?;
        Ok(waits.first().copied().unwrap_or_default())
    }

    /// What was found without a record and has one now, in one query.
    fn forget_routed(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        if self.unrouted.is_empty() {
            return Ok(());
        }
        let sequences: Vec<u64> = self.unrouted.values().copied().collect();
        let routed: BTreeSet<u64> = loaded
            .rows(
                "SELECT i.sequence FROM json_each(?1) j JOIN ingest i ON i.sequence = j.value
                 WHERE EXISTS (SELECT 1 FROM routed r WHERE r.event_id = i.event_id AND r.ori = i.ori)",
                params![serde_json::Value::from(sequences).to_string()],
                |row| row.unsigned("sequence"),
            )?
            .into_iter()
            .collect();
        self.unrouted.retain(|_, sequence| !routed.contains(sequence));
        Ok(())
    }

    fn one(&self, loaded: &Loaded, beat: HeartbeatRow, whole: bool) -> Result<Compared, StoreError> {
        let key = (beat.ori, beat.epoch);
        let empty = Dense::default();
        let held = self.held.get(&key).unwrap_or(&empty);
        let from = if whole {
            1
        } else {
            let first = held.first().unwrap_or_else(|| beat.seq.saturating_add(1));
            first.min(beat.kept_from.unwrap_or(u64::MAX))
        };
        let mut gaps = held.missing(from, beat.seq);
        let in_range = |range: &RangeDigest| {
            beat.seq.saturating_sub(range.first) < RANGE_MAX && held.missing(range.first, beat.seq).is_empty()
        };
        let differs = match beat.range.filter(in_range) {
            Some(stated) => range(loaded, &key, stated.first, beat.seq)? != stated,
            None => false,
        };
        gaps.extend(self.unrouted_of(&key));
        gaps.extend(self.lost_of(&key));
        Ok(Compared {
            absurd: beat.seq > held.last().unwrap_or_default().saturating_add(AHEAD_MAX),
            key,
            jurisdiction: beat.jurisdiction,
            missing: Gap::joined(gaps),
            kept_from: beat.kept_from.unwrap_or(u64::MAX),
            differs,
            heard: Some(beat.stored),
        })
    }

    /// An epoch of which no heartbeat is held any more: only that its events were not routed is known.
    fn unheard(&self, loaded: &Loaded, key: Key) -> Result<Option<Compared>, StoreError> {
        let missing = Gap::joined(self.unrouted_of(&key).chain(self.lost_of(&key)).collect());
        let known = self.lost.get(&key).map(|(jurisdiction, _)| jurisdiction.clone());
        let found = loaded.rows(
            "SELECT jurisdiction FROM ingest WHERE ori = ?1 AND epoch = ?2 LIMIT 1",
            params![key.0.as_str(), key.1],
            |row| row.parsed("jurisdiction"),
        )?;
        Ok(found.into_iter().next().or(known).map(|jurisdiction| Compared {
            key,
            jurisdiction,
            missing,
            kept_from: 0,
            differs: false,
            absurd: false,
            heard: None,
        }))
    }

    /// What INGEST lost and does not hold again.
    fn lost_of(&self, key: &Key) -> Vec<Gap> {
        let Some((_, lost)) = self.lost.get(key) else { return Vec::new() };
        let empty = Dense::default();
        let held = self.held.get(key).unwrap_or(&empty);
        lost.ranges().flat_map(|gap| held.missing(gap.first, gap.last)).collect()
    }

    fn unrouted_of(&self, key: &Key) -> impl Iterator<Item = Gap> {
        let epoch = (key.clone(), 0)..=(key.clone(), u64::MAX);
        self.unrouted.range(epoch).map(|((_, seq), _)| Gap { first: *seq, last: *seq })
    }
}

/// Numbers that INGEST lost: as ranges, as many as were held.
fn lost(loaded: &Loaded) -> Result<BTreeMap<Key, (Jurisdiction, Dense)>, StoreError> {
    let rows = loaded.rows(
        "SELECT ori, epoch, seq, jurisdiction FROM lost_number ORDER BY ori, epoch, seq LIMIT ?1",
        params![ROWS_MAX],
        |row| {
            let key: Key = (row.parsed("ori")?, row.get("epoch")?);
            Ok((key, row.parsed::<Jurisdiction>("jurisdiction")?, row.unsigned::<u64>("seq")?))
        },
    )?;
    let mut lost: BTreeMap<Key, (Jurisdiction, Dense)> = BTreeMap::new();
    for (key, jurisdiction, seq) in rows {
        lost.entry(key).or_insert_with(|| (jurisdiction, Dense::default())).1.insert(seq);
    }
    Ok(lost)
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
