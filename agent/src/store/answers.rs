//! What an answer of the relay does to the store. The signature was verified and the facility is ours before anything
//! comes here. Every repetition is harmless: a row closes once, a receipt is folded by its digest.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::outbox::{Effect, Status};
use sallyport_proto::{
    answer::{AcceptedEvent, Refusal},
    envelope::Digest,
    ids::{EventId, NodeId},
};

use super::{
    StoreError, custody,
    error::Doing,
    facility,
    outbox::{self, Kept},
    prune::KEEP_CLOSED,
    us,
};

/// What became of one statement of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The row is closed now.
    Closed,
    /// The row stays open: the same bytes may be accepted later.
    StaysOpen,
    /// Known already.
    Repeated,
    /// Other bytes, another event, or a row that was pruned.
    NotOurs,
    /// An event of this facility that the store should hold and does not: the store was restored, a new epoch began.
    Unknown,
}

/// How far answers were read by catch-up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Sequence on the relay's stream.
    pub sequence: u64,
    /// When that stream was created.
    pub stream_created: Option<Timestamp>,
}

const APPLY: &str = "cannot apply an answer";

/// Keeps the signed answer as evidence. To be called before the statements that refer to it.
pub fn keep_answer(
    connection: &Connection,
    digest: &Digest,
    kind: &'static str,
    envelope: &[u8],
    arrived: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO answer_envelope (digest, kind, envelope, arrived_us) VALUES (?1, ?2, ?3, ?4)",
        )
        .doing(APPLY)?
        .execute((digest.as_bytes().as_slice(), kind, envelope, us(arrived)))
        .doing(APPLY)?;
    Ok(())
}

/// The relay committed an event.
pub fn apply_acceptance(
    connection: &Connection,
    accepted: &AcceptedEvent,
    node: &NodeId,
    answer: &Digest,
    arrived: Timestamp,
) -> Result<Applied, StoreError> {
    let Some(Kept { n, mut row }) = outbox::by_event(connection, &accepted.event_id)? else {
        return unknown(connection, &accepted.event_id, arrived);
    };
    let was_refused = matches!(row.status, Status::Refused(_));
    match row.handle_acceptance(accepted) {
        Effect::Closed => {}
        Effect::StaysOpen => return Ok(Applied::StaysOpen),
        Effect::AlreadyClosed => return Ok(Applied::Repeated),
        Effect::NotThisRow => return Ok(Applied::NotOurs),
    }
    connection
        .prepare_cached(
            "UPDATE outbox SET status = 'accepted', closed_us = ?2, answer_digest = ?3, relay_node = ?4, t4_us = ?5, \
             t5_us = ?6, registry_version = ?7, predecessor_missing = ?8, recipients = ?9, unsubscribed = ?10 \
             WHERE n = ?1",
        )
        .doing(APPLY)?
        .execute((
            n,
            us(arrived),
            answer.as_bytes().as_slice(),
            node.as_str(),
            us(accepted.t4_stored.at),
            us(accepted.t5_routed.at),
            i64::try_from(accepted.registry_version).unwrap_or(i64::MAX),
            accepted.predecessor_missing,
            joined(&accepted.recipients),
            joined(&accepted.unsubscribed),
        ))
        .doing(APPLY)?;
    if was_refused {
        custody::recall(connection, n)?;
    }
    Ok(Applied::Closed)
}

/// Ids never hold spaces.
fn joined(ids: &[sallyport_proto::ids::SubscriberId]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ")
}

/// The relay refused some bytes.
pub fn apply_refusal(
    connection: &Connection,
    refusal: &Refusal,
    node: &NodeId,
    answer: &Digest,
    arrived: Timestamp,
) -> Result<Applied, StoreError> {
    let Some(Kept { n, mut row }) = outbox::by_digest(connection, &refusal.digest)? else {
        return Ok(Applied::NotOurs);
    };
    let effect = row.handle_refusal(refusal);
    let (status, closed) = match effect {
        Effect::Closed => ("refused", Some(us(arrived))),
        Effect::StaysOpen => ("open", None),
        Effect::AlreadyClosed => return Ok(Applied::Repeated),
        Effect::NotThisRow => return Ok(Applied::NotOurs),
    };
    connection
        .prepare_cached(
            "UPDATE outbox SET status = ?2, closed_us = ?3, answer_digest = ?4, relay_node = ?5, refusal_code = ?6, \
             refusal_text = ?7 WHERE n = ?1",
        )
        .doing(APPLY)?
        .execute((
            n,
            status,
            closed,
            answer.as_bytes().as_slice(),
            node.as_str(),
            refusal.code.as_str(),
            &refusal.text,
        ))
        .doing(APPLY)?;
    if closed.is_none() {
        return Ok(Applied::StaysOpen);
    }
    custody::recall(connection, n)?;
    Ok(Applied::Closed)
}

/// An event that this facility signed and this store does not hold. Older ones may have been pruned; a younger one means
/// that the store is a copy from before it was sent.
fn unknown(connection: &Connection, event: &EventId, now: Timestamp) -> Result<Applied, StoreError> {
    let sent_ms = made_ms(event);
    let age_ms = now.as_millisecond().saturating_sub(sent_ms);
    let kept_ms = i64::try_from(KEEP_CLOSED.as_millis()).unwrap_or(i64::MAX);
    let since: i64 =
        connection.query_row("SELECT epoch_since_us FROM facility", [], |row| row.get(0)).doing(APPLY)?;
    if age_ms >= kept_ms {
        return Ok(Applied::NotOurs);
    }
    // An epoch that began after the event was made says so already.
    if since / 1_000 < sent_ms {
        facility::start_epoch(
            connection,
            "the relay holds an event of ours that this store does not: restored",
        )?;
    }
    Ok(Applied::Unknown)
}

/// A UUIDv7 begins with the milliseconds since 1970.
fn made_ms(event: &EventId) -> i64 {
    let hex: String = event.as_str().chars().filter(|c| *c != '-').take(12).collect();
    i64::from_str_radix(&hex, 16).unwrap_or(0)
}

/// Records how far catch-up came, in the transaction that holds what it brought.
pub fn set_position(
    connection: &Connection,
    position: &Position,
    caught_up: Option<Timestamp>,
) -> Result<(), StoreError> {
    let what = "cannot keep how far answers were read";
    connection
        .prepare_cached(
            "UPDATE answers_position SET sequence = ?1, stream_created = ?2, caught_up_us = coalesce(?3, caught_up_us)",
        )
        .doing(what)?
        .execute((
            i64::try_from(position.sequence).unwrap_or(i64::MAX),
            position.stream_created.map(|at| at.to_string()),
            caught_up.map(us),
        ))
        .doing(what)?;
    Ok(())
}

/// How far catch-up came.
pub(super) fn position(connection: &Connection) -> Result<Position, StoreError> {
    let what = "cannot read how far answers were read";
    let found: Option<(i64, Option<String>)> = connection
        .query_row("SELECT sequence, stream_created FROM answers_position", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .doing(what)?;
    let Some((sequence, created)) = found else { return Ok(Position::default()) };
    let damaged = StoreError::Damaged { what: "the position in the answers" };
    let stream_created = match created {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| damaged)?),
    };
    Ok(Position { sequence: u64::try_from(sequence).unwrap_or(0), stream_created })
}
