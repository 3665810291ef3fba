//! How far the hand-over log is known to reach. The mark may lag behind the log, never lead it.

use rusqlite::params;

use super::{Store, StoreError, What, from_micros, meta, set_meta};
use crate::log::HandedOver;

impl Store {
    /// How far the hand-over log is known to reach: bytes, and the last notice in it.
    pub fn log_mark(&self) -> Result<(u64, i64), StoreError> {
        let bytes: Option<i64> = meta(&self.db, "log_bytes")?;
        let through: Option<i64> = meta(&self.db, "log_through")?;
        Ok((bytes.unwrap_or(0).unsigned_abs(), through.unwrap_or(0)))
    }

    /// Notes that the log holds every notice up to `through`. Lost with a power cut, the log is read again.
    pub fn mark_logged(&mut self, bytes: u64, through: i64) -> Result<(), StoreError> {
        self.lazily(|tx| {
            set_meta(tx, "log_bytes", i64::try_from(bytes).unwrap_or(i64::MAX))?;
            set_meta(tx, "log_through", through)
        })
    }

    /// The lines of the notices after `seq`, in order. Pings are never handed over.
    pub fn handed_over_after(&self, seq: i64) -> Result<Vec<HandedOver>, StoreError> {
        let sql = "SELECT seq, notice_id, attempt, event_id, ori, custody_key, revision, release_state, reason, late, \
                   traffic, backfill, t2_us, t6_us, t10_us, (SELECT value FROM meta WHERE name = 'subscriber') \
                   FROM notice WHERE seq > ?1 AND traffic <> 'PING' ORDER BY seq";
        let mut find = self.db.prepare(sql).what("read what is not in the log")?;
        let rows = find
            .query_map(params![seq], |row| {
                let times: (i64, i64, Option<i64>) = (row.get(12)?, row.get(13)?, row.get(14)?);
                let line = HandedOver {
                    seq: row.get(0)?,
                    at: jiff::Timestamp::UNIX_EPOCH,
                    notice_id: row.get(1)?,
                    attempt: row.get(2)?,
                    event_id: row.get(3)?,
                    ori: row.get(4)?,
                    custody_key: row.get(5)?,
                    revision: row.get(6)?,
                    release_state: row.get(7)?,
                    reason: row.get(8)?,
                    superseded: row.get(9)?,
                    traffic: row.get(10)?,
                    backfill: row.get(11)?,
                    subscriber: row.get(15)?,
                    t2: jiff::Timestamp::UNIX_EPOCH,
                    t6: jiff::Timestamp::UNIX_EPOCH,
                    t10: None,
                };
                Ok((line, times))
            })
            .what("read what is not in the log")?;
        rows.map(|row| {
            let (line, (t2, t6, t10)) = row.what("read what is not in the log")?;
            let t6 = from_micros(t6)?;
            let t10 = t10.map(from_micros).transpose()?;
            Ok(HandedOver { at: t6, t2: from_micros(t2)?, t6, t10, ..line })
        })
        .collect()
    }
}
