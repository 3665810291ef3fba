//! What a heartbeat states of the outbox, all of one state of it; and rows that the relay asks for again.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_proto::{envelope::Digest, operations::RangeDigest};

use super::{Depth, StoreError, error::Doing, stamp::optional, us, waiting};

/// Numbers that one heartbeat's digest covers: older ones were covered by earlier heartbeats, and a minute's reading
/// stays small.
const RANGE_MAX: u64 = 1_000;

/// How far the numbers went, and what the newest stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The numbering in force.
    pub epoch: String,
    /// Every number of the epoch up to this one was sent: what still waits is known to be missing at the relay, and is
    /// in `depth`. The last that was given, when nothing waits.
    pub seq: u64,
    /// The lowest of the epoch that is still held.
    pub kept_from: Option<u64>,
    /// What the newest stand for; none when not all of them are held.
    pub range: Option<RangeDigest>,
    /// How much waits.
    pub depth: Depth,
    /// When something to be sent was last stored.
    pub last_stored: Option<Timestamp>,
}

const READ: &str = "cannot read what was numbered";

/// Reads it.
pub(super) fn numbered(connection: &Connection) -> Result<Numbered, StoreError> {
    // Nothing is written: how it ends does not matter.
    let tx = connection.unchecked_transaction().doing(READ)?;
    let (epoch, seq): (String, i64) = tx
        .query_row("SELECT epoch, seq FROM facility", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .doing(READ)?;
    let (kept_from, last_stored): (Option<i64>, Option<i64>) = tx
        .query_row(
            "SELECT (SELECT min(seq) FROM outbox WHERE epoch = ?1), \
             (SELECT stored_us FROM outbox ORDER BY n DESC LIMIT 1)",
            [&epoch],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .doing(READ)?;
    let (open, oldest): (i64, Option<i64>) = tx
        .query_row("SELECT count(*), min(stored_us) FROM outbox WHERE status = 'open'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .doing(READ)?;
    let seq = sent_through(&tx, &epoch)?.unwrap_or(seq);
    let number = |n: i64| u64::try_from(n).map_err(|_| StoreError::Damaged { what: "the last number" });
    let (seq, kept_from) = (number(seq)?, kept_from.map(number).transpose()?);
    let range = match kept_from {
        Some(kept_from) => range(&tx, &epoch, kept_from, seq)?,
        None => None,
    };
    let depth = Depth { open: u64::try_from(open).unwrap_or(0), oldest: optional(oldest)? };
    Ok(Numbered { epoch, seq, kept_from, range, depth, last_stored: optional(last_stored)? })
}

/// The last number before the first that was never sent; none when all were.
fn sent_through(connection: &Connection, epoch: &str) -> Result<Option<i64>, StoreError> {
    let first: Option<i64> = connection
        .query_row("SELECT n FROM outbox WHERE epoch = ?1 ORDER BY seq LIMIT 1", [epoch], |row| row.get(0))
        .optional()
        .doing(READ)?;
    let Some(first) = first else { return Ok(None) };
    let Some(waits) = waiting::first_unsent(connection, first)? else { return Ok(None) };
    let sql = "SELECT seq - 1 FROM outbox WHERE n = ?1";
    connection.query_row(sql, [waits], |row| row.get(0)).optional().doing(READ)
}

fn range(
    connection: &Connection,
    epoch: &str,
    kept_from: u64,
    seq: u64,
) -> Result<Option<RangeDigest>, StoreError> {
    let first = kept_from.max((seq + 1).saturating_sub(RANGE_MAX));
    let mut statement = connection
        .prepare_cached("SELECT digest FROM outbox WHERE epoch = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq")
        .doing(READ)?;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let digests: Vec<Vec<u8>> = statement
        .query_map((epoch, signed(first), signed(seq)), |row| row.get(0))
        .and_then(Iterator::collect)
        .doing(READ)?;
    let digests: Result<Vec<Digest>, _> =
        digests.iter().map(|digest| Digest::try_from(&digest[..])).collect();
    let digests = digests.map_err(|_| StoreError::Damaged { what: "a row of the outbox" })?;
    // A row that was closed long ago is pruned in no order: a range with a hole states nothing.
    let whole = digests.len() as u64 == (seq + 1).saturating_sub(first);
    Ok((whole && !digests.is_empty()).then(|| RangeDigest::of(first, digests)))
}

/// What became of a request to send again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reopened {
    /// Were accepted, are open again.
    pub reopened: usize,
    /// Were open anyway: due at once.
    pub open: usize,
    /// Refused for good, pruned, or never given.
    pub not_held: usize,
}

/// The relay does not hold what these numbers stand for: the outbox machine's `handle_resend`, row by row.
pub fn reopen(
    connection: &Connection,
    epoch: &str,
    seqs: &[u64],
    now: Timestamp,
) -> Result<Reopened, StoreError> {
    use sallyport_agent_core::outbox::{Resend, Status};
    let what = "cannot open an event again";
    let mut done = Reopened::default();
    for seq in seqs {
        let found = super::outbox::by_number(connection, epoch, *seq)?;
        let Some(super::outbox::Kept { n, mut row }) = found else {
            done.not_held += 1;
            continue;
        };
        match row.handle_resend(now) {
            Resend::Reopened => done.reopened += 1,
            Resend::DueNow => done.open += 1,
            Resend::Refused => done.not_held += 1,
        }
        if let Status::Open { next_due } = row.status {
            connection
                .prepare_cached(
                    "UPDATE outbox SET status = 'open', next_due_us = ?2, closed_us = NULL WHERE n = ?1",
                )
                .doing(what)?
                .execute((n, us(next_due)))
                .doing(what)?;
        }
    }
    Ok(done)
}
