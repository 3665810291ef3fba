//! What may be sent next, read from the indexes of the open rows: however deep the outbox is, a look costs what is sent.
//! What is chosen of it is the window's (`sallyport_agent_core::outbox::window`).

use jiff::Timestamp;
use rusqlite::Connection;
use sallyport_agent_core::outbox::{
    latest_due,
    window::{Lane, is_fresh},
};

use super::{StoreError, error::Doing, from_us};

/// Rows that were sent and have no answer, of one look. More than a window only after the relay asked for old ones again:
/// those beyond are seen when these are answered.
const SENT_MAX: usize = 4_096;
const READ: &str = "cannot read what may be sent";

/// A row that was sent and has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentRow {
    /// Its place.
    pub n: i64,
    /// When it is sent again.
    pub next_due: Timestamp,
}

impl SentRow {
    /// Whether it is to be sent again now, as `Row::is_due` has it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_due <= now || self.next_due > latest_due(now)
    }
}

/// Rows that were never sent: none of them in the way of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Stated now, the newest first.
    pub fresh: Vec<i64>,
    /// Neither fresh nor of a backfill, the oldest first.
    pub backlog: Vec<i64>,
    /// Of a backfill, the oldest first.
    pub backfill: Vec<i64>,
}

pub(super) fn sent(connection: &Connection) -> Result<Vec<SentRow>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT n, next_due_us FROM outbox INDEXED BY outbox_sent WHERE status = 'open' AND attempt > 0 \
             ORDER BY n LIMIT ?1",
        )
        .doing(READ)?;
    let rows: Vec<(i64, i64)> = statement
        .query_map([SENT_MAX as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .doing(READ)?;
    rows.into_iter().map(|(n, due)| Ok(SentRow { n, next_due: from_us(due)? })).collect()
}

/// At most `limit` of each kind; `skip` names what is on its way.
pub(super) fn unsent(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    skip: impl Fn(i64) -> bool,
) -> Result<Unsent, StoreError> {
    // Rows are looked at in the order of their numbers, which is that of their times unless a clock was set back: the
    // first that is too old ends the look, and one behind it is sent with the backlog.
    let newest_first = "SELECT n, stored_us FROM outbox INDEXED BY outbox_waiting \
                        WHERE status = 'open' AND attempt = 0 AND lane = ?1 ORDER BY n DESC";
    let oldest_first = "SELECT n, stored_us FROM outbox INDEXED BY outbox_waiting \
                        WHERE status = 'open' AND attempt = 0 AND lane = ?1 ORDER BY n";
    let find = |sql: &str, lane: Lane, wanted: &dyn Fn(i64) -> Result<bool, StoreError>| {
        let mut statement = connection.prepare_cached(sql).doing(READ)?;
        let mut rows = statement.query([lane.number()]).doing(READ)?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next().doing(READ)?
        {
            let (n, stored): (i64, i64) = (row.get(0).doing(READ)?, row.get(1).doing(READ)?);
            if !wanted(stored)? {
                break;
            }
            if !skip(n) {
                found.push(n);
            }
        }
        Ok::<_, StoreError>(found)
    };
    let fresh = |stored: i64| Ok(is_fresh(from_us(stored)?, now));
    let old = |stored: i64| fresh(stored).map(|fresh| !fresh);
    let any = |_| Ok(true);
    let mut backlog = find(oldest_first, Lane::Live, &old)?;
    backlog.extend(find(oldest_first, Lane::Bulk, &any)?);
    backlog.sort_unstable();
    backlog.truncate(limit);
    Ok(Unsent {
        fresh: find(newest_first, Lane::Live, &fresh)?,
        backlog,
        backfill: find(oldest_first, Lane::Backfill, &any)?,
    })
}

/// Rows of the same custody that were stored before this one and never sent, the oldest first.
pub(super) fn earlier(connection: &Connection, n: i64) -> Result<Vec<i64>, StoreError> {
    connection
        .prepare_cached(
            "SELECT n FROM outbox INDEXED BY outbox_custody \
             WHERE custody_key = (SELECT custody_key FROM outbox WHERE n = ?1) AND n < ?1 \
             AND status = 'open' AND attempt = 0 ORDER BY n",
        )
        .doing(READ)?
        .query_map([n], |row| row.get(0))
        .and_then(Iterator::collect)
        .doing(READ)
}

/// The lowest place from `from` on that was never sent.
pub(super) fn first_unsent(connection: &Connection, from: i64) -> Result<Option<i64>, StoreError> {
    let mut first = None;
    for lane in Lane::ALL {
        let mut statement = connection
            .prepare_cached(
                "SELECT min(n) FROM outbox INDEXED BY outbox_waiting \
                 WHERE status = 'open' AND attempt = 0 AND lane = ?1 AND n >= ?2",
            )
            .doing(READ)?;
        let found: Option<i64> = statement.query_row((lane.number(), from), |row| row.get(0)).doing(READ)?;
        first = [first, found].into_iter().flatten().min();
    }
    Ok(first)
}
