//! Writes one change. Under one key the record with the lowest sequence wins; what is derived across facts (`answered`,
//! `received`, `refused`: whether a row still waits) is set from whichever side comes second.

use rusqlite::{Connection, OptionalExtension, params};
use sallyport_proto::{
    ids::{EventId, NoticeId, Ori, SubscriberId},
    vocabulary::Severity,
};
use sallyport_relay_core::{
    delivery::What,
    ledger::{
        Change, Stream,
        rows::{HeartbeatRow, IngestRow, NoticeRow, ParkedRow, ReceiptRow, RoutedRow},
    },
};

use super::value::{micros, moment, number, optional};

type Done = rusqlite::Result<()>;

pub(super) fn apply(db: &Connection, change: &Change) -> Done {
    match change {
        Change::Ingest(row) => ingest(db, row),
        Change::Routed(row) => routed(db, row),
        Change::Notice(row) => notice(db, row),
        Change::Receipt(row) => receipt(db, row),
        Change::Parked(row) => parked(db, row),
        Change::Heartbeat(row) => heartbeat(db, row),
        Change::Accepted(row) => {
            let digest = &row.digest.as_bytes()[..];
            let key = params![
                row.event_id.as_str(),
                row.ori.as_str(),
                digest,
                number(row.sequence),
                micros(row.stored)
            ];
            db.prepare_cached(
                "INSERT INTO accepted (event_id, ori, digest, sequence, stored) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET sequence = ?4, stored = ?5 WHERE sequence > ?4",
            )?
            .execute(key)?;
            db.prepare_cached(
                "UPDATE ingest SET answered = 1 WHERE event_id = ?1 AND ori = ?2 AND digest = ?3",
            )?
            .execute(params![row.event_id.as_str(), row.ori.as_str(), digest])?;
            Ok(())
        }
        Change::Refused(row) => {
            db.prepare_cached("INSERT OR IGNORE INTO refused VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
                params![
                    number(row.sequence),
                    row.ori.as_str(),
                    row.event_id.as_ref().map(EventId::as_str),
                    &row.digest.as_bytes()[..],
                    i32::from(row.code),
                    row.permanent,
                    micros(row.stored)
                ],
            )?;
            Ok(())
        }
        Change::Progress(row) => {
            let sequences = (number(row.receipts_sequence), number(row.sequence));
            let changed = db
                .prepare_cached(
                    "INSERT INTO progress (receipts_sequence, sequence, stored) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET sequence = ?2, stored = ?3 WHERE sequence > ?2",
                )?
                .execute(params![sequences.0, sequences.1, micros(row.stored)])?;
            if changed > 0 { settle_named_in(db, sequences.0) } else { Ok(()) }
        }
        Change::Control(row) => {
            db.prepare_cached("INSERT OR IGNORE INTO control VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                params![
                    number(row.sequence),
                    row.notice_id.as_ref().map(NoticeId::as_str),
                    i32::from(row.kind),
                    i32::from(row.phase),
                    micros(row.stored)
                ],
            )?;
            Ok(())
        }
        Change::Unreadable { stream, sequence } => {
            db.prepare_cached("INSERT OR IGNORE INTO unreadable VALUES (?1, ?2)")?
                .execute(params![stream.name(), number(*sequence)])?;
            Ok(())
        }
    }
}

fn ingest(db: &Connection, row: &IngestRow) -> Done {
    let event = row.event.as_ref();
    let (t2, t2_src) = optional(event.map(|event| event.t2));
    db.prepare_cached(
        "INSERT OR IGNORE INTO ingest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
            EXISTS (SELECT 1 FROM accepted WHERE event_id = ?6 AND ori = ?2 AND digest = ?4)
            OR EXISTS (SELECT 1 FROM parked WHERE origin = 'INGEST' AND origin_sequence = ?1))",
    )?
    .execute(params![
        number(row.sequence),
        row.ori.as_str(),
        row.jurisdiction.as_str(),
        &row.digest.as_bytes()[..],
        micros(row.stored),
        event.map(|event| event.event_id.as_str()),
        event.map(|event| event.custody_key.as_str()),
        event.map(|event| event.revision),
        event.map(|event| i32::from(event.release_state)),
        t2,
        t2_src,
        event.map(|event| i32::from(event.traffic)),
        event.map(|event| event.epoch.as_str()),
        event.map(|event| number(event.seq)),
    ])?;
    Ok(())
}

