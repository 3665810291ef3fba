//! What a relay says: notice, routed, answer, control, the subscriber's head, parked, catch-up.

use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, RelayedReceipt, RelayedRequest, ResendRequest},
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    event,
    notice::{Deadlines, Notice},
    operations::{Control, DueLevel, Parked, ReceiptDue, SubscriberHead},
    routed::{Recipient, Routed},
    vocabulary::{
        ControlKind, ControlPhase, NoticeWhy, Priority, Purpose, RefusalCode, RoutedVerdict, SourceClock,
    },
    wire,
};

use super::{agency, common::*, jail};

/// The jail's `Ingest` message whose two disclosures are the full and the minimal one.
pub fn ingest() -> Vec<u8> {
    let disclosures = vec![jail::disclosure_full(), jail::disclosure_minimal()];
    event::seal_event(&facility_key().signer, jail::head_full(), disclosures)
}

fn release_event() -> wire::ReleaseEvent {
    match prost::Message::decode(&*ingest()) {
        Ok(wire::Ingest { item: Some(wire::ingest::Item::ReleaseEvent(event)) }) => event,
        _ => unreachable!("just made"),
    }
}

pub fn notice_full() -> Notice {
    let wire::ReleaseEvent { head, mut disclosures } = release_event();
    Notice {
        provenance: provenance("relay"),
        notice_id: notice(),
        attempt: 2,
        why: NoticeWhy::Escalation,
        head,
        disclosure: disclosures.swap_remove(0),
        subscription: Some("supervision-1".parse().unwrap()),
        predecessor: Some(earlier_event()),
        priority: Priority::Urgent,
        deadlines: Deadlines {
            received: Some(at(30, SourceClock::Relay)),
            seen: Some(at(31, SourceClock::Relay)),
            answered: Some(at(32, SourceClock::Relay)),
        },
        registry_version: 7,
        event_digest: digest("event"),
        traffic: exercise(),
        predecessor_missing: true,
        t4_stored: at(4, SourceClock::Broker),
        ingest_sequence: 4_711,
        t5_routed: at(5, SourceClock::Relay),
        case_number: Some("EX-1".into()),
        legal_basis: Some("EXAMPLE".into()),
        purpose: Some(Purpose::Supervision),
        agreement: agreement(),
    }
}

pub fn notice_minimal() -> Notice {
    let wire::ReleaseEvent { head, mut disclosures } = release_event();
    Notice {
        provenance: provenance("relay"),
        notice_id: notice(),
        attempt: 0,
        why: NoticeWhy::First,
        head,
        disclosure: disclosures.swap_remove(1),
        subscription: None,
        predecessor: None,
        priority: Priority::Routine,
        deadlines: Deadlines::default(),
        registry_version: 0,
        event_digest: digest("event"),
        traffic: exercise(),
        predecessor_missing: false,
        t4_stored: at(4, SourceClock::Broker),
        ingest_sequence: 0,
        t5_routed: at(5, SourceClock::Relay),
        case_number: None,
        legal_basis: None,
        purpose: None,
        agreement: agreement(),
    }
}

pub fn routed_full() -> Routed {
    Routed {
        provenance: provenance("relay"),
        event_id: event(),
        ori: ori(),
        jurisdiction: "zz".parse().unwrap(),
        event_digest: digest("event"),
        recipients: vec![recipient_full(), recipient_minimal()],
        unsubscribed: vec![other_subscriber()],
        registry_version: 7,
        verdict: RoutedVerdict::Routed,
        predecessor_missing: true,
        t4_stored: at(4, SourceClock::Broker),
        ingest_sequence: 4_711,
        t5_routed: at(5, SourceClock::Relay),
        relay_node: "a".parse().unwrap(),
        traffic: exercise(),
        custody_key: custody(),
        revision: 2,
    }
}

pub fn routed_minimal() -> Routed {
    Routed {
        recipients: Vec::new(),
        unsubscribed: Vec::new(),
        registry_version: 0,
        verdict: RoutedVerdict::NoSubscription,
        predecessor_missing: false,
        ingest_sequence: 0,
        revision: 0,
        ..routed_full()
    }
}

pub fn recipient_full() -> Recipient {
    Recipient {
        subscriber: subscriber(),
        subscription: Some("supervision-1".parse().unwrap()),
        predecessor: true,
        priority: Priority::Urgent,
    }
}

pub fn recipient_minimal() -> Recipient {
    Recipient {
        subscriber: subscriber(),
        subscription: None,
        predecessor: false,
        priority: Priority::Routine,
    }
}

pub fn resend_request() -> ResendRequest {
    ResendRequest { epoch: "epoch-1".into(), seqs: vec![3, 4, 300] }
}

pub fn resend_minimal() -> ResendRequest {
    ResendRequest { seqs: vec![1], ..resend_request() }
}

pub fn answer(body: Body) -> Answer {
    Answer {
        provenance: provenance("relay"),
        ori: ori(),
        at: at(33, SourceClock::Relay),
        relay_node: "a".parse().unwrap(),
        body,
    }
}

