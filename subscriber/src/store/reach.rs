//! How far our notices reach: the sequences of DELIVER that came, and what the relay's heads come to beside them. The
//! judgement itself is pure: `sallyport_subscriber_core::reach`.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sallyport_proto::operations::SubscriberHead;
use sallyport_subscriber_core::reach::{Break, Heard, Mark, Reach, made};

use super::{Store, StoreError, What, micros};

/// Sequences kept for the comparison: weeks without a head, or with a gap. Beyond, the oldest are given up.
const CAME_MAX: i64 = 1_000_000;

/// DELIVER keeps a notice for so long: an older one is on no stream, and no jail sends it again.
const HELD_BY_RELAY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Where a message lies on the relay's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// When the broker stored it there.
    pub stored: Timestamp,
}

impl Store {
    /// Compares a head of the relay with what came.
    pub fn compare(&mut self, head: &SubscriberHead, now: Timestamp) -> Result<(Heard, Reach), StoreError> {
        let tx = self.begin()?;
        let before = read(&tx)?;
        let on = Stored::before(before.as_ref(), head);
        let came = |after, through| count(&tx, after, through, on);
        let (mark, heard) = Mark::hear(before, head, now, came)?;
        write(&tx, &mark)?;
        let reach = of(&tx, &mark, now)?;
        // What was agreed on is compared no more. What came behind the first head of another stream stays: it may be of
        // that stream, heard of before its head.
        let agreed = if heard == Heard::Whole { mark.base_sequence } else { 0 };
        let what = "forget what was compared";
        let sql = "DELETE FROM came WHERE sequence <= ?1 OR stored_us < ?2";
        let since = Stored::on(&mark).since;
        tx.prepare_cached(sql)
            .and_then(|mut forget| forget.execute(params![signed(agreed), since]))
            .what(what)?;
        // Of this stream alone: the one before may have been further by far.
        let sql = "DELETE FROM came WHERE sequence <= (SELECT max(sequence) FROM came) - ?1";
        tx.prepare_cached(sql).and_then(|mut forget| forget.execute([CAME_MAX])).what(what)?;
        tx.commit().what("commit a comparison")?;
        Ok((heard, reach))
    }

    /// An operator knows that the relay's stream became another one; false: there is nothing to know.
    pub fn acknowledge_break(&mut self) -> Result<bool, StoreError> {
        let what = "acknowledge a break";
        let tx = self.begin()?;
        let sql =
            "UPDATE reach SET break_acknowledged = 1 WHERE break_us IS NOT NULL AND NOT break_acknowledged";
        let known = tx.prepare_cached(sql).and_then(|mut update| update.execute([])).what(what)?;
        tx.commit().what(what)?;
        Ok(known > 0)
    }

    /// How it stands.
    pub fn reach(&self, now: Timestamp) -> Result<Reach, StoreError> {
        read(&self.db)?.map_or_else(|| Ok(Reach::default()), |mark| of(&self.db, &mark, now))
    }
}

/// When what counts was stored: on one stream of a name, and not on another.
#[derive(Debug, Clone, Copy)]
struct Stored {
    since: i64,
    until: i64,
}

impl Stored {
    /// On the stream that a mark speaks of.
    fn on(mark: &Mark) -> Self {
        Self { since: made(&mark.created).map_or(i64::MIN, micros), until: i64::MAX }
    }

    /// On the stream that was known before a head, and before the one that it speaks of.
    fn before(mark: Option<&Mark>, head: &SubscriberHead) -> Self {
        let known = mark.map_or(Self { since: i64::MIN, until: i64::MAX }, Self::on);
        let until = made(&head.stream_created).map(micros).filter(|until| *until > known.since);
        match until.filter(|_| mark.is_some_and(|mark| mark.created != head.stream_created)) {
            Some(until) => Self { until, ..known },
            None => known,
        }
    }
}

/// Notes that a message of DELIVER came and is stored. Also one that was agreed on: the next head may be of another stream.
pub(super) fn note(tx: &Transaction<'_>, place: Place) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO came (sequence, stored_us) VALUES (?1, ?2)";
    let mut note = tx.prepare_cached(sql).what("note a sequence")?;
    note.execute([signed(place.sequence), micros(place.stored)]).map(drop).what("note a sequence")
}

