//! Forgets what was closed long ago: bytes, receipts, evidence, callers' keys. What was told of a custody stays, because
//! a correction may come at any time; it holds no person data.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::{StoreError, error::Doing, us};

/// Closed rows outlive a loss of the relay's stream by so long, and person data stays no longer (invariant 3).
pub const KEEP_CLOSED: Duration = Duration::from_secs(30 * 86_400);
/// Rows of one transaction: a commit must not hold up an intake.
const ROWS_MAX: u32 = 500;

/// Forgets up to 500 rows that were closed 30 days ago; gives how many, so that the caller comes again for more.
pub fn prune(connection: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let what = "cannot prune closed events";
    let keep = SignedDuration::try_from(KEEP_CLOSED).unwrap_or(SignedDuration::ZERO);
    let before = us(now.saturating_sub(keep).unwrap_or(Timestamp::MIN));
    let rows = connection
        .execute(
            "DELETE FROM outbox WHERE n IN \
             (SELECT n FROM outbox WHERE status <> 'open' AND closed_us < ?1 ORDER BY closed_us LIMIT ?2)",
            (before, ROWS_MAX),
        )
        .doing(what)?;
    connection
        .execute(
            "DELETE FROM answer_envelope WHERE arrived_us < ?1 AND digest NOT IN \
             (SELECT answer_digest FROM outbox WHERE answer_digest IS NOT NULL)",
            [before],
        )
        .doing(what)?;
    connection
        .execute(
            "DELETE FROM receipt_envelope WHERE arrived_us < ?1 AND digest NOT IN (SELECT digest FROM receipt)",
            [before],
        )
        .doing(what)?;
    connection.execute("DELETE FROM stray_receipt WHERE arrived_us < ?1", [before]).doing(what)?;
    connection.execute("DELETE FROM caller_key WHERE at_us < ?1", [before]).doing(what)?;
    Ok(rows)
}
