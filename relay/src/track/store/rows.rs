//! From rows of SQLite back to facts.

use rusqlite::Row;
use sallyport_proto::{
    ids::NoticeId,
    notice::Deadlines,
    operations::RangeDigest,
    vocabulary::{
        ControlKind, ControlPhase, EndpointRefusalCode, NoticeWhy, Priority, ReceiptLevel, RefusalCode,
        ReleaseReason, ReleaseState, ResponseKind, RoutedVerdict, Severity, TrafficKind,
    },
};
use sallyport_relay_core::{
    delivery::What,
    ledger::{
        Stream,
        rows::{
            AcceptedRow, ClaimedEvent, ControlRow, HeartbeatRow, IngestRow, NoticeRow, ParkedRow,
            ProgressRow, ReceiptRow, RefusedRow, RoutedRow,
        },
    },
};

use super::value::Columns;

pub(super) fn ingest_row(row: &Row<'_>) -> rusqlite::Result<IngestRow> {
    let event = match row.parsed_or_none("event_id")? {
        None => None,
        Some(event_id) => Some(ClaimedEvent {
            event_id,
            custody_key: row.parsed("custody_key")?,
            revision: row.get("revision")?,
            release_state: row.word("release_state", ReleaseState::from_wire)?,
            t2: row.moment("t2")?,
            traffic: row.word("traffic", TrafficKind::from_wire)?,
            epoch: row.get("epoch")?,
            seq: row.unsigned("seq")?,
        }),
    };
    Ok(IngestRow {
        sequence: row.unsigned("sequence")?,
        ori: row.parsed("ori")?,
        jurisdiction: row.parsed("jurisdiction")?,
        digest: row.digest("digest")?,
        stored: row.at("stored")?,
        event,
    })
}

