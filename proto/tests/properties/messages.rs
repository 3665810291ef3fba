//! One checked value of each message, drawn from a tape. What two fields must agree on is kept here as the domain says
//! it, not as the code checks it.

#[path = "messages/operations.rs"]
mod operations;
#[path = "messages/requests.rs"]
mod requests;

pub use operations::*;
pub use requests::*;

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
