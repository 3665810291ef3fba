//! What people ask the store: which notices there are, how far each got, and one of them whole.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Store, StoreError, What};

/// Longest list that is printed; older ones are asked for with a lower `before`.
pub const ROWS_MAX: u32 = 1_000;

/// How the word of an outcome begins in a statement, before its kind.
pub const OUTCOME_WORD: &str = "OUTCOME ";

/// How far a notice got. Ordered by what a duty desk wants to know last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Receipted; the sink has not got it yet.
    Received,
    /// At the sink.
    HandedOver,
    /// The sink would not take it.
    StagingFailed,
    /// A person has seen it.
    Seen,
    /// A person has answered it.
    Responded,
    /// An outcome was stated.
    Outcome,
}

/// One line of the list. No person data.
#[derive(Debug, Clone, Serialize)]
pub struct StatusRow {
    /// Which notice.
    pub notice_id: String,
    /// How far it got.
    pub status: Status,
    /// The last thing said about it: `SEEN`, `WILL_TAKE_CUSTODY`, ...
    pub last_word: Option<String>,
    /// The sink would not take it and is not tried any more: `hand-over` puts it back.
    pub given_up: bool,
    /// A newer revision is there.
    pub superseded: bool,
    /// ACTUAL, EXERCISE, TEST, PING.
    pub traffic: String,
    /// Where the release stands.
    pub release_state: String,
    /// Why.
    pub reason: String,
    /// Of its custody.
    pub revision: u32,
    /// Newest attempt.
    pub attempt: u32,
    /// Stored here.
    pub t6: jiff::Timestamp,
    /// The door, when known.
    pub t10: Option<jiff::Timestamp>,
}

/// One notice with everything the store knows of it.
#[derive(Debug, Clone)]
pub struct Detail {
    /// As in the list.
    pub row: StatusRow,
    /// The envelope, as it came.
    pub bytes: Vec<u8>,
    /// Every receipt about it: what it says, when it was made, when the broker had stored it.
    pub receipts: Vec<Spoken>,
}

/// One receipt about a notice.
#[derive(Debug, Clone, Serialize)]
pub struct Spoken {
    /// `RECEIVED`, `SEEN`, ...
    pub word: String,
    /// Role, or `machine`.
    pub by: String,
    /// When it was made.
    pub made: jiff::Timestamp,
    /// When the broker had stored it.
    pub published: Option<jiff::Timestamp>,
    /// Announced time.
    pub eta: Option<jiff::Timestamp>,
}

const ROW: &str = "SELECT n.seq, n.notice_id, n.sink, n.superseded, n.traffic, n.release_state, n.reason, \
    n.revision, (SELECT max(a.attempt) FROM attempt a WHERE a.notice_seq = n.seq), n.t6_us, n.t10_us, \
    (SELECT s.word FROM statement s WHERE s.notice_seq = n.seq AND s.by_whom <> 'machine' \
     ORDER BY s.receipt DESC LIMIT 1) FROM notice n";

impl Store {
    /// The newest notices, newest first; with `custody` those of one custody.
    pub fn list(&self, limit: u32, custody: Option<&str>) -> Result<Vec<StatusRow>, StoreError> {
        let sql = format!("{ROW} WHERE (?2 IS NULL OR n.custody_key = ?2) ORDER BY n.seq DESC LIMIT ?1");
        let mut find = self.db.prepare(&sql).what("list notices")?;
        let rows = find.query_map(params![limit.min(ROWS_MAX), custody], status_row).what("list notices")?;
        rows.collect::<Result<_, _>>().what("list notices")
    }

    /// One notice whole, by its id or the id of its event.
    pub fn detail(&self, notice: &str) -> Result<Option<Detail>, StoreError> {
        let sql = format!("{ROW} WHERE n.notice_id = ?1 OR n.event_id = ?1");
        let mut find = self.db.prepare(&sql).what("find a notice")?;
        let found = find.query_row([notice], |row| Ok((row.get(0)?, status_row(row)?)));
        let Some((seq, row)) = found.optional().what("find a notice")? else { return Ok(None) };
        let bytes = self
            .db
            .query_row("SELECT bytes FROM notice WHERE seq = ?1", [seq], |row| row.get(0))
            .what("read a notice")?;
        Ok(Some(Detail { row, bytes, receipts: self.receipts_about(seq)? }))
    }

    fn receipts_about(&self, seq: i64) -> Result<Vec<Spoken>, StoreError> {
        let sql = "SELECT 'RECEIVED', 'machine', r.made_us, r.stored_us, NULL, r.id FROM attempt a \
                   JOIN receipt r ON r.id = a.receipt WHERE a.notice_seq = ?1 UNION ALL \
                   SELECT s.word, s.by_whom, r.made_us, r.stored_us, s.eta_us, r.id FROM statement s \
                   JOIN receipt r ON r.id = s.receipt WHERE s.notice_seq = ?1 ORDER BY 6";
        let mut find = self.db.prepare(sql).what("read receipts")?;
        let rows = find
            .query_map([seq], |row| {
                Ok(Spoken {
                    word: row.get(0)?,
                    by: row.get(1)?,
                    made: time(row, 2)?,
                    published: optional_time(row, 3)?,
                    eta: optional_time(row, 4)?,
                })
            })
            .what("read receipts")?;
        rows.collect::<Result<_, _>>().what("read receipts")
    }
}

fn status_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StatusRow> {
    let sink: String = row.get(2)?;
    let last_word: Option<String> = row.get(11)?;
    let status = match (last_word.as_deref(), sink.as_str()) {
        (Some("SEEN"), _) => Status::Seen,
        (Some(word), _) if word.starts_with(OUTCOME_WORD) => Status::Outcome,
        (Some(_), _) => Status::Responded,
        (None, "done" | "none") => Status::HandedOver,
        (None, "failed") => Status::StagingFailed,
        (None, _) => Status::Received,
    };
    Ok(StatusRow {
        notice_id: row.get(1)?,
        status,
        given_up: sink == "failed",
        last_word,
        superseded: row.get(3)?,
        traffic: row.get(4)?,
        release_state: row.get(5)?,
        reason: row.get(6)?,
        revision: row.get(7)?,
        attempt: row.get(8)?,
        t6: time(row, 9)?,
        t10: optional_time(row, 10)?,
    })
}

fn time(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<jiff::Timestamp> {
    let micros: i64 = row.get(at)?;
    jiff::Timestamp::from_microsecond(micros)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, micros))
}

fn optional_time(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<jiff::Timestamp>> {
    match row.get::<_, Option<i64>>(at)? {
        None => Ok(None),
        Some(_) => time(row, at).map(Some),
    }
}
