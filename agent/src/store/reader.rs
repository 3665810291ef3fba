//! What others ask the store: which rows are due, how deep the outbox is. Read-only, on a connection of its own; the
//! writer never waits for it. What `status` shows is read by `crate::status` through the same connection.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::outbox::Row;
use sallyport_proto::envelope::Digest;

use super::{
    Position, StoreError, answers,
    error::Doing,
    outbox::{Kept, RawRow},
    schema,
    stamp::optional,
    waiting::{self, SentRow, Unsent},
};

/// A read-only connection. One query at a time; whoever wants two at once opens two.
pub struct Reader {
    connection: Mutex<Connection>,
}

/// A row with the bytes that are sent.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// Its place.
    pub n: i64,
    /// The machine's row.
    pub row: Row,
    /// The bytes.
    pub ingest: Vec<u8>,
}

/// How much waits, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Open rows.
    pub open: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Timestamp>,
}

/// Whose store it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacilityRow {
    /// The facility.
    pub ori: String,
    /// The numbering in force.
    pub epoch: String,
    /// The last number given.
    pub seq: u64,
    /// Since when.
    pub epoch_since_us: i64,
    /// Why it began.
    pub epoch_why: String,
}

/// Counts of what a person may have to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events refused for good.
    pub refused: u64,
    /// Custodies that nobody may be told of.
    pub withheld: u64,
    /// Custodies kept aside.
    pub kept_aside: u64,
    /// Receipts that are nobody's here.
    pub strays: u64,
}

impl Reader {
    /// Opens the store read-only, also while an agent writes to it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: Mutex::new(schema::open_for_reading(path)?) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A query that panicked left nothing half done: it only read.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows of a query, for what `status` shows.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let what = "cannot read the status";
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).doing(what)?;
        statement.query_map(params, read).and_then(Iterator::collect).doing(what)
    }

    /// Whose store it is and how far its numbers went.
    pub fn facility(&self) -> Result<FacilityRow, StoreError> {
        let what = "cannot read whose store this is";
        self.lock()
            .query_row("SELECT ori, epoch, seq, epoch_since_us, epoch_why FROM facility", [], |row| {
                let seq: i64 = row.get(2)?;
                Ok(FacilityRow {
                    ori: row.get(0)?,
                    epoch: row.get(1)?,
                    seq: u64::try_from(seq).unwrap_or(0),
                    epoch_since_us: row.get(3)?,
                    epoch_why: row.get(4)?,
                })
            })
            .doing(what)
    }

    /// What a person may have to look at.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let what = "cannot count";
        let count = |row: &rusqlite::Row<'_>, n: usize| -> rusqlite::Result<u64> {
            Ok(u64::try_from(row.get::<_, i64>(n)?).unwrap_or(0))
        };
        self.lock()
            .prepare_cached(
                "SELECT (SELECT count(*) FROM outbox WHERE status = 'refused'), (SELECT count(*) FROM withheld), \
                 (SELECT count(*) FROM refused_custody), (SELECT count(*) FROM stray_receipt)",
            )
            .doing(what)?
            .query_row([], |row| {
                Ok(Counts {
                    refused: count(row, 0)?,
                    withheld: count(row, 1)?,
                    kept_aside: count(row, 2)?,
                    strays: count(row, 3)?,
                })
            })
            .doing(what)
    }

    /// When answers were last caught up with.
    pub fn last_catchup(&self) -> Result<Option<Timestamp>, StoreError> {
        let what = "cannot read the last catch-up";
        let at: Option<i64> = self
            .lock()
            .query_row("SELECT caught_up_us FROM answers_position", [], |row| row.get(0))
            .doing(what)?;
        optional(at)
    }

    /// Rows that were sent and have no answer, in the order of their numbers.
    pub fn sent(&self) -> Result<Vec<SentRow>, StoreError> {
        waiting::sent(&self.lock())
    }

    /// Rows that were never sent, at most `limit` of each kind; `skip` names what is on its way.
    pub fn unsent(
        &self,
        now: Timestamp,
        limit: usize,
        skip: impl Fn(i64) -> bool,
    ) -> Result<Unsent, StoreError> {
        waiting::unsent(&self.lock(), now, limit, skip)
    }

    /// Rows of the same custody as this one that were stored before it and never sent, the oldest first.
    pub fn earlier(&self, n: i64) -> Result<Vec<i64>, StoreError> {
        waiting::earlier(&self.lock(), n)
    }

    /// A row with its bytes.
    pub fn row(&self, n: i64) -> Result<DueRow, StoreError> {
        row_of(&self.lock(), n)
    }

    /// Everything that is due, first what was never sent.
    #[cfg(test)]
    pub(crate) fn due(&self, now: Timestamp) -> Result<Vec<DueRow>, StoreError> {
        let unsent = self.unsent(now, usize::MAX, |_| false)?;
        let mut due: Vec<i64> = [unsent.fresh, unsent.backlog, unsent.backfill].concat();
        due.sort_unstable();
        due.extend(self.sent()?.iter().filter(|row| row.is_due(now)).map(|row| row.n));
        due.into_iter().map(|n| self.row(n)).collect()
    }

    /// How much waits.
    pub fn depth(&self) -> Result<Depth, StoreError> {
        let what = "cannot measure the outbox";
        let (open, oldest): (i64, Option<i64>) = self
            .lock()
            .prepare_cached("SELECT count(*), min(stored_us) FROM outbox WHERE status = 'open'")
            .doing(what)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing(what)?;
        Ok(Depth { open: u64::try_from(open).unwrap_or(0), oldest: optional(oldest)? })
    }

    /// What a heartbeat states.
    pub fn numbered(&self) -> Result<super::Numbered, StoreError> {
        super::numbered::numbered(&self.lock())
    }

    /// How far catch-up came.
    pub fn position(&self) -> Result<Position, StoreError> {
        answers::position(&self.lock())
    }

    /// Whether this answer was applied before.
    pub fn has_answer(&self, digest: &Digest) -> Result<bool, StoreError> {
        let what = "cannot look up an answer";
        self.lock()
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM answer_envelope WHERE digest = ?1)")
            .doing(what)?
            .query_row([digest.as_bytes().as_slice()], |row| row.get(0))
            .doing(what)
    }

    /// When the relay last accepted an event.
    pub fn last_acceptance(&self) -> Result<Option<Timestamp>, StoreError> {
        let what = "cannot read the last acceptance";
        let at: Option<Option<i64>> = self
            .lock()
            .prepare_cached("SELECT max(closed_us) FROM outbox WHERE status = 'accepted'")
            .doing(what)?
            .query_row([], |row| row.get(0))
            .optional()
            .doing(what)?;
        optional(at.flatten())
    }
}

fn row_of(connection: &Connection, n: i64) -> Result<DueRow, StoreError> {
    let what = "cannot read an event";
    let mut statement = connection
        .prepare_cached(
            "SELECT n, event_id, digest, attempt, next_due_us, status, refusal_code, ingest FROM outbox \
             WHERE n = ?1",
        )
        .doing(what)?;
    let (raw, ingest) = statement.query_row([n], |row| Ok((RawRow::read(row)?, row.get(7)?))).doing(what)?;
    let Kept { n, row } = raw.checked()?;
    Ok(DueRow { n, row, ingest })
}