/// Notes where a notice that was known lies now: the relay's stream holds it.
pub(super) fn came_again(tx: &Transaction<'_>, seq: i64, place: Place) -> Result<(), StoreError> {
    let sql = "UPDATE notice SET sequence = ?2, stored_us = ?3 WHERE seq = ?1 AND stored_us < ?3";
    let mut note = tx.prepare_cached(sql).what("note that a notice came again")?;
    let at = micros(place.stored);
    note.execute(params![seq, signed(place.sequence), at]).map(drop).what("note that a notice came again")
}

fn of(db: &Connection, mark: &Mark, now: Timestamp) -> Result<Reach, StoreError> {
    let reach = mark.reach(count(db, mark.base_sequence, mark.sequence, Stored::on(mark))?, now);
    let Some(broken) = &mark.broken else { return Ok(reach) };
    let at = micros(broken.at);
    let not_there = counted(
        db,
        "SELECT count(*) FROM notice WHERE stored_us < ?1 AND sequence > ?2 AND stored_us >= ?3",
        params![at, signed(broken.kept), micros(now.saturating_sub(HELD_BY_RELAY).unwrap_or(Timestamp::MIN))],
    )?;
    let made_good = if broken.owed == 0 {
        0
    } else {
        counted(
            db,
            "SELECT count(*) FROM notice WHERE (stored_us >= ?1 OR sequence <= ?2) AND t6_us >= ?3 AND t2_us < ?1",
            params![at, signed(broken.kept), micros(broken.told)],
        )?
    };
    Ok(broken.judge(not_there, made_good, reach))
}

fn counted(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<u64, StoreError> {
    let mut count = db.prepare_cached(sql).what("count what is not there")?;
    count.query_row(params, |row| unsigned(row, 0)).what("count what is not there")
}

fn read(db: &Connection) -> Result<Option<Mark>, StoreError> {
    let what = "read the reach";
    let sql = "SELECT created, base_rank, base_sequence, rank, sequence, heard_us, behind_since_us, short_since_us, \
               break_us, break_kept, break_owed, break_told_us, break_acknowledged FROM reach";
    let mut read = db.prepare_cached(sql).what(what)?;
    let row = read.query_row([], |row| {
        let heard = time(row, 5)?.unwrap_or_default();
        let broken = match time(row, 8)? {
            None => None,
            Some(at) => Some(Break {
                at,
                kept: unsigned(row, 9)?,
                owed: unsigned(row, 10)?,
                told: time(row, 11)?.unwrap_or(heard),
                acknowledged: row.get(12)?,
            }),
        };
        Ok(Mark {
            created: row.get(0)?,
            base_rank: unsigned(row, 1)?,
            base_sequence: unsigned(row, 2)?,
            rank: unsigned(row, 3)?,
            sequence: unsigned(row, 4)?,
            heard,
            behind_since: time(row, 6)?,
            short_since: time(row, 7)?,
            broken,
        })
    });
    row.optional().what(what)
}

fn write(tx: &Transaction<'_>, mark: &Mark) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reach (one, created, base_rank, base_sequence, rank, sequence, heard_us, \
               behind_since_us, short_since_us, break_us, break_kept, break_owed, break_told_us, break_acknowledged) \
               VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let mut write = tx.prepare_cached(sql).what("write the reach")?;
    let broken = mark.broken.as_ref();
    let written = write.execute(params![
        mark.created,
        signed(mark.base_rank),
        signed(mark.base_sequence),
        signed(mark.rank),
        signed(mark.sequence),
        micros(mark.heard),
        mark.behind_since.map(micros),
        mark.short_since.map(micros),
        broken.map(|broken| micros(broken.at)),
        broken.map_or(0, |broken| signed(broken.kept)),
        broken.map_or(0, |broken| signed(broken.owed)),
        broken.map(|broken| micros(broken.told)),
        broken.is_some_and(|broken| broken.acknowledged),
    ]);
    written.map(drop).what("write the reach")
}

fn count(db: &Connection, after: u64, through: u64, on: Stored) -> Result<u64, StoreError> {
    let sql = "SELECT count(DISTINCT sequence) FROM came \
               WHERE sequence > ?1 AND sequence <= ?2 AND stored_us >= ?3 AND stored_us < ?4";
    let mut count = db.prepare_cached(sql).what("count what came")?;
    let values = [signed(after), signed(through), on.since, on.until];
    count.query_row(values, |row| unsigned(row, 0)).what("count what came")
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or_default())
}

fn time(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let Some(at) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let out_of_range = |_| rusqlite::Error::IntegralValueOutOfRange(column, at);
    Timestamp::from_microsecond(at).map(Some).map_err(out_of_range)
}
