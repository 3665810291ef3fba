//! Rows of the outbox as they are stored: inserted with their final bytes, sent, and closed by `answers`. The rules are
//! the outbox machine's (`sallyport_agent_core::outbox`); here they are only kept.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::{
    outbox::{Row, Status, window::Lane},
    revise::{Draft, Recipient},
};
use sallyport_proto::{envelope::Digest, ids::EventId, vocabulary::RefusalCode};

use super::{NextNumber, StoreError, error::Doing, from_us, us};

/// An event on its way into the outbox.
pub struct NewRow<'a> {
    /// Which event.
    pub event_id: &'a EventId,
    /// The bytes that will be sent, always.
    pub ingest: &'a [u8],
    /// Its number.
    pub number: &'a NextNumber,
    /// What it says, and to whom.
    pub draft: &'a Draft,
    /// `ACTUAL`, `EXERCISE`, `TEST`, `PING`.
    pub traffic: &'static str,
    /// A replay of past records.
    pub backfill: bool,
    /// How it came.
    pub lane: Lane,
    /// When it is stored.
    pub now: Timestamp,
}

/// One attempt, as the publisher made it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The row.
    pub n: i64,
    /// The machine's state after it: attempt and next due time.
    pub row: Row,
    /// When it was handed to the broker.
    pub sent: Timestamp,
    /// When the PubAck came; none: it did not.
    pub acked: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "SELECT n, event_id, digest, attempt, next_due_us, status, refusal_code FROM outbox"
    };
}

const INSERT: &str = "cannot store an event";

/// Stores an event, open and due at once, with who may be told.
pub fn insert(connection: &Connection, new: &NewRow<'_>) -> Result<Digest, StoreError> {
    let digest = Digest::of(new.ingest);
    let row = Row::new(new.event_id.clone(), digest, new.now);
    let due = row.poll_deadline().unwrap_or(new.now);
    let facts = &new.draft.facts;
    connection
        .prepare_cached(
            "INSERT INTO outbox (event_id, digest, ingest, epoch, seq, custody_key, revision, release_state, \
             reason, traffic, backfill, status, attempt, next_due_us, stored_us, lane) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open', ?12, ?13, ?14, ?15)",
        )
        .doing(INSERT)?
        .execute((
            new.event_id.as_str(),
            digest.as_bytes().as_slice(),
            new.ingest,
            &new.number.epoch,
            i64::try_from(new.number.seq).unwrap_or(i64::MAX),
            new.draft.custody_key.as_str(),
            new.draft.revision,
            facts.state.as_str(),
            facts.reason.as_str(),
            new.traffic,
            new.backfill,
            row.attempt,
            us(due),
            us(new.now),
            new.lane.number(),
        ))
        .doing(INSERT)?;
    let n = connection.last_insert_rowid();
    for recipient in &new.draft.recipients {
        insert_told(connection, n, recipient)?;
    }
    Ok(digest)
}

