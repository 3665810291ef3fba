//! What waits: notices that no receipt was credited to, and messages of jails that have no answer.

use jiff::Timestamp;
use rusqlite::params;
use sallyport_proto::{
    ids::{NoticeId, Ori, SubscriberId},
    vocabulary::{ControlKind, ControlPhase, TrafficKind},
};

use super::{Loaded, StoreError, value::Columns};

/// Notices of one facility to one subscriber that wait for a RECEIVED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) subscriber: SubscriberId,
    pub(crate) ori: Ori,
    pub(crate) ping: bool,
    pub(crate) backfill: bool,
    pub(crate) notices: u64,
    pub(crate) oldest: NoticeId,
    /// When the oldest was routed.
    pub(crate) oldest_t5: Timestamp,
    /// When the first RECEIVED of them is due, or was; none when none of them has a deadline.
    pub(crate) first_due: Option<Timestamp>,
}

/// Not those of which a later revision was received (SUPERSEDED), nor those given up by a decision.
const WAITING: &str = "
    SELECT subscriber, ori, traffic = ?1 AS ping, backfill, count(*) AS notices, min(t5) AS oldest_t5, event_id,
           (SELECT min(due.due_received) FROM notice due
            WHERE due.received IS NULL AND due.refused IS NULL AND due.attempt = 0 AND due.subscriber = n.subscriber
              AND due.ori = n.ori AND due.traffic = n.traffic AND due.backfill = n.backfill) AS first_due
    FROM notice n
    WHERE received IS NULL AND refused IS NULL AND attempt = 0
      AND NOT EXISTS (
        SELECT 1 FROM notice later
        WHERE later.custody_key = n.custody_key AND later.subscriber = n.subscriber AND later.ori = n.ori
          AND later.revision > n.revision AND later.received IS NOT NULL)
      AND NOT EXISTS (
        SELECT 1 FROM control c
        WHERE c.notice_id = n.ori || '.' || n.event_id || '.' || n.subscriber
          AND c.kind IN (?2, ?3) AND c.phase = ?4)
    GROUP BY subscriber, ori, ping, backfill ORDER BY subscriber, ori, ping, backfill";

impl Loaded {
    /// What waits, by subscriber and facility; pings apart.
    pub(crate) fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let words = params![
            i32::from(TrafficKind::Ping),
            i32::from(ControlKind::DeadLettered),
            i32::from(ControlKind::Discarded),
            i32::from(ControlPhase::Decided)
        ];
        // With min() SQLite takes the other columns from the row that has the minimum.
        self.rows(WAITING, words, |row| {
            let (subscriber, ori) = (row.parsed("subscriber")?, row.parsed("ori")?);
            Ok(Waiting {
                oldest: NoticeId::new(&ori, &row.parsed("event_id")?, &subscriber),
                subscriber,
                ori,
                ping: row.get("ping")?,
                backfill: row.get("backfill")?,
                notices: row.unsigned("notices")?,
                oldest_t5: row.at("oldest_t5")?,
                first_due: row.at_or_none("first_due")?,
            })
        })
    }

    /// Messages of jails that were neither accepted nor parked, and when the broker had the oldest.
    pub(crate) fn unanswered(&self) -> Result<(u64, Option<Timestamp>), StoreError> {
        let sql = "SELECT count(*) AS messages, min(stored) AS oldest FROM ingest WHERE answered = 0";
        let found = self.rows(sql, [], |row| {
            let messages: u64 = row.unsigned("messages")?;
            Ok((messages, if messages > 0 { Some(row.at("oldest")?) } else { None }))
        })?;
        Ok(found.into_iter().next().unwrap_or_default())
    }
}
