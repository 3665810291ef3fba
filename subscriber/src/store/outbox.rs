//! Receipts as signed bytes, kept until the broker stored them. RECEIVED and refusals go out with their batch; what the
//! sink and people say goes through the outbox, in order.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sallyport_proto::{
    envelope::Digest,
    ids::{AgreementName, NoticeId},
    outcome::Outcome,
    provenance::{AgreementId, TrafficClass},
    receipt::ReceiptFor,
    vocabulary::TrafficKind,
};

use super::{Store, StoreError, What, micros, read::OUTCOME_WORD};
use crate::{
    outbox::Outgoing,
    receipt::{About, Made},
};

/// One round of publishing; what is left comes in the next.
const ROUND_MAX: usize = 64;

/// By whom a receipt is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// With the batch it answers.
    Machine,
    /// By the outbox, in order.
    Later,
}

impl Lane {
    fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Later => "later",
        }
    }
}

/// A receipt about one notice, to be stored and then published by the outbox.
pub struct Saying {
    /// The notice it speaks of.
    pub notice: i64,
    /// The signed bytes.
    pub made: Made,
    /// For the list: `SEEN`, `WILL_TAKE_CUSTODY`, ...
    pub word: String,
    /// Role, or `machine`.
    pub by: String,
    /// Announced arrival or answer.
    pub eta: Option<Timestamp>,
}

/// A stored notice, as a receipt about it needs it.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its place in the store.
    pub notice: i64,
    /// What the receipt names: the newest attempt.
    pub about: About,
    /// RETRACTED or CLOSED.
    pub withdrawn: bool,
    /// Stands for the booking.
    pub custody_key: String,
}

impl Store {
    /// Receipts the broker has not stored yet, from `after` on, in order: those of the outbox, or all.
    pub fn unpublished(&self, after: i64, all: bool) -> Result<Vec<Outgoing>, StoreError> {
        let sql = "SELECT id, subject, bytes FROM receipt INDEXED BY receipt_open \
                   WHERE stored_us IS NULL AND unstorable IS NULL AND (lane = ?1 OR ?2) AND id > ?3 ORDER BY id LIMIT ?4";
        let mut find = self.db.prepare_cached(sql).what("read the outbox")?;
        let values = params![Lane::Later.as_str(), all, after, ROUND_MAX as i64];
        let rows = find.query_map(values, outgoing).what("read the outbox")?;
        rows.collect::<Result<_, _>>().what("read the outbox")
    }

    /// Whether the broker has stored it.
    pub fn is_published(&self, id: i64) -> Result<bool, StoreError> {
        let sql = "SELECT stored_us IS NOT NULL FROM receipt WHERE id = ?1";
        let mut find = self.db.prepare_cached(sql).what("look for a receipt")?;
        find.query_row([id], |row| row.get(0)).what("look for a receipt")
    }

    /// The last receipt made so far.
    pub fn last_receipt(&self) -> Result<i64, StoreError> {
        let mut find =
            self.db.prepare_cached("SELECT coalesce(max(id), 0) FROM receipt").what("read the outbox")?;
        find.query_row([], |row| row.get(0)).what("read the outbox")
    }

    /// Notes the broker's PubAck. Lost with a power cut it costs a repetition.
    pub fn published(&mut self, ids: &[i64], now: Timestamp) -> Result<(), StoreError> {
        self.lazily(|tx| {
            let sql = "UPDATE receipt SET stored_us = ?2 WHERE id = ?1 AND stored_us IS NULL";
            let mut mark = tx.prepare_cached(sql).what("mark a receipt")?;
            ids.iter().try_for_each(|id| mark.execute([*id, micros(now)]).map(drop).what("mark a receipt"))
        })
    }

    /// The broker can never store it: kept, shown, and not tried again.
    pub fn unstorable(&mut self, id: i64, why: &str) -> Result<(), StoreError> {
        let sql = "UPDATE receipt SET unstorable = ?2 WHERE id = ?1";
        self.db.execute(sql, params![id, why]).map(drop).what("mark a receipt")
    }

    /// Stores something said about a notice: from here on it will be published.
    pub fn say(&mut self, saying: &Saying, now: Timestamp) -> Result<i64, StoreError> {
        let tx = self.begin()?;
        let id = state(&tx, saying, now)?;
        tx.commit().what("commit a receipt")?;
        Ok(id)
    }

