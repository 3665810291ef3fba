//! How far our notices reach: the sequences of DELIVER that came, and what the relay's heads come to beside them. The
//! judgement itself is pure: `sallyport_subscriber_core::reach`.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sallyport_proto::operations::SubscriberHead;
use sallyport_subscriber_core::reach::{Heard, Mark, Reach};

use super::{Store, StoreError, What, from_micros, micros};

/// Sequences kept for the comparison: weeks without a head, or with a gap. Beyond, the oldest are given up.
const CAME_MAX: i64 = 1_000_000;

impl Store {
    /// Compares a head of the relay with what came.
    pub fn compare(&mut self, head: &SubscriberHead, now: Timestamp) -> Result<(Heard, Reach), StoreError> {
        let tx = self.begin()?;
        let came = |after, through| count(&tx, after, through);
        let (mark, heard) = Mark::hear(read(&tx)?, head, now, came)?;
        write(&tx, &mark)?;
        let reach = of(&tx, &mark, now)?;
        // What was agreed on is compared no more. What came behind the first head of another stream stays: it may be of
        // that stream, heard of before its head.
        let agreed = if heard == Heard::Whole { mark.base_sequence } else { 0 };
        let sql =
            "DELETE FROM came WHERE sequence <= ?1 OR sequence <= (SELECT max(sequence) FROM came) - ?2";
        tx.prepare_cached(sql)
            .and_then(|mut forget| forget.execute(params![signed(agreed), CAME_MAX]))
            .what("forget what was compared")?;
        tx.commit().what("commit a comparison")?;
        Ok((heard, reach))
    }

    /// How it stands.
    pub fn reach(&self, now: Timestamp) -> Result<Reach, StoreError> {
        read(&self.db)?.map_or_else(|| Ok(Reach::default()), |mark| of(&self.db, &mark, now))
    }
}

/// Notes that a message of DELIVER came and is stored. Also one that was agreed on: the next head may be of another stream.
pub(super) fn note(tx: &Transaction<'_>, sequence: u64) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO came (sequence) VALUES (?1)";
    let mut note = tx.prepare_cached(sql).what("note a sequence")?;
    note.execute([signed(sequence)]).map(drop).what("note a sequence")
}

fn of(db: &Connection, mark: &Mark, now: Timestamp) -> Result<Reach, StoreError> {
    Ok(mark.reach(count(db, mark.base_sequence, mark.sequence)?, now))
}

fn read(db: &Connection) -> Result<Option<Mark>, StoreError> {
    let sql = "SELECT created, base_rank, base_sequence, rank, sequence, heard_us, short_since_us FROM reach";
    let mut read = db.prepare_cached(sql).what("read the reach")?;
    let row = read.query_row([], |row| {
        let numbers = [unsigned(row, 1)?, unsigned(row, 2)?, unsigned(row, 3)?, unsigned(row, 4)?];
        Ok((row.get(0)?, numbers, row.get(5)?, row.get::<_, Option<i64>>(6)?))
    });
    let Some((created, numbers, heard_us, short_since_us)) = row.optional().what("read the reach")? else {
        return Ok(None);
    };
    let [base_rank, base_sequence, rank, sequence] = numbers;
    let (heard, short_since) = (from_micros(heard_us)?, short_since_us.map(from_micros).transpose()?);
    Ok(Some(Mark { created, base_rank, base_sequence, rank, sequence, heard, short_since }))
}

fn write(tx: &Transaction<'_>, mark: &Mark) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reach (one, created, base_rank, base_sequence, rank, sequence, heard_us, \
               short_since_us) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut write = tx.prepare_cached(sql).what("write the reach")?;
    let written = write.execute(params![
        mark.created,
        signed(mark.base_rank),
        signed(mark.base_sequence),
        signed(mark.rank),
        signed(mark.sequence),
        micros(mark.heard),
        mark.short_since.map(micros)
    ]);
    written.map(drop).what("write the reach")
}

fn count(db: &Connection, after: u64, through: u64) -> Result<u64, StoreError> {
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
