//! From a record to the facts it states.

use prost::Message;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::{Digest, PayloadType, Unverified},
    event::{ReleaseHead, UnverifiedEvent},
    ids::NoticeId,
    notice::{Deadlines, Notice},
    operations::Heartbeat,
    receipt::{Receipt, Statement},
    routed::Routed,
    subject::{self, DeliverSubject},
    vocabulary::{ControlKind, ControlPhase},
    wire,
};

use super::{
    Change, Record, Stream,
    rows::{
        AcceptedRow, ClaimedEvent, ControlRow, HeartbeatRow, IngestRow, NoticeRow, ParkedRow, ProgressRow,
        ReceiptRow, RefusedRow, RoutedRow, micros, moment,
    },
};
use crate::delivery::What;

/// The facts that a record states; none for kinds that are not folded. Never fails: a record that is not what its stream
/// holds is a fact too.
pub fn changes(record: &Record<'_>) -> Vec<Change> {
    let read = match record.stream {
        Stream::Ingest => ingest(record),
        Stream::Deliver => deliver(record),
        Stream::Receipts => receipt(record),
        Stream::Answers => answer(record),
        Stream::Control => control(record),
        Stream::Parked => parked(record),
        Stream::Heartbeats => heartbeat(record),
    };
    read.unwrap_or_else(|| vec![Change::Unreadable { stream: record.stream, sequence: record.sequence }])
}

fn ingest(record: &Record<'_>) -> Option<Vec<Change>> {
    let (jurisdiction, ori) = subject::facility_of_ingest(record.subject)?;
    let claimed = UnverifiedEvent::read(record.payload).ok();
    let event = claimed.as_ref().and_then(|event| event.claimed_head().ok()).map(|head| ClaimedEvent {
        event_id: head.event_id.clone(),
        custody_key: head.custody_key.clone(),
        revision: head.revision,
        release_state: head.release_state,
        t2: moment(head.t2_observed),
        traffic: head.traffic.kind(),
        epoch: head.epoch.clone(),
        seq: head.seq,
    });
    Some(vec![Change::Ingest(IngestRow {
        sequence: record.sequence,
        ori,
        jurisdiction,
        digest: Digest::of(record.payload),
        stored: micros(record.stored),
        event,
    })])
}

fn deliver(record: &Record<'_>) -> Option<Vec<Change>> {
    match subject::deliver_subject(record.subject)? {
        DeliverSubject::Routed => routed(record).map(|row| vec![Change::Routed(row)]),
        DeliverSubject::Notice(subscriber) => notice(record)
            .filter(|row| row.notice_id.subscriber() == subscriber)
            .map(|row| vec![Change::Notice(row)]),
    }
}

fn routed(record: &Record<'_>) -> Option<RoutedRow> {
    let payload = claimed(record.payload, PayloadType::Routed)?;
    let routed: Routed = wire::Routed::decode(&*payload).ok()?.try_into().ok()?;
    Some(RoutedRow {
        sequence: record.sequence,
        ori: routed.ori,
        event_id: routed.event_id,
        digest: routed.event_digest,
        ingest_sequence: routed.ingest_sequence,
        custody_key: routed.custody_key,
        revision: routed.revision,
        registry_version: routed.registry_version,
        verdict: routed.verdict,
        predecessor_missing: routed.predecessor_missing,
        t4: moment(routed.t4_stored),
        t5: moment(routed.t5_routed),
        node: routed.relay_node,
        traffic: routed.traffic.kind(),
        recipients: routed.recipients.into_iter().map(|recipient| recipient.subscriber).collect(),
        unsubscribed: routed.unsubscribed,
    })
}

fn notice(record: &Record<'_>) -> Option<NoticeRow> {
    let payload = claimed(record.payload, PayloadType::Notice)?;
    let notice: Notice = wire::Notice::decode(&*payload).ok()?.try_into().ok()?;
    let head = claimed(&notice.head, PayloadType::ReleaseHead)?;
    let head: ReleaseHead = wire::ReleaseHead::decode(&*head).ok()?.try_into().ok()?;
    let deadlines = notice.deadlines;
    Some(NoticeRow {
        sequence: record.sequence,
        notice_id: notice.notice_id,
        attempt: notice.attempt,
        why: notice.why,
        digest: notice.event_digest,
        custody_key: head.custody_key,
        revision: head.revision,
        release_state: head.release_state,
        reason: head.reason,
        subscription: notice.subscription,
        predecessor: notice.predecessor,
        priority: notice.priority,
        deadlines: Deadlines {
            received: deadlines.received.map(moment),
            seen: deadlines.seen.map(moment),
            answered: deadlines.answered.map(moment),
        },
        traffic: notice.traffic.kind(),
        backfill: head.backfill,
        t0: head.t0_trigger.map(moment),
        t2: moment(head.t2_observed),
        t4: moment(notice.t4_stored),
        t5: moment(notice.t5_routed),
        t10: head.t10_released.map(moment),
        stored: micros(record.stored),
    })
}