pub(crate) fn heartbeat_row(row: &Row<'_>) -> rusqlite::Result<HeartbeatRow> {
    let first: Option<i64> = row.get("range_first")?;
    let range = match first {
        Some(_) => {
            Some(RangeDigest { first: row.unsigned("range_first")?, sha256: row.digest("range_sha256")? })
        }
        None => None,
    };
    let kept_from: Option<i64> = row.get("kept_from")?;
    Ok(HeartbeatRow {
        sequence: row.unsigned("sequence")?,
        ori: row.parsed("ori")?,
        jurisdiction: row.parsed("jurisdiction")?,
        epoch: row.get("epoch")?,
        seq: row.unsigned("seq")?,
        kept_from: kept_from.map(|_| row.unsigned("kept_from")).transpose()?,
        range,
        outbox_depth: row.unsigned("outbox_depth")?,
        outbox_oldest: row.at_or_none("outbox_oldest")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn routed_row(row: &Row<'_>) -> rusqlite::Result<RoutedRow> {
    Ok(RoutedRow {
        sequence: row.unsigned("sequence")?,
        ori: row.parsed("ori")?,
        event_id: row.parsed("event_id")?,
        digest: row.digest("digest")?,
        ingest_sequence: row.unsigned("ingest_sequence")?,
        custody_key: row.parsed("custody_key")?,
        revision: row.get("revision")?,
        registry_version: row.unsigned("registry_version")?,
        verdict: row.word("verdict", RoutedVerdict::from_wire)?,
        predecessor_missing: row.get("predecessor_missing")?,
        t4: row.moment("t4")?,
        t5: row.moment("t5")?,
        node: row.parsed("node")?,
        traffic: row.word("traffic", TrafficKind::from_wire)?,
        recipients: row.parsed_list("recipients")?,
        unsubscribed: row.parsed_list("unsubscribed")?,
    })
}

pub(super) fn notice_row(row: &Row<'_>) -> rusqlite::Result<NoticeRow> {
    Ok(NoticeRow {
        sequence: row.unsigned("sequence")?,
        notice_id: NoticeId::new(&row.parsed("ori")?, &row.parsed("event_id")?, &row.parsed("subscriber")?),
        attempt: row.get("attempt")?,
        why: row.word("why", NoticeWhy::from_wire)?,
        digest: row.digest("digest")?,
        custody_key: row.parsed("custody_key")?,
        revision: row.get("revision")?,
        release_state: row.word("release_state", ReleaseState::from_wire)?,
        reason: row.word("reason", ReleaseReason::from_wire)?,
        subscription: row.parsed_or_none("subscription")?,
        predecessor: row.parsed_or_none("predecessor")?,
        priority: row.word("priority", Priority::from_wire)?,
        deadlines: Deadlines {
            received: row.moment_or_none("due_received")?,
            seen: row.moment_or_none("due_seen")?,
            answered: row.moment_or_none("due_answered")?,
        },
        traffic: row.word("traffic", TrafficKind::from_wire)?,
        backfill: row.get("backfill")?,
        t0: row.moment_or_none("t0")?,
        t2: row.moment("t2")?,
        t4: row.moment("t4")?,
        t5: row.moment("t5")?,
        t10: row.moment_or_none("t10")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn receipt_row(row: &Row<'_>) -> rusqlite::Result<ReceiptRow> {
    let what = match row.get("kind")? {
        0 => What::Level(row.word("word", ReceiptLevel::from_wire)?),
        1 => {
            What::Response { kind: row.word("word", ResponseKind::from_wire)?, at: row.moment_or_none("at")? }
        }
        _ => What::Refusal {
            code: row.word("word", EndpointRefusalCode::from_wire)?,
            severity: row.word("severity", Severity::from_wire)?,
        },
    };
    Ok(ReceiptRow {
        sequence: row.unsigned("sequence")?,
        item: row.get("item")?,
        subscriber: row.parsed("subscriber")?,
        notice_id: NoticeId::new(&row.parsed("ori")?, &row.parsed("event_id")?, &row.parsed("named")?),
        attempt: row.get("attempt")?,
        digest: row.digest("digest")?,
        what,
        superseded: row.get("superseded")?,
        t6: row.moment_or_none("t6")?,
        t7: row.moment_or_none("t7")?,
        t8: row.moment_or_none("t8")?,
        published: row.moment("published")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn accepted_row(row: &Row<'_>) -> rusqlite::Result<AcceptedRow> {
    Ok(AcceptedRow {
        sequence: row.unsigned("sequence")?,
        ori: row.parsed("ori")?,
        event_id: row.parsed("event_id")?,
        digest: row.digest("digest")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn refused_row(row: &Row<'_>) -> rusqlite::Result<RefusedRow> {
    Ok(RefusedRow {
        sequence: row.unsigned("sequence")?,
        ori: row.parsed("ori")?,
        event_id: row.parsed_or_none("event_id")?,
        digest: row.digest("digest")?,
        code: row.word("code", RefusalCode::from_wire)?,
        permanent: row.get("permanent")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn progress_row(row: &Row<'_>) -> rusqlite::Result<ProgressRow> {
    Ok(ProgressRow {
        sequence: row.unsigned("sequence")?,
        receipts_sequence: row.unsigned("receipts_sequence")?,
        stored: row.at("stored")?,
    })
}

pub(super) fn parked_row(row: &Row<'_>) -> rusqlite::Result<ParkedRow> {
    let origin: Option<String> = row.get("origin")?;
    let origin = match origin.as_deref().and_then(Stream::named) {
        None => None,
        Some(stream) => Some((stream, row.unsigned("origin_sequence")?)),
    };
    Ok(ParkedRow {
        sequence: row.unsigned("sequence")?,
        reason: row.get("reason")?,
        ori: row.parsed_or_none("ori")?,
        origin,
        stored: row.at("stored")?,
    })
}

pub(super) fn control_row(row: &Row<'_>) -> rusqlite::Result<ControlRow> {
    Ok(ControlRow {
        sequence: row.unsigned("sequence")?,
        notice_id: row.parsed_or_none("notice_id")?,
        kind: row.word("kind", ControlKind::from_wire)?,
        phase: row.word("phase", ControlPhase::from_wire)?,
        stored: row.at("stored")?,
    })
}