pub fn accepted_full() -> AcceptedEvent {
    AcceptedEvent {
        event_id: event(),
        digest: digest("event"),
        recipients: vec![subscriber()],
        unsubscribed: vec![other_subscriber()],
        registry_version: 7,
        predecessor_missing: true,
        t4_stored: at(4, SourceClock::Broker),
        t5_routed: at(5, SourceClock::Relay),
    }
}

pub fn accepted_minimal() -> AcceptedEvent {
    AcceptedEvent {
        recipients: Vec::new(),
        unsubscribed: Vec::new(),
        registry_version: 0,
        predecessor_missing: false,
        ..accepted_full()
    }
}

pub fn refusal_full() -> Refusal {
    Refusal {
        event_id: Some(event()),
        digest: digest("event"),
        code: RefusalCode::Conflict,
        permanent: true,
        text: "this event id was routed with other bytes".into(),
    }
}

pub fn refusal_minimal() -> Refusal {
    Refusal {
        event_id: None,
        digest: digest("event"),
        code: RefusalCode::UnknownKey,
        permanent: false,
        text: String::new(),
    }
}

pub fn relayed_receipt_full() -> RelayedReceipt {
    RelayedReceipt {
        receipt: agency::receipt_full().seal(&subscriber_key().signer),
        stored: at(34, SourceClock::Broker),
        receipts_sequence: 12,
    }
}

pub fn relayed_receipt_minimal() -> RelayedReceipt {
    RelayedReceipt { receipt: Vec::new(), stored: at(34, SourceClock::Broker), receipts_sequence: 0 }
}

pub fn relayed_request() -> RelayedRequest {
    RelayedRequest {
        request: agency::request_full().seal(&subscriber_key().signer),
        stored: at(35, SourceClock::Broker),
    }
}

pub fn control_full() -> Control {
    Control {
        provenance: provenance("relay"),
        decision_id: format!("{}.2.seen", notice()).parse().unwrap(),
        kind: ControlKind::DeadlineMissed,
        phase: ControlPhase::Done,
        notice_id: Some(notice()),
        subscriber: Some(subscriber()),
        ori: Some(ori()),
        due: Some(due()),
        decided_at: at(36, SourceClock::Relay),
        relay_node: "a".parse().unwrap(),
        author: Some("operator-1".into()),
        why: Some("Nobody answered.".into()),
        effect_id: Some("msg-1".into()),
        ends: Some(at(59, SourceClock::Relay)),
        traffic: exercise(),
    }
}

pub fn control_minimal() -> Control {
    Control {
        decision_id: "paused".parse().unwrap(),
        kind: ControlKind::Paused,
        phase: ControlPhase::Decided,
        notice_id: None,
        subscriber: None,
        ori: None,
        due: None,
        author: None,
        why: None,
        effect_id: None,
        ends: None,
        ..control_full()
    }
}

pub fn due() -> ReceiptDue {
    ReceiptDue { level: DueLevel::Seen, due_at: at(31, SourceClock::Relay) }
}

pub fn subscriber_head_full() -> SubscriberHead {
    SubscriberHead {
        provenance: provenance("relay"),
        subscriber: subscriber(),
        rank: 1_200,
        last_sequence: 4_712,
        at: at(37, SourceClock::Relay),
        stream_created: String::new(),
    }
}

pub fn subscriber_head_of_stream() -> SubscriberHead {
    SubscriberHead { stream_created: "2026-11-01 00:00:00.0 +00:00:00".into(), ..subscriber_head_full() }
}

pub fn subscriber_head_minimal() -> SubscriberHead {
    SubscriberHead { rank: 0, last_sequence: 0, ..subscriber_head_full() }
}

pub fn parked_full() -> Parked {
    Parked {
        provenance: provenance("relay"),
        reason: "conflict".into(),
        text: Some("this event id was routed with other bytes".into()),
        subject: "ingest.v1.release.zz.zz0010000".into(),
        stream: "INGEST".into(),
        stream_sequence: 4_713,
        original: ingest(),
        at: at(38, SourceClock::Relay),
        relay_node: "a".parse().unwrap(),
    }
}

pub fn parked_minimal() -> Parked {
    Parked { text: None, stream_sequence: 0, original: Vec::new(), ..parked_full() }
}

pub fn catchup_request_full() -> CatchupRequest {
    CatchupRequest {
        provenance: provenance("agent"),
        after_sequence: 17,
        stream_created: Some("2026-11-01T00:00:00.5Z".parse().unwrap()),
    }
}

pub fn catchup_request_minimal() -> CatchupRequest {
    CatchupRequest { after_sequence: 0, stream_created: None, ..catchup_request_full() }
}

pub fn catchup_response(item: CatchupItem) -> CatchupResponse {
    CatchupResponse { provenance: provenance("relay"), item }
}

pub fn catchup_answer() -> CatchupItem {
    let answer = answer(Body::Request(relayed_request())).seal(&relay_key().signer);
    CatchupItem::Answer { sequence: 18, answer }
}

pub fn catchup_end() -> CatchupItem {
    let stream_created = "2026-11-01T00:00:00.5Z".parse().unwrap();
    CatchupItem::End { more: true, sequence: 18, stream_created }
}

pub fn catchup_end_minimal() -> CatchupItem {
    let stream_created = "1970-01-01T00:00:00Z".parse().unwrap();
    CatchupItem::End { more: false, sequence: 0, stream_created }
}
