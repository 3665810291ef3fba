//! One checked value of each message, drawn from a tape. What two fields must agree on is kept here as the domain says
//! it, not as the code checks it.

use jiff::SignedDuration;
use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, RelayedReceipt, RelayedRequest, ResendRequest},
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    disclosure::{Charge, Disclosure, Part},
    event::ReleaseHead,
    ids::{EventId, Ori, SubscriberId},
    notice::{Deadlines, Notice},
    operations::{
        Availability, ClockOffset, Control, DueLevel, Heartbeat, Parked, RangeDigest, ReceiptDue,
        SubscriberHead,
    },
    outcome::{AboutNotice, Outcome, WayBack},
    receipt::{EndpointRefusal, Receipt, ReceiptFor, Response, Statement},
    reply::Reply,
    request::{Instrument, Request, RequestDetails},
    routed::{Recipient, Routed},
    time::Moment,
    vocabulary::{
        AskedAction, AvailabilityKind, Certainty, ControlKind, ControlPhase, EndpointRefusalCode, NoticeWhy,
        OutcomeKind, OutcomeSide, Priority, ProbableCause, Purpose, ReceiptLevel, RefusalCode, ReleaseReason,
        ReleaseState, ReplyKind, ResponseKind, RoutedVerdict, Severity, WarrantClass,
    },
};

use super::draw::Draw;

pub fn head(d: &mut Draw) -> ReleaseHead {
    ReleaseHead {
        provenance: d.provenance(),
        event_id: d.uuid(),
        ori: d.ori(),
        jurisdiction: d.token(),
        custody_key: d.custody(),
        revision: d.small().max(1),
        supersedes: d.maybe(Draw::uuid),
        release_state: d.word(ReleaseState::ALL),
        certainty: d.word(Certainty::ALL),
        reason: d.word(ReleaseReason::ALL),
        t0_trigger: d.maybe_moment(),
        t1_entered: d.maybe_moment(),
        t2_observed: d.moment(),
        t3_decided: d.moment(),
        t9_cleared: d.maybe_moment(),
        t10_released: d.maybe_moment(),
        expected: d.maybe(Draw::window),
        traffic: d.traffic(),
        epoch: d.text(),
        seq: d.number().max(1),
        disclosure_sha256: d.some(1, 4, Draw::digest),
        transferred_to: d.maybe(Draw::ori),
        registry_version: d.number(),
        backfill: d.coin(),
        mapping_version: d.text(),
        inferred_uncertainty_s: d.small(),
    }
}

pub fn disclosure(d: &mut Draw) -> Disclosure {
    let event_id = d.uuid();
    disclosure_of(d, event_id, false)
}

fn disclosure_of(d: &mut Draw, event_id: EventId, withdrawn: bool) -> Disclosure {
    Disclosure {
        salt: [d.number().to_le_bytes()[0]; 16],
        event_id,
        subscriber_id: subscriber(d),
        request_id: d.maybe(Draw::uuid),
        agreement: d.agreement(),
        purpose: d.word(Purpose::ALL),
        rule_id: d.text(),
        pack_version: d.text(),
        fields: d.some(0, 3, Draw::text),
        part: if withdrawn { None } else { d.maybe(part) },
    }
}

/// A head and disclosures that belong together: one event, every subscriber once, no part with a withdrawal.
pub fn event(d: &mut Draw) -> (ReleaseHead, Vec<Disclosure>) {
    let head = head(d);
    let withdrawn = head.release_state.withdraws();
    let mut disclosures = d.some(1, 4, |d| disclosure_of(d, head.event_id.clone(), withdrawn));
    for (n, disclosure) in disclosures.iter_mut().enumerate() {
        disclosure.subscriber_id = format!("{}-{n}", disclosure.subscriber_id).parse().unwrap();
    }
    (head, disclosures)
}

/// Never a name that the relay uses itself.
fn subscriber(d: &mut Draw) -> SubscriberId {
    format!("s{}", d.token::<String>()).parse().unwrap()
}

pub fn part(d: &mut Draw) -> Part {
    Part {
        booking_number: d.redacted(),
        person_name: d.redacted(),
        birth_date: d.redacted(),
        fbi_ucn: d.redacted(),
        state_id: d.redacted(),
        alien_number: d.redacted(),
        disposition_texts: d.some(0, 3, Draw::text).into(),
        charges: d.some(0, 3, charge).into(),
        booked: d.maybe_moment(),
        housing: d.redacted(),
        details: d.details().into(),
        release_text: d.redacted(),
        health_reason: d.maybe(|d| d.word(ReleaseReason::ALL)),
    }
}

fn charge(d: &mut Draw) -> Charge {
    Charge {
        description: d.text(),
        code: d.text(),
        offence_level: d.text(),
        court: d.text(),
        ended: d.maybe_moment(),
        disposition_text: d.text(),
    }
}