fn heartbeat(db: &Connection, row: &HeartbeatRow) -> Done {
    db.prepare_cached(
        "INSERT INTO heartbeat VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET sequence = ?3, jurisdiction = ?4, seq = ?5, kept_from = ?6, range_first = ?7,
            range_sha256 = ?8, outbox_depth = ?9, outbox_oldest = ?10, stored = ?11 WHERE sequence < ?3",
    )?
    .execute(params![
        row.ori.as_str(),
        &row.epoch,
        number(row.sequence),
        row.jurisdiction.as_str(),
        number(row.seq),
        row.kept_from.map(number),
        row.range.map(|range| number(range.first)),
        row.range.map(|range| range.sha256.to_vec()),
        number(row.outbox_depth),
        row.outbox_oldest.map(micros),
        micros(row.stored),
    ])?;
    Ok(())
}

fn list(ids: &[SubscriberId]) -> String {
    ids.iter().map(SubscriberId::as_str).collect::<Vec<_>>().join(" ")
}

fn routed(db: &Connection, row: &RoutedRow) -> Done {
    let ((t4, t4_src), (t5, t5_src)) = (moment(row.t4), moment(row.t5));
    let values = params![
        row.event_id.as_str(),
        row.ori.as_str(),
        number(row.sequence),
        &row.digest.as_bytes()[..],
        number(row.ingest_sequence),
        row.custody_key.as_str(),
        row.revision,
        number(row.registry_version),
        i32::from(row.verdict),
        row.predecessor_missing,
        t4,
        t4_src,
        t5,
        t5_src,
        row.node.as_str(),
        i32::from(row.traffic),
        list(&row.recipients),
        list(&row.unsubscribed),
    ];
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO routed
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    if insert.execute(values)? == 0 {
        let later = db
            .prepare_cached("DELETE FROM routed WHERE event_id = ?1 AND ori = ?2 AND sequence > ?3")?
            .execute(params![row.event_id.as_str(), row.ori.as_str(), number(row.sequence)])?;
        if later > 0 {
            insert.execute(values)?;
        }
    }
    Ok(())
}

fn notice(db: &Connection, row: &NoticeRow) -> Done {
    let id = &row.notice_id;
    let (event, ori, subscriber) = (id.event(), id.ori(), id.subscriber());
    let (due_received, due_received_src) = optional(row.deadlines.received);
    let (due_seen, due_seen_src) = optional(row.deadlines.seen);
    let (due_answered, due_answered_src) = optional(row.deadlines.answered);
    let ((t0, t0_src), (t10, t10_src)) = (optional(row.t0), optional(row.t10));
    let ((t2, t2_src), (t4, t4_src), (t5, t5_src)) = (moment(row.t2), moment(row.t4), moment(row.t5));
    let values = params![
        event.as_str(),
        ori.as_str(),
        subscriber.as_str(),
        row.attempt,
        number(row.sequence),
        i32::from(row.why),
        &row.digest.as_bytes()[..],
        row.custody_key.as_str(),
        row.revision,
        i32::from(row.release_state),
        i32::from(row.reason),
        row.subscription.as_ref().map(|subscription| subscription.as_str()),
        row.predecessor.as_ref().map(EventId::as_str),
        i32::from(row.priority),
        due_received,
        due_received_src,
        due_seen,
        due_seen_src,
        due_answered,
        due_answered_src,
        i32::from(row.traffic),
        row.backfill,
        t0,
        t0_src,
        t2,
        t2_src,
        t4,
        t4_src,
        t5,
        t5_src,
        t10,
        t10_src,
        micros(row.stored),
    ];
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO notice
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                 ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, NULL, NULL)",
    )?;
    if insert.execute(values)? == 0 {
        let later = db
            .prepare_cached(
                "DELETE FROM notice
                 WHERE event_id = ?1 AND ori = ?2 AND subscriber = ?3 AND attempt = ?4 AND sequence > ?5",
            )?
            .execute(params![
                event.as_str(),
                ori.as_str(),
                subscriber.as_str(),
                row.attempt,
                number(row.sequence)
            ])?;
        if later == 0 {
            return Ok(());
        }
        insert.execute(values)?;
    }
    // Receipts that were read before their notice, or a further attempt of a notice that was heard of.
    let waiting: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM receipt WHERE event_id = ?1 AND ori = ?2 AND named = ?3)",
        )?
        .query_row(params![event.as_str(), ori.as_str(), subscriber.as_str()], |row| row.get(0))?;
    if waiting { settle(db, &event, &ori, &subscriber) } else { Ok(()) }
}

