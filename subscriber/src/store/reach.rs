//! How far our notices reach: the sequences of DELIVER that came, counted against the dense number that the relay states.
//! Between two heads exactly as many must have come as the number rose by.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};
use sallyport_proto::operations::SubscriberHead;
use serde::Serialize;

use super::{Store, StoreError, What, from_micros, micros};

/// Three heads that did not come: the relay is silent, whatever it says about notices.
pub const SILENT_AFTER: Duration = Duration::from_secs(3 * 60);
/// The longest pause before a redelivery is 10 minutes, and some.
const MISSING_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// Sequences kept for the comparison: weeks without a head, or with a gap. Beyond, the oldest are given up.
const CAME_MAX: i64 = 1_000_000;

/// What is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Age of the last head; none: the relay never stated one.
    pub head_age_s: Option<i64>,
    /// Three heads in a row did not come: nobody knows what waits at the relay.
    pub silent: bool,
    /// The relay's number for us.
    pub rank: u64,
    /// Sent to us and not here. Some may yet be on their way.
    pub missing: u64,
    /// They are missing for longer than a redelivery takes.
    pub alarm: bool,
    /// They lie behind this sequence of DELIVER,
    pub since: u64,
    /// and not behind this one.
    pub through: u64,
}

/// The one row of `reach`.
struct Row {
    created: String,
    /// Up to here everything came.
    base_rank: u64,
    base_sequence: u64,
    rank: u64,
    sequence: u64,
    heard_us: i64,
    short_since_us: Option<i64>,
}

impl Store {
    /// Compares a head of the relay with what came.
    pub fn compare(&mut self, head: &SubscriberHead, now: Timestamp) -> Result<Reach, StoreError> {
        let tx = self.begin()?;
        let before = read(&tx)?;
        let comparable = before.filter(|row| {
            row.created == head.stream_created
                && row.base_rank <= head.rank
                && row.base_sequence <= head.last_sequence
        });
        let mut row = Row {
            created: head.stream_created.clone(),
            base_rank: head.rank,
            base_sequence: head.last_sequence,
            rank: head.rank,
            sequence: head.last_sequence,
            heard_us: micros(now),
            short_since_us: None,
        };
        // Another stream, or the first head: everything from here on is compared.
        if let Some(before) = comparable {
            let came = count(&tx, before.base_sequence, head.last_sequence)?;
            if came < head.rank - before.base_rank {
                (row.base_rank, row.base_sequence) = (before.base_rank, before.base_sequence);
                row.short_since_us = Some(before.short_since_us.unwrap_or(micros(now)));
            }
        }
        write(&tx, &row)?;
        let sql =
            "DELETE FROM came WHERE sequence <= ?1 OR sequence <= (SELECT max(sequence) FROM came) - ?2";
        tx.prepare_cached(sql)
            .and_then(|mut forget| forget.execute(params![signed(row.base_sequence), CAME_MAX]))
            .what("forget what was compared")?;
        let reach = of(&tx, &row, now)?;
        tx.commit().what("commit a comparison")?;
        Ok(reach)
    }

    /// How it stands.
    pub fn reach(&self, now: Timestamp) -> Result<Reach, StoreError> {
        read(&self.db)?.map_or_else(|| Ok(Reach::default()), |row| of(&self.db, &row, now))
    }
}

/// Notes that a message of DELIVER came and is stored.
pub(super) fn note(tx: &Transaction<'_>, sequence: u64) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO came (sequence) SELECT ?1 WHERE NOT EXISTS \
               (SELECT 1 FROM reach WHERE base_sequence >= ?1)";
    let mut note = tx.prepare_cached(sql).what("note a sequence")?;
    note.execute([signed(sequence)]).map(drop).what("note a sequence")
}

fn of(db: &rusqlite::Connection, row: &Row, now: Timestamp) -> Result<Reach, StoreError> {
    let came = count(db, row.base_sequence, row.sequence)?;
    let missing = (row.rank - row.base_rank).saturating_sub(came);
    let age = now.duration_since(from_micros(row.heard_us)?);
    let short_since = row.short_since_us.map(from_micros).transpose()?;
    let late = short_since.is_some_and(|since| now.duration_since(since) >= MISSING_AFTER);
    Ok(Reach {
        head_age_s: Some(age.as_secs()),
        silent: Duration::try_from(age).is_ok_and(|age| age >= SILENT_AFTER),
        rank: row.rank,
        missing,
        alarm: missing > 0 && late,
        since: row.base_sequence,
        through: row.sequence,
    })
}

fn read(db: &rusqlite::Connection) -> Result<Option<Row>, StoreError> {
    let sql = "SELECT created, base_rank, base_sequence, rank, sequence, heard_us, short_since_us FROM reach";
    let mut read = db.prepare_cached(sql).what("read the reach")?;
    let row = read.query_row([], |row| {
        Ok(Row {
            created: row.get(0)?,
            base_rank: unsigned(row, 1)?,
            base_sequence: unsigned(row, 2)?,
            rank: unsigned(row, 3)?,
            sequence: unsigned(row, 4)?,
            heard_us: row.get(5)?,
            short_since_us: row.get(6)?,
        })
    });
    row.optional().what("read the reach")
}

fn write(tx: &Transaction<'_>, row: &Row) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reach (one, created, base_rank, base_sequence, rank, sequence, heard_us, \
               short_since_us) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut write = tx.prepare_cached(sql).what("write the reach")?;
    let written = write.execute(params![
        row.created,
        signed(row.base_rank),
        signed(row.base_sequence),
        signed(row.rank),
        signed(row.sequence),
        row.heard_us,
        row.short_since_us
    ]);
    written.map(drop).what("write the reach")
}

fn count(db: &rusqlite::Connection, after: u64, through: u64) -> Result<u64, StoreError> {
    let mut count = db
        .prepare_cached("SELECT count(*) FROM came WHERE sequence > ?1 AND sequence <= ?2")
        .what("count what came")?;
    count.query_row([signed(after), signed(through)], |row| unsigned(row, 0)).what("count what came")
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or_default())
}