pub fn notice(d: &mut Draw) -> Notice {
    let (ori, subscriber) = (d.ori(), subscriber(d));
    Notice {
        provenance: d.provenance(),
        notice_id: d.notice(&ori, &subscriber),
        attempt: d.small(),
        why: d.word(NoticeWhy::ALL),
        head: d.bytes(),
        disclosure: d.bytes(),
        subscription: d.maybe(Draw::token),
        predecessor: d.maybe(Draw::uuid),
        priority: d.word(Priority::ALL),
        deadlines: Deadlines {
            received: d.maybe_moment(),
            seen: d.maybe_moment(),
            answered: d.maybe_moment(),
        },
        registry_version: d.number(),
        event_digest: d.digest(),
        traffic: d.traffic(),
        predecessor_missing: d.coin(),
        t4_stored: d.moment(),
        ingest_sequence: d.number(),
        t5_routed: d.moment(),
        case_number: d.maybe(Draw::text),
        legal_basis: d.maybe(Draw::text),
        purpose: d.maybe(|d| d.word(Purpose::ALL)),
        agreement: d.agreement(),
    }
}

pub fn routed(d: &mut Draw) -> Routed {
    Routed {
        provenance: d.provenance(),
        event_id: d.uuid(),
        ori: d.ori(),
        jurisdiction: d.token(),
        event_digest: d.digest(),
        recipients: d.some(0, 3, |d| Recipient {
            subscriber: subscriber(d),
            subscription: d.maybe(Draw::token),
            predecessor: d.coin(),
            priority: d.word(Priority::ALL),
        }),
        unsubscribed: d.some(0, 3, subscriber),
        registry_version: d.number(),
        verdict: d.word(RoutedVerdict::ALL),
        predecessor_missing: d.coin(),
        t4_stored: d.moment(),
        ingest_sequence: d.number(),
        t5_routed: d.moment(),
        relay_node: d.token(),
        traffic: d.traffic(),
        custody_key: d.custody(),
        revision: d.small(),
    }
}

pub fn answer(d: &mut Draw) -> Answer {
    let body = match d.below(5) {
        0 => Body::Acceptance(d.some(0, 3, |d| AcceptedEvent {
            event_id: d.uuid(),
            digest: d.digest(),
            recipients: d.some(0, 3, subscriber),
            unsubscribed: d.some(0, 3, subscriber),
            registry_version: d.number(),
            predecessor_missing: d.coin(),
            t4_stored: d.moment(),
            t5_routed: d.moment(),
        })),
        1 => Body::Refusal(Refusal {
            event_id: d.maybe(Draw::uuid),
            digest: d.digest(),
            code: d.word(RefusalCode::ALL),
            permanent: d.coin(),
            text: d.text(),
        }),
        2 => Body::Progress(d.some(0, 3, |d| RelayedReceipt {
            receipt: d.bytes(),
            stored: d.moment(),
            receipts_sequence: d.number(),
        })),
        3 => {
            let first = 1 + d.below(1_000) as u64;
            let seqs = (0..=d.below(5) as u64).map(|n| first + 2 * n).collect();
            Body::Resend(ResendRequest { epoch: d.text(), seqs })
        }
        _ => Body::Request(RelayedRequest { request: d.bytes(), stored: d.moment() }),
    };
    Answer { provenance: d.provenance(), ori: d.ori(), at: d.moment(), relay_node: d.token(), body }
}

pub fn receipt(d: &mut Draw) -> Receipt {
    let (ori, subscriber) = (d.ori(), subscriber(d));
    Receipt {
        provenance: d.provenance(),
        notices: d.some(1, 4, |d| ReceiptFor {
            notice_id: d.notice(&ori, &subscriber),
            event_digest: d.digest(),
            attempt: d.small(),
            superseded: d.coin(),
            t6_received: d.maybe_moment(),
        }),
        subscriber,
        ori,
        statement: statement(d),
        by_whom: d.text(),
        text: d.maybe(Draw::text),
        traffic: d.traffic(),
        t6_received: d.maybe_moment(),
        staged: d.maybe_moment(),
        t7_seen: d.maybe_moment(),
        t8_answered: d.maybe_moment(),
        published: d.moment(),
        agreement: d.maybe(Draw::agreement),
    }
}