fn receipt(db: &Connection, row: &ReceiptRow) -> Done {
    let id = &row.notice_id;
    let (event, ori, named) = (id.event(), id.ori(), id.subscriber());
    let (kind, word, severity, at) = match row.what {
        What::Level(level) => (0, i32::from(level), None, None),
        What::Response { kind, at } => (1, i32::from(kind), None, at),
        What::Refusal { code, severity } => (2, i32::from(code), Some(i32::from(severity)), None),
    };
    let ((at, at_src), (t6, t6_src)) = (optional(at), optional(row.t6));
    let ((t7, t7_src), (t8, t8_src)) = (optional(row.t7), optional(row.t8));
    let (published, published_src) = moment(row.published);
    let new = db
        .prepare_cached(
            "INSERT OR IGNORE INTO receipt
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                     ?21, ?22, ?23)",
        )?
        .execute(params![
            number(row.sequence),
            row.item,
            row.subscriber.as_str(),
            event.as_str(),
            ori.as_str(),
            named.as_str(),
            row.attempt,
            &row.digest.as_bytes()[..],
            kind,
            word,
            severity,
            at,
            at_src,
            row.superseded,
            t6,
            t6_src,
            t7,
            t7_src,
            t8,
            t8_src,
            published,
            published_src,
            micros(row.stored),
        ])?;
    let believed = || -> rusqlite::Result<bool> {
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM progress WHERE receipts_sequence = ?1)")?
            .query_row(params![number(row.sequence)], |row| row.get(0))
    };
    if new > 0 && believed()? { settle(db, &event, &ori, &named) } else { Ok(()) }
}

fn parked(db: &Connection, row: &ParkedRow) -> Done {
    let origin = row.origin.map(|(stream, sequence)| (stream, number(sequence)));
    db.prepare_cached("INSERT OR IGNORE INTO parked VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        number(row.sequence),
        row.reason,
        row.ori.as_ref().map(Ori::as_str),
        origin.map(|(stream, _)| stream.name()),
        origin.map(|(_, sequence)| sequence),
        micros(row.stored)
    ])?;
    match origin {
        Some((Stream::Ingest, sequence)) => {
            db.prepare_cached("UPDATE ingest SET answered = 1 WHERE sequence = ?1")?
                .execute(params![sequence])?;
        }
        Some((Stream::Receipts, sequence)) => settle_named_in(db, sequence)?,
        _ => {}
    }
    Ok(())
}

/// Sets anew what waits among the notices that one receipt names.
fn settle_named_in(db: &Connection, sequence: i64) -> Done {
    let named: Vec<(String, String, String)> = db
        .prepare_cached("SELECT event_id, ori, named FROM receipt WHERE sequence = ?1")?
        .query_map(params![sequence], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (event, ori, named) in &named {
        settle_named(db, event, ori, named)?;
    }
    Ok(())
}

fn settle(db: &Connection, event: &EventId, ori: &Ori, subscriber: &SubscriberId) -> Done {
    settle_named(db, event.as_str(), ori.as_str(), subscriber.as_str())
}

/// Sets on every attempt of a notice by which receipt it was first received, and by which it was refused: only receipts
/// of its own subscriber that name an attempt that was made, with its digest, and that the relay verified and passed on.
pub(super) fn settle_named(db: &Connection, event: &str, ori: &str, subscriber: &str) -> Done {
    let first: Option<(Option<i64>, Option<i64>)> = db
        .prepare_cached(
            "SELECT min(CASE WHEN r.kind <> 2 THEN r.sequence END),
                    min(CASE WHEN r.kind = 2 AND r.severity = ?4 THEN r.sequence END)
             FROM receipt r JOIN notice n
               ON n.event_id = r.event_id AND n.ori = r.ori AND n.subscriber = r.named
              AND n.attempt = r.attempt AND n.digest = r.digest
             JOIN progress p ON p.receipts_sequence = r.sequence
             WHERE r.event_id = ?1 AND r.ori = ?2 AND r.named = ?3 AND r.subscriber = r.named
               AND NOT EXISTS (SELECT 1 FROM parked WHERE origin = 'RECEIPTS' AND origin_sequence = r.sequence)",
        )?
        .query_row(params![event, ori, subscriber, i32::from(Severity::Failure)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (received, refused) = first.unwrap_or_default();
    db.prepare_cached(
        "UPDATE notice SET received = ?4, refused = ?5
         WHERE event_id = ?1 AND ori = ?2 AND subscriber = ?3
           AND (received IS NOT ?4 OR refused IS NOT ?5)",
    )?
    .execute(params![event, ori, subscriber, received, refused])?;
    Ok(())
}
