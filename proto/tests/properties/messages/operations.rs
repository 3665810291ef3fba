//! What programs say of themselves and of what they keep.

use super::*;

pub fn availability(d: &mut Draw) -> Availability {
    let kind = d.word(AvailabilityKind::ALL);
    let (desk, start) = (subscriber(d), d.moment());
    let lasts = SignedDuration::from_secs(d.small().into());
    let other = format!("{desk}-other").parse().unwrap();
    Availability {
        provenance: d.provenance(),
        availability_id: d.uuid(),
        subscriber: desk,
        kind,
        start,
        end: d.maybe(|_| Moment { at: start.at.checked_add(lasts).unwrap(), ..start }),
        divert_to: (kind == AvailabilityKind::DivertTo).then_some(other),
        text: d.maybe(Draw::text),
        by_whom: d.text(),
        traffic: d.traffic(),
        agreement: d.maybe(Draw::agreement),
    }
}

pub fn control(d: &mut Draw) -> Control {
    let (kind, phase) = (d.word(ControlKind::ALL), d.word(ControlPhase::ALL));
    let (ori, subscriber): (Ori, _) = (d.ori(), subscriber(d));
    let (notice, effect) = (d.notice(&ori, &subscriber), d.text());
    let due = ReceiptDue { level: d.word(DueLevel::ALL), due_at: d.moment() };
    let missed = kind == ControlKind::DeadlineMissed;
    let decision = d.some(1, 4, Draw::token::<String>).join(".");
    Control {
        provenance: d.provenance(),
        decision_id: decision.parse().unwrap(),
        kind,
        phase,
        notice_id: (missed || d.coin()).then_some(notice),
        subscriber: d.maybe(|_| subscriber),
        ori: d.maybe(|_| ori),
        due: (missed || d.coin()).then_some(due),
        decided_at: d.moment(),
        relay_node: d.token(),
        author: d.maybe(Draw::text),
        why: d.maybe(Draw::text),
        effect_id: (phase == ControlPhase::Done || d.coin()).then_some(effect),
        ends: d.maybe_moment(),
        traffic: d.traffic(),
    }
}

pub fn heartbeat(d: &mut Draw) -> Heartbeat {
    let outbox_depth = d.number() % 3;
    let oldest = d.moment();
    let seq = d.number();
    let first = seq.min(1 + d.below(1_000) as u64);
    Heartbeat {
        provenance: d.provenance(),
        ori: d.ori(),
        jurisdiction: d.token(),
        outbox_depth,
        outbox_oldest: (outbox_depth > 0).then_some(oldest),
        last_intake: d.maybe_moment(),
        clock_offset: d.maybe(|d| ClockOffset {
            offset_ms: i64::from_le_bytes(d.number().to_le_bytes()),
            bound_ms: d.number().max(1),
        }),
        epoch: d.text(),
        seq,
        at: d.moment(),
        traffic: d.traffic(),
        kept_from: d.maybe(|d| d.number().max(1)),
        range: (seq > 0 && d.coin()).then(|| RangeDigest { first, sha256: d.digest() }),
    }
}

pub fn subscriber_head(d: &mut Draw) -> SubscriberHead {
    SubscriberHead {
        provenance: d.provenance(),
        subscriber: subscriber(d),
        rank: d.number(),
        last_sequence: d.number(),
        at: d.moment(),
        stream_created: d.text(),
    }
}

pub fn parked(d: &mut Draw) -> Parked {
    Parked {
        provenance: d.provenance(),
        reason: d.text(),
        text: d.maybe(Draw::text),
        subject: d.text(),
        stream: d.text(),
        stream_sequence: d.number(),
        original: d.bytes(),
        at: d.moment(),
        relay_node: d.token(),
    }
}

pub fn catchup_request(d: &mut Draw) -> CatchupRequest {
    CatchupRequest {
        provenance: d.provenance(),
        after_sequence: d.number(),
        stream_created: d.maybe(Draw::timestamp),
    }
}

pub fn catchup_response(d: &mut Draw) -> CatchupResponse {
    let item = match d.below(3) {
        0 => CatchupItem::Answer { sequence: d.number(), answer: [vec![1], d.bytes()].concat() },
        1 => CatchupItem::End { more: d.coin(), sequence: d.number(), stream_created: d.timestamp() },
        _ => CatchupItem::Error(d.text()),
    };
    CatchupResponse { provenance: d.provenance(), item }
}
