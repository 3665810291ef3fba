//! Rows of notices and their attempts. What a batch makes of them: `batch`.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use sallyport_proto::{envelope::Digest, ids::NoticeId, notice::Notice, provenance::TrafficClass};

use super::{SinkPlace, StoreError, What, micros, reach::Place};
use crate::verify::Verified;

/// A notice that the store has.
pub(super) struct Known {
    pub(super) seq: i64,
    pub(super) event_digest: Digest,
    pub(super) superseded: bool,
    /// The application did not take it, and the sender was told.
    pub(super) failed_receipt: Option<i64>,
}

pub(super) fn find(tx: &Connection, id: &NoticeId) -> Result<Option<Known>, StoreError> {
    let sql = "SELECT seq, event_digest, superseded, failed_receipt FROM notice WHERE notice_id = ?1";
    let mut find = tx.prepare_cached(sql).what("find a notice")?;
    let row = find
        .query_row([id.as_str()], |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()
        .what("find a notice")?;
    let Some((seq, digest, superseded, failed_receipt)) = row else { return Ok(None) };
    let event_digest = Digest::try_from(&*digest).map_err(|_| StoreError::Corrupt("digest"))?;
    Ok(Some(Known { seq, event_digest, superseded, failed_receipt }))
}

/// The receipt that answered an attempt.
pub(super) fn receipt_of(tx: &Connection, seq: i64, attempt: u32) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT receipt FROM attempt WHERE notice_seq = ?1 AND attempt = ?2";
    let mut find = tx.prepare_cached(sql).what("find an attempt")?;
    find.query_row(params![seq, attempt], |row| row.get(0)).optional().what("find an attempt")
}

pub(super) fn insert(
    tx: &Connection,
    verified: &Verified,
    bytes: &[u8],
    sink: SinkPlace,
    t6: Timestamp,
    place: Place,
) -> Result<i64, StoreError> {
    let (notice, head) = (&verified.notice, &verified.head);
    let exercise = match &notice.traffic {
        TrafficClass::Exercise(id) => Some(id.as_str()),
        TrafficClass::Actual | TrafficClass::Test | TrafficClass::Ping => None,
    };
    let sql = "INSERT INTO notice (notice_id, event_id, ori, custody_key, traffic, exercise_id, epoch, revision, \
               t2_us, release_state, reason, attempt, event_digest, t6_us, t10_us, backfill, agreement_id, \
               agreement_version, late, superseded, bytes, sink, sequence, stored_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
               ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 0, 0, ?19, ?20, ?21, ?22)";
    let mut insert = tx.prepare_cached(sql).what("store a notice")?;
    insert
        .insert(params![
            notice.notice_id.as_str(),
            head.event_id.as_str(),
            head.ori.as_str(),
            head.custody_key.as_str(),
            notice.traffic.kind().as_str(),
            exercise,
            head.epoch,
            head.revision,
            micros(head.t2_observed.at),
            head.release_state.as_str(),
            head.reason.as_str(),
            notice.attempt,
            notice.event_digest.as_bytes(),
            micros(t6),
            head.t10_released.map(|moment| micros(moment.at)),
            head.backfill,
            notice.agreement.id.as_str(),
            notice.agreement.version,
            bytes,
            sink.as_str(),
            i64::try_from(place.sequence).unwrap_or(i64::MAX),
            micros(place.stored),
        ])
        .what("store a notice")
}

pub(super) fn insert_attempt(
    tx: &Connection,
    seq: i64,
    notice: &Notice,
    receipt: i64,
    t6: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO attempt (notice_seq, attempt, why, t6_us, receipt) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = tx.prepare_cached(sql).what("store an attempt")?;
    let values = params![seq, notice.attempt, notice.why.as_str(), micros(t6), receipt];
    insert.execute(values).map(drop).what("store an attempt")
}

/// A newer revision was there when it came.
pub(super) fn mark_late(tx: &Connection, seq: i64) -> Result<(), StoreError> {
    let sql = "UPDATE notice SET late = 1, superseded = 1 WHERE seq = ?1";
    let mut mark = tx.prepare_cached(sql).what("mark a late notice")?;
    mark.execute([seq]).map(drop).what("mark a late notice")
}