fn insert_told(connection: &Connection, n: i64, to: &Recipient) -> Result<(), StoreError> {
    let agreement = format!("{}/{}", to.agreement.id, to.agreement.version);
    connection
        .prepare_cached(
            "INSERT INTO told (n, subscriber, rule_id, pack_version, purpose, agreement, fields, request_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .doing(INSERT)?
        .execute((
            n,
            to.subscriber.as_str(),
            &to.rule_id,
            &to.pack_version,
            to.purpose.as_str(),
            agreement,
            to.fields.join(" "),
            to.request_id.as_ref().map(|id| id.as_str()),
        ))
        .doing(INSERT)?;
    Ok(())
}

/// Records an attempt. Never closes a row, and never opens one that was closed while the PubAck was on its way.
pub fn record_sent(connection: &Connection, sent: &Sent) -> Result<(), StoreError> {
    let what = "cannot record an attempt";
    connection
        .prepare_cached(
            "UPDATE outbox SET attempt = max(attempt, ?2), last_sent_us = ?4, \
             next_due_us = CASE WHEN status = 'open' THEN coalesce(?3, next_due_us) ELSE next_due_us END, \
             first_sent_us = coalesce(first_sent_us, ?4), acked_us = coalesce(?5, acked_us) WHERE n = ?1",
        )
        .doing(what)?
        .execute((
            sent.n,
            sent.row.attempt,
            sent.row.poll_deadline().map(us),
            us(sent.sent),
            sent.acked.map(us),
        ))
        .doing(what)?;
    Ok(())
}

/// After a start or a reconnect: what has no PubAck for its last attempt is due at once (`Row::handle_unsent`, for all
/// rows in one statement).
pub fn due_at_once(connection: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    connection
        .execute(
            "UPDATE outbox INDEXED BY outbox_sent SET next_due_us = ?1 WHERE status = 'open' AND attempt > 0 \
             AND next_due_us > ?1 AND (acked_us IS NULL OR acked_us < last_sent_us)",
            [us(now)],
        )
        .doing("cannot make unsent events due")
}

/// A row with its place in the store.
pub(super) struct Kept {
    pub(super) n: i64,
    pub(super) row: Row,
}

/// The row of an event.
pub(super) fn by_event(connection: &Connection, event: &EventId) -> Result<Option<Kept>, StoreError> {
    by(connection, concat!(columns!(), " WHERE event_id = ?1"), [event.as_str()])
}

/// The row of some bytes.
pub(super) fn by_digest(connection: &Connection, digest: &Digest) -> Result<Option<Kept>, StoreError> {
    by(connection, concat!(columns!(), " WHERE digest = ?1"), [digest.as_bytes().as_slice()])
}

/// The row that got a number.
pub(super) fn by_number(connection: &Connection, epoch: &str, seq: u64) -> Result<Option<Kept>, StoreError> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    by(connection, concat!(columns!(), " WHERE epoch = ?1 AND seq = ?2"), (epoch, seq))
}

fn by(
    connection: &Connection,
    sql: &'static str,
    key: impl rusqlite::Params,
) -> Result<Option<Kept>, StoreError> {
    let what = "cannot find an event";
    let mut statement = connection.prepare_cached(sql).doing(what)?;
    let found = statement.query_row(key, RawRow::read).optional().doing(what)?;
    found.map(RawRow::checked).transpose()
}

/// A row as SQLite gives it.
pub(super) struct RawRow {
    pub(super) n: i64,
    pub(super) event_id: String,
    pub(super) digest: Vec<u8>,
    pub(super) attempt: u32,
    pub(super) next_due_us: i64,
    pub(super) status: String,
    pub(super) refusal_code: Option<String>,
}

impl RawRow {
    /// From the first seven columns, in the order of `columns!`.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            event_id: row.get(1)?,
            digest: row.get(2)?,
            attempt: row.get(3)?,
            next_due_us: row.get(4)?,
            status: row.get(5)?,
            refusal_code: row.get(6)?,
        })
    }

    /// The machine's row.
    pub(super) fn checked(self) -> Result<Kept, StoreError> {
        let damaged = StoreError::Damaged { what: "a row of the outbox" };
        let status = match (self.status.as_str(), self.refusal_code) {
            ("open", _) => Status::Open { next_due: from_us(self.next_due_us)? },
            ("accepted", _) => Status::Accepted,
            ("refused", Some(code)) => Status::Refused(code.parse::<RefusalCode>().map_err(|_| damaged)?),
            _ => return Err(damaged),
        };
        let damaged = |_| StoreError::Damaged { what: "a row of the outbox" };
        Ok(Kept {
            n: self.n,
            row: Row {
                event_id: self.event_id.parse().map_err(damaged)?,
                digest: Digest::try_from(self.digest.as_slice())
                    .map_err(|_| StoreError::Damaged { what: "a row of the outbox" })?,
                attempt: self.attempt,
                status,
            },
        })
    }
}