    /// The outcomes stated about a notice so far, in order.
    pub fn outcomes(&self, notice: i64) -> Result<Vec<Outcome>, StoreError> {
        let sql = "SELECT r.bytes, s.word FROM statement s JOIN receipt r ON r.id = s.receipt \
                   WHERE s.notice_seq = ?1 ORDER BY r.id";
        let mut find = self.db.prepare_cached(sql).what("read outcomes")?;
        let rows = find
            .query_map([notice], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))
            .what("read outcomes")?;
        let rows: Vec<_> = rows.collect::<Result<_, _>>().what("read outcomes")?;
        let outcomes = rows.iter().filter(|(_, word)| word.starts_with(OUTCOME_WORD));
        outcomes
            .map(|(bytes, _)| Outcome::claimed(bytes).map_err(|_| StoreError::Corrupt("outcome")))
            .collect()
    }

    /// Finds a notice by its id, or by the id of its event.
    pub fn find(&self, notice: &str) -> Result<Vec<Said>, StoreError> {
        let sql = format!("{ABOUT} WHERE n.notice_id = ?1 OR n.event_id = ?1 ORDER BY n.seq");
        self.abouts(&sql, notice)
    }

    /// The notice at a place of the store.
    pub(crate) fn about(&self, seq: i64) -> Result<Said, StoreError> {
        let found = self.abouts(&format!("{ABOUT} WHERE n.seq = ?1"), seq)?;
        found.into_iter().next().ok_or(StoreError::Corrupt("notice"))
    }

    fn abouts(&self, sql: &str, value: impl rusqlite::ToSql) -> Result<Vec<Said>, StoreError> {
        let mut find = self.db.prepare_cached(sql).what("find a notice")?;
        let rows = find.query_map([value], |row| Ok(said(row))).what("find a notice")?;
        rows.map(|row| row.what("find a notice")?).collect()
    }
}

const ABOUT: &str = "SELECT n.seq, n.notice_id, n.event_digest, \
     (SELECT max(a.attempt) FROM attempt a WHERE a.notice_seq = n.seq), n.superseded, n.traffic, n.exercise_id, \
     n.agreement_id, n.agreement_version, n.release_state, n.custody_key FROM notice n";

fn said(row: &rusqlite::Row<'_>) -> Result<Said, StoreError> {
    let text = |at: usize| row.get::<_, String>(at).what("read a notice");
    let notice_id: NoticeId = text(1)?.parse().map_err(|_| StoreError::Corrupt("notice id"))?;
    let digest: Vec<u8> = row.get(2).what("read a notice")?;
    let event_digest = Digest::try_from(&*digest).map_err(|_| StoreError::Corrupt("digest"))?;
    let exercise: Option<String> = row.get(6).what("read a notice")?;
    let traffic = match (text(5)?.parse(), exercise) {
        (Ok(TrafficKind::Actual), None) => TrafficClass::Actual,
        (Ok(TrafficKind::Exercise), Some(id)) => TrafficClass::Exercise(id),
        (Ok(TrafficKind::Test), None) => TrafficClass::Test,
        (Ok(TrafficKind::Ping), None) => TrafficClass::Ping,
        _ => return Err(StoreError::Corrupt("traffic class")),
    };
    let agreement: AgreementName = text(7)?.parse().map_err(|_| StoreError::Corrupt("agreement"))?;
    let version = row.get(8).what("read a notice")?;
    let state = text(9)?.parse::<sallyport_proto::vocabulary::ReleaseState>();
    let state = state.map_err(|_| StoreError::Corrupt("release state"))?;
    Ok(Said {
        notice: row.get(0).what("read a notice")?,
        about: About {
            notice: ReceiptFor {
                notice_id,
                event_digest,
                attempt: row.get(3).what("read a notice")?,
                superseded: row.get(4).what("read a notice")?,
                t6_received: None,
            },
            traffic,
            agreement: Some(AgreementId { id: agreement, version }),
        },
        withdrawn: state.withdraws(),
        custody_key: text(10)?,
    })
}

/// Stores a receipt within a transaction.
pub(super) fn insert(tx: &Connection, lane: Lane, made: &Made, now: Timestamp) -> Result<i64, StoreError> {
    let sql = "INSERT INTO receipt (lane, subject, bytes, made_us) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = tx.prepare_cached(sql).what("store a receipt")?;
    insert.insert(params![lane.as_str(), made.subject, made.bytes, micros(now)]).what("store a receipt")
}

/// Stores a saying within a transaction.
pub(super) fn state(tx: &Connection, saying: &Saying, now: Timestamp) -> Result<i64, StoreError> {
    let id = insert(tx, Lane::Later, &saying.made, now)?;
    let sql = "INSERT INTO statement (receipt, notice_seq, word, by_whom, at_us, eta_us) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![id, saying.notice, saying.word, saying.by, micros(now), saying.eta.map(micros)];
    tx.execute(sql, values).what("store what was said")?;
    Ok(id)
}

/// One stored receipt, as it goes out.
pub(super) fn read(tx: &Connection, id: i64) -> Result<Outgoing, StoreError> {
    let mut find =
        tx.prepare_cached("SELECT id, subject, bytes FROM receipt WHERE id = ?1").what("read a receipt")?;
    find.query_row([id], outgoing).what("read a receipt")
}

fn outgoing(row: &rusqlite::Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing { id: row.get(0)?, subject: row.get(1)?, bytes: row.get::<_, Vec<u8>>(2)?.into() })
}
