//! What is not believed or not readable: kept aside as it came, never handed over. A notice refused for a key we did not
//! know is judged again when the registry changes: the key may have been on its way.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sallyport_proto::{envelope::Digest, vocabulary::EndpointRefusalCode};

use super::{Store, StoreError, What, micros};
use crate::verify::{Refused, Unreadable};

/// A flood of garbage must not fill the agency's disk: of what is set apart, the oldest goes.
const APART_MAX: i64 = 10_000;
/// What is judged again at once: as much as one batch.
const AGAIN_MAX: usize = 64;

/// A message that was set apart and may be better understood now.
#[derive(Debug)]
pub struct Again {
    /// Its place, for asking for the next ones.
    pub id: i64,
    /// As it came.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Refused notices after `id` that another registry (and, where `by_build`, another build) could make readable.
    pub fn to_judge_again(&self, after: i64, by_build: bool) -> Result<Vec<Again>, StoreError> {
        let sql = "SELECT id, bytes FROM apart WHERE id > ?1 AND (code = ?2 OR (code = ?3 AND ?4)) \
                   ORDER BY id LIMIT ?5";
        let mut find = self.db.prepare_cached(sql).what("read what is set apart")?;
        let values = params![
            after,
            EndpointRefusalCode::UnknownKey.as_str(),
            EndpointRefusalCode::UnsupportedVersion.as_str(),
            by_build,
            AGAIN_MAX as i64
        ];
        let rows = find
            .query_map(values, |row| Ok(Again { id: row.get(0)?, bytes: row.get(1)? }))
            .what("read what is set apart")?;
        rows.collect::<Result<_, _>>().what("read what is set apart")
    }

    /// Forgets what was set apart and has been taken up since.
    pub fn taken_up(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        self.lazily(|tx| {
            let mut delete = tx.prepare_cached("DELETE FROM apart WHERE id = ?1").what("take up a notice")?;
            ids.iter().try_for_each(|id| delete.execute([id]).map(drop).what("take up a notice"))
        })
    }
}

/// The receipt that answered these very bytes before.
pub(super) fn receipt_of(tx: &Connection, bytes: &[u8]) -> Result<Option<i64>, StoreError> {
    let mut find = tx
        .prepare_cached("SELECT receipt FROM apart WHERE digest = ?1 AND receipt IS NOT NULL")
        .what("find what is set apart")?;
    find.query_row([Digest::of(bytes).as_bytes()], |row| row.get(0)).optional().what("find what is set apart")
}

pub(super) fn set_refused(
    tx: &Transaction<'_>,
    bytes: &[u8],
    refused: &Refused,
    receipt: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO apart (digest, notice_id, attempt, code, why, came_us, receipt, bytes) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let digest = Digest::of(bytes);
    let (code, why) = (refused.fault.code().as_str(), refused.fault.to_string());
    let values = params![
        digest.as_bytes(),
        refused.notice_id.as_str(),
        refused.attempt,
        code,
        why,
        micros(now),
        receipt,
        bytes,
    ];
    tx.execute(sql, values).what("set a notice apart")?;
    trim(tx)
}

pub(super) fn set_unreadable(
    tx: &Transaction<'_>,
    bytes: &[u8],
    why: Unreadable,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO apart (digest, code, why, came_us, bytes) VALUES (?1, 'UNREADABLE', ?2, ?3, ?4)";
    let (digest, why) = (Digest::of(bytes), why.to_string());
    tx.execute(sql, params![digest.as_bytes(), why, micros(now), bytes]).what("set garbage apart")?;
    trim(tx)
}

fn trim(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "DELETE FROM apart WHERE id <= (SELECT max(id) FROM apart) - ?1";
    tx.execute(sql, [APART_MAX]).map(drop).what("drop what was set apart longest ago")
}