fn statement(d: &mut Draw) -> Statement {
    match d.below(3) {
        0 => Statement::Level(d.word(&[ReceiptLevel::Received, ReceiptLevel::Staged, ReceiptLevel::Seen])),
        1 => {
            let kind = d.word(ResponseKind::ALL);
            let (eta, answer_by) = (d.moment(), d.moment());
            Statement::Response(Response {
                kind,
                eta: (kind == ResponseKind::WillTakeCustody || d.coin()).then_some(eta),
                answer_by: (kind == ResponseKind::WillAnswerBy || d.coin()).then_some(answer_by),
                contact: d.maybe(Draw::text),
                forward_to: d.maybe(Draw::ori),
            })
        }
        _ => Statement::Refusal(EndpointRefusal {
            code: d.word(EndpointRefusalCode::ALL),
            severity: d.word(Severity::ALL),
            text: d.text(),
        }),
    }
}

pub fn request(d: &mut Draw) -> Request {
    let cancels = d.maybe(Draw::uuid);
    Request {
        provenance: d.provenance(),
        request_id: d.uuid(),
        subscriber: subscriber(d),
        ori: d.ori(),
        jurisdiction: d.token(),
        instrument: instrument(d),
        purpose: d.word(Purpose::ALL),
        legal_basis: d.text(),
        case_number: d.maybe(Draw::text),
        agreement: d.agreement(),
        asks: d.some(usize::from(cancels.is_none()), 3, |d| d.word(AskedAction::ALL)),
        expires: d.moment(),
        revalidate: d.maybe_moment(),
        supersedes: d.maybe(Draw::uuid),
        cancels,
        details: d.maybe(|d| RequestDetails {
            fbi_ucn: d.redacted(),
            state_id: d.redacted(),
            alien_number: d.redacted(),
            booking_number: d.redacted(),
            person_name: d.redacted(),
            birth_date: d.redacted(),
        }),
        traffic: d.traffic(),
        lodged: d.moment(),
        from_paper: d.coin(),
        reply_due: d.maybe_moment(),
    }
}

fn instrument(d: &mut Draw) -> Instrument {
    Instrument {
        form: d.text(),
        revision: d.maybe(Draw::text),
        issued: d.maybe_moment(),
        received: d.maybe_moment(),
        issuing_office: d.maybe(Draw::ori),
        probable_cause: d.some(0, 4, |d| d.word(ProbableCause::ALL)),
        resume_custody: d.coin(),
        warrant_class: d.word(WarrantClass::ALL),
        court: d.maybe(Draw::text),
        judge_office: d.maybe(Draw::text),
        served_on_person: d.maybe_moment(),
        ncic_number: d.maybe(Draw::text),
        clock_rule: d.maybe(Draw::text),
    }
}

pub fn reply(d: &mut Draw) -> Reply {
    let kind = d.word(ReplyKind::ALL);
    let (rule, citation) = (d.text(), d.text());
    Reply {
        provenance: d.provenance(),
        request_id: d.uuid(),
        request_digest: d.digest(),
        subscriber: subscriber(d),
        ori: d.ori(),
        kind,
        rule_id: (kind == ReplyKind::Declined || d.coin()).then_some(rule),
        citation: (kind == ReplyKind::Declined || d.coin()).then_some(citation),
        pack_version: d.maybe(Draw::text),
        text: d.maybe(Draw::text),
        at: d.moment(),
        custody_key: d.maybe(Draw::custody),
        traffic: d.traffic(),
        agreement: d.maybe(Draw::agreement),
        by_whom: d.maybe(Draw::text),
    }
}

pub fn outcome(d: &mut Draw) -> Outcome {
    let (side, kind) = (d.word(OutcomeSide::ALL), d.word(OutcomeKind::ALL));
    let (ori, subscriber, rule) = (d.ori(), subscriber(d), d.text());
    let notice =
        d.maybe(|d| AboutNotice { notice_id: d.notice(&ori, &subscriber), event_digest: d.digest() });
    let request_id = d.maybe(Draw::uuid);
    let custody = d.custody();
    let needs_custody = notice.is_none() && request_id.is_none();
    Outcome {
        provenance: d.provenance(),
        outcome_id: d.uuid(),
        custody_key: (needs_custody || d.coin()).then_some(custody),
        subscriber: (notice.is_some() || side == OutcomeSide::Subscriber || d.coin()).then_some(subscriber),
        ori,
        notice,
        request_id,
        side,
        kind,
        rule_id: (kind == OutcomeKind::RequestDeclinedByLawOrPolicy || d.coin()).then_some(rule),
        act: d.maybe_moment(),
        t11_recorded: d.moment(),
        by_whom: d.text(),
        text: d.maybe(Draw::text),
        traffic: d.traffic(),
        agreement: d.maybe(Draw::agreement),
        supersedes: d.maybe(Draw::uuid),
        transferred_to: d.maybe(Draw::ori),
        way_back: (side == OutcomeSide::Facility && d.coin()).then(|| WayBack {
            event_published: d.maybe_moment(),
            answer_at_jail: d.maybe_moment(),
            answer_shown: d.maybe_moment(),
            human_answer: d.maybe_moment(),
        }),
    }
}

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
