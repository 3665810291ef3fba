//! What waits for the sink in which order: urgent before what is told now, that before a backfill and what was superseded
//! when it came; within a custody always in the order of arrival. An earlier notice of a custody therefore gets the rank
//! of the most urgent one behind it.

use rusqlite::{Transaction, params};
use sallyport_proto::vocabulary::Priority;

use super::{StoreError, What};
use crate::verify::Verified;

/// The rank of a notice that waits; the lowest goes first.
fn of(verified: &Verified, late: bool) -> u8 {
    match verified.notice.priority {
        _ if late || verified.head.backfill => 2,
        Priority::Urgent => 0,
        Priority::Routine => 1,
    }
}

/// Ranks a notice that is new in the store, and lifts what it waits for.
pub(super) fn set(tx: &Transaction<'_>, seq: i64, verified: &Verified, late: bool) -> Result<(), StoreError> {
    let (what, rank) = ("rank a notice", of(verified, late));
    let mut set = tx.prepare_cached("UPDATE notice SET rank = ?2 WHERE seq = ?1").what(what)?;
    set.execute(params![seq, rank]).what(what)?;
    let sql = "UPDATE notice INDEXED BY notice_of_custody SET rank = ?4 \
               WHERE ori = ?1 AND custody_key = ?2 AND seq < ?3 AND rank > ?4 AND sink IN ('pending', 'aside')";
    let mut lift = tx.prepare_cached(sql).what(what)?;
    let head = &verified.head;
    lift.execute(params![head.ori.as_str(), head.custody_key.as_str(), seq, rank]).map(drop).what(what)
}