fn receipt(record: &Record<'_>) -> Option<Vec<Change>> {
    let (subscriber, kind) = subject::subscriber_of_receipt(record.subject)?;
    if matches!(kind, "outcome" | "availability") {
        return Some(Vec::new());
    }
    let receipt = Receipt::claimed(record.payload).ok()?;
    let what = match receipt.statement {
        Statement::Level(level) => What::Level(level),
        Statement::Response(response) => {
            What::Response { kind: response.kind, at: response.eta.or(response.answer_by).map(moment) }
        }
        Statement::Refusal(refusal) => What::Refusal { code: refusal.code, severity: refusal.severity },
    };
    let (t6, t7, t8) = (receipt.t6_received, receipt.t7_seen, receipt.t8_answered);
    let rows = receipt.notices.into_iter().zip(0..).map(|(named, item)| {
        Change::Receipt(ReceiptRow {
            sequence: record.sequence,
            item,
            subscriber: subscriber.clone(),
            attempt: named.attempt,
            digest: named.event_digest,
            what,
            superseded: named.superseded,
            t6: named.t6_received.or(t6).map(moment),
            t7: t7.map(moment),
            t8: t8.map(moment),
            published: moment(receipt.published),
            stored: micros(record.stored),
            notice_id: named.notice_id,
        })
    });
    Some(rows.collect())
}

fn answer(record: &Record<'_>) -> Option<Vec<Change>> {
    let payload = claimed(record.payload, PayloadType::Answer)?;
    let answer: Answer = wire::Answer::decode(&*payload).ok()?.try_into().ok()?;
    let (sequence, stored, ori) = (record.sequence, micros(record.stored), answer.ori);
    Some(match answer.body {
        Body::Acceptance(events) => events
            .into_iter()
            .map(|event| {
                Change::Accepted(AcceptedRow {
                    sequence,
                    ori: ori.clone(),
                    event_id: event.event_id,
                    digest: event.digest,
                    stored,
                })
            })
            .collect(),
        Body::Refusal(refusal) => vec![Change::Refused(RefusedRow {
            sequence,
            ori,
            event_id: refusal.event_id,
            digest: refusal.digest,
            code: refusal.code,
            permanent: refusal.permanent,
            stored,
        })],
        Body::Progress(receipts) => receipts
            .into_iter()
            .map(|receipt| {
                Change::Progress(ProgressRow {
                    sequence,
                    receipts_sequence: receipt.receipts_sequence,
                    stored,
                })
            })
            .collect(),
        Body::Request(_) | Body::Resend(_) => Vec::new(),
    })
}

fn control(record: &Record<'_>) -> Option<Vec<Change>> {
    let payload = claimed(record.payload, PayloadType::Control)?;
    let control = wire::Control::decode(&*payload).ok()?;
    let notice_id = match control.notice_id.as_str() {
        "" => None,
        id => Some(id.parse::<NoticeId>().ok()?),
    };
    Some(vec![Change::Control(ControlRow {
        sequence: record.sequence,
        notice_id,
        kind: ControlKind::from_wire("control.kind", control.kind).ok()?,
        phase: ControlPhase::from_wire("control.phase", control.phase).ok()?,
        stored: micros(record.stored),
    })])
}

fn parked(record: &Record<'_>) -> Option<Vec<Change>> {
    let mut tokens = record.subject.strip_prefix("hub.v1.parked.")?.split('.');
    let (reason, ori) = (tokens.next()?.to_owned(), tokens.nth(1).and_then(|ori| ori.parse().ok()));
    let payload = claimed(record.payload, PayloadType::Parked)?;
    let parked = wire::Parked::decode(&*payload).ok()?;
    let origin = Stream::named(&parked.stream).map(|stream| (stream, parked.stream_sequence));
    Some(vec![Change::Parked(ParkedRow {
        sequence: record.sequence,
        reason,
        ori,
        origin,
        stored: micros(record.stored),
    })])
}

fn heartbeat(record: &Record<'_>) -> Option<Vec<Change>> {
    // Stated by ourselves, from this model: nothing to learn from it.
    if subject::subscriber_of_head(record.subject).is_some() {
        return Some(Vec::new());
    }
    let (jurisdiction, ori) = subject::facility_of_heartbeat(record.subject)?;
    let heartbeat = Heartbeat::claimed(record.payload).ok()?;
    Some(vec![Change::Heartbeat(HeartbeatRow {
        sequence: record.sequence,
        ori,
        jurisdiction,
        epoch: heartbeat.epoch,
        seq: heartbeat.seq,
        kept_from: heartbeat.kept_from,
        range: heartbeat.range,
        outbox_depth: heartbeat.outbox_depth,
        outbox_oldest: heartbeat.outbox_oldest.map(|oldest| micros(oldest.at)),
        stored: micros(record.stored),
    })])
}

fn claimed(bytes: &[u8], payload_type: PayloadType) -> Option<Vec<u8>> {
    Some(Unverified::read(bytes, payload_type).ok()?.claimed_payload().to_vec())
}
