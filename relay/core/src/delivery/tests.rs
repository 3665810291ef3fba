//! Moves that a delivery makes, and those that it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use jiff::Timestamp;
use proptest::prelude::*;
use sallyport_proto::vocabulary::SourceClock;

use super::*;

fn at(second: i64) -> Moment {
    Moment::exact(Timestamp::from_second(second).unwrap(), SourceClock::Broker)
}

fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        digest: Digest::of(b"event"),
        deadlines: Deadlines { received: Some(at(30)), seen: Some(at(600)), answered: None },
    }
}

fn said(what: What) -> Said {
    Said {
        attempt: 0,
        digest: Digest::of(b"event"),
        what,
        superseded: false,
        stored: at(1),
        t6_received: Some(at(1)),
        t7_seen: None,
        t8_answered: None,
    }
}

fn level(level: ReceiptLevel) -> Happened {
    Happened::Said(said(What::Level(level)))
}

fn response(kind: ResponseKind) -> Happened {
    Happened::Said(said(What::Response { kind, at: None }))
}

const COUNTED: Credit = Credit::Counted { late: false };

/// Replays a RELEASED notice with one attempt.
#[track_caller]
fn check(happened: &[Happened], status: Status, credits: &[Credit]) {
    let (delivery, got) = Delivery::replay(ReleaseState::Released, [attempt(0)], happened.iter().cloned());
    assert_eq!((delivery.status(), &got[..]), (status, credits));
}

#[test]
fn a_notice_goes_from_relayed_to_responded() {
    check(&[], Status::Relayed, &[]);
    check(
        &[
            level(ReceiptLevel::Received),
            level(ReceiptLevel::Staged),
            level(ReceiptLevel::Seen),
            response(ResponseKind::WillTakeCustody),
        ],
        Status::Responded,
        &[COUNTED, Credit::Duplicate, COUNTED, COUNTED],
    );
}

#[test]
fn a_notice_not_yet_in_deliver_is_pending_and_credits_nothing() {
    let (delivery, credits) = Delivery::replay(ReleaseState::Released, [], [level(ReceiptLevel::Received)]);
    assert_eq!((delivery.status(), &credits[..]), (Status::Pending, &[Credit::Unknown][..]));
    assert_eq!(delivery.credited(), &Credited::default());
}

#[test]
fn the_machines_receipt_after_the_persons_takes_nothing_back() {
    check(
        &[level(ReceiptLevel::Seen), level(ReceiptLevel::Received)],
        Status::Seen,
        &[COUNTED, Credit::Duplicate],
    );
}

#[test]
fn a_receipt_with_another_digest_or_attempt_is_never_credited() {
    let wrong_digest = Said { digest: Digest::of(b"other"), ..said(What::Level(ReceiptLevel::Seen)) };
    let wrong_attempt = Said { attempt: 1, ..said(What::Level(ReceiptLevel::Seen)) };
    check(
        &[Happened::Said(wrong_digest), Happened::Said(wrong_attempt)],
        Status::Relayed,
        &[Credit::Mismatched(Mismatch::Digest), Credit::Mismatched(Mismatch::Attempt)],
    );
}

#[test]
fn a_late_receipt_counts_and_is_shown_as_late() {
    let late = Said { stored: at(31), ..said(What::Level(ReceiptLevel::Received)) };
    let on_time = Said { stored: at(30), ..late.clone() };
    check(&[Happened::Said(late)], Status::Received, &[Credit::Counted { late: true }]);
    check(&[Happened::Said(on_time)], Status::Received, &[COUNTED]);
}

#[test]
fn a_failure_ends_the_delivery_and_a_later_success_earns_nothing() {
    let refusal =
        |severity| Happened::Said(said(What::Refusal { code: EndpointRefusalCode::StagingFailed, severity }));
    check(
        &[refusal(Severity::Failure), level(ReceiptLevel::Received)],
        Status::Refused,
        &[COUNTED, Credit::AfterEnd],
    );
    check(
        &[refusal(Severity::Warning), level(ReceiptLevel::Received)],
        Status::Received,
        &[COUNTED, COUNTED],
    );
}

#[test]
fn only_a_withdrawal_can_be_acknowledged_as_one() {
    let acknowledged = || response(ResponseKind::RetractionAcknowledged);
    check(&[acknowledged()], Status::Relayed, &[Credit::Mismatched(Mismatch::Statement)]);
    let (delivery, _) = Delivery::replay(ReleaseState::Retracted, [attempt(0)], [acknowledged()]);
    assert_eq!(delivery.status(), Status::RetractionAcknowledged);
}

#[test]
fn a_later_revision_supersedes_whatever_was_said_of_this_one() {
    let (late, _) = Delivery::replay(
        ReleaseState::Released,
        [attempt(0)],
        [Happened::LaterReceived, level(ReceiptLevel::Received)],
    );
    assert_eq!(late.credited().t6_received, Some(at(1)), "received after it was superseded, but received");
    check(&[Happened::LaterReceived], Status::Superseded, &[COUNTED]);
    check(
        &[level(ReceiptLevel::Seen), Happened::LaterReceived, level(ReceiptLevel::Received)],
        Status::Superseded,
        &[COUNTED, COUNTED, Credit::AfterEnd],
    );
    let superseded = Said { superseded: true, ..said(What::Level(ReceiptLevel::Received)) };
    let (delivery, _) = Delivery::replay(ReleaseState::Released, [attempt(0)], [Happened::Said(superseded)]);
    assert_eq!(delivery.status(), Status::Superseded);
    assert_eq!(delivery.credited().t6_received, Some(at(1)), "it was received all the same");
}

#[test]
fn no_interest_closes_and_cannot_attend_leaves_open() {
    check(&[response(ResponseKind::NoInterest)], Status::ClosedBySubscriber, &[COUNTED]);
    check(&[response(ResponseKind::CannotAttend)], Status::Responded, &[COUNTED]);
}

#[test]
fn the_first_times_and_the_last_response_count() {
    let first = Said {
        t8_answered: Some(at(5)),
        ..said(What::Response { kind: ResponseKind::WillAnswerBy, at: Some(at(60)) })
    };
    let second = Said {
        t6_received: Some(at(9)),
        t8_answered: Some(at(50)),
        ..said(What::Response { kind: ResponseKind::WillTakeCustody, at: Some(at(900)) })
    };
    let (delivery, credits) = Delivery::replay(
        ReleaseState::Released,
        [attempt(0)],
        [Happened::Said(first), Happened::Said(second)],
    );
    assert_eq!(credits, [COUNTED, COUNTED]);
    let credited = delivery.credited();
    assert_eq!((credited.t6_received, credited.t8_answered), (Some(at(1)), Some(at(5))));
    assert_eq!(credited.response, Some((ResponseKind::WillTakeCustody, Some(at(900)))));
}

#[test]
fn an_attempt_that_was_repeated_is_the_same_notice() {
    let again = Said { attempt: 1, ..said(What::Level(ReceiptLevel::Received)) };
    let (delivery, credits) = Delivery::replay(
        ReleaseState::Released,
        [attempt(0), attempt(1), attempt(1)],
        [Happened::Said(again)],
    );
    assert_eq!((delivery.status(), credits), (Status::Received, vec![COUNTED]));
}

/// Every way that exists, written out a second time.
const WAYS: &[(Status, &[Status])] = &[
    (Status::Pending, &[Status::Relayed]),
    (
        Status::Relayed,
        &[
            Status::Received,
            Status::Seen,
            Status::Responded,
            Status::ClosedBySubscriber,
            Status::Refused,
            Status::RetractionAcknowledged,
            Status::ExpiredUnconfirmed,
        ],
    ),
    (
        Status::Received,
        &[
            Status::Seen,
            Status::Responded,
            Status::ClosedBySubscriber,
            Status::Refused,
            Status::RetractionAcknowledged,
        ],
    ),
    (Status::Seen, &[Status::Responded, Status::ClosedBySubscriber, Status::RetractionAcknowledged]),
    (Status::Responded, &[Status::ClosedBySubscriber, Status::RetractionAcknowledged]),
];
/// Lead there from every status that is not terminal.
const ALWAYS: &[Status] = &[Status::ClosedByOutcome, Status::Superseded, Status::DeadLettered];

fn may_go(from: Status, to: Status) -> bool {
    WAYS.iter().any(|(start, ends)| *start == from && (ends.contains(&to) || ALWAYS.contains(&to)))
}

fn any_happening() -> impl Strategy<Value = Happened> {
    let what = prop_oneof![
        prop::sample::select(ReceiptLevel::ALL).prop_map(What::Level),
        prop::sample::select(ResponseKind::ALL).prop_map(|kind| What::Response { kind, at: None }),
        prop::sample::select(Severity::ALL)
            .prop_map(|severity| What::Refusal { code: EndpointRefusalCode::Expired, severity }),
    ];
    let said = (what, 0..2_u32, any::<bool>(), any::<bool>(), 0..100_i64, any::<bool>()).prop_map(
        |(what, attempt, right_digest, superseded, stored, t6)| {
            Happened::Said(Said {
                attempt,
                digest: Digest::of(if right_digest { b"event" } else { b"other" }),
                superseded,
                stored: at(stored),
                t6_received: t6.then(|| at(stored)),
                ..said(what)
            })
        },
    );
    prop_oneof![
        8 => said,
        1 => prop::sample::select(vec![
            Happened::LaterReceived,
            Happened::Outcome,
            Happened::LadderEnded,
            Happened::DeadLettered,
        ]),
    ]
}

proptest! {
    #[test]
    fn no_transition_is_illegal(
        happened in prop::collection::vec(any_happening(), 0..20),
        withdraws in any::<bool>(),
        stored in any::<bool>(),
    ) {
        let state = if withdraws { ReleaseState::Retracted } else { ReleaseState::Released };
        let mut delivery = Delivery::announced(state);
        if stored {
            delivery.sent(attempt(0));
        }
        for what in &happened {
            let before = delivery.clone();
            let credit = delivery.happens(what);
            let (from, to) = (before.status(), delivery.status());
            // A receipt that is superseded at once goes two steps in one.
            let two = Status::ALL.iter().any(|by| may_go(from, *by) && may_go(*by, to));
            prop_assert!(from == to || may_go(from, to) || two, "{} -> {}", from, to);
            if from.is_terminal() {
                prop_assert_eq!(from, to, "nothing follows the end");
            }
            if !matches!(credit, Credit::Counted { .. } | Credit::AfterEnd) {
                prop_assert_eq!(&before, &delivery, "what is not counted changes nothing");
            }
            if let Happened::Said(said) = what
                && (said.attempt != 0 || said.digest != Digest::of(b"event") || !stored)
            {
                prop_assert_eq!(&before, &delivery, "what belongs elsewhere is not credited here");
            }
        }
    }

    #[test]
    fn a_receipt_said_twice_counts_once(what in any_happening()) {
        let (once, _) = Delivery::replay(ReleaseState::Released, [attempt(0)], [what.clone()]);
        let (twice, credits) = Delivery::replay(ReleaseState::Released, [attempt(0)], [what.clone(), what]);
        prop_assert_eq!(once, twice);
        let again_counted = matches!(credits[1], Credit::Counted { .. });
        prop_assert!(!again_counted);
    }
}

#[test]
fn a_terminal_status_admits_no_move() {
    for status in Status::ALL.iter().filter(|status| status.is_terminal()) {
        for &step in Move::ALL {
            assert_eq!(status.after(step), Err(Illegal { from: *status, step }));
        }
    }
}

#[test]
fn the_trail_names_every_move_that_was_allowed_from_where_it_stood() {
    let (delivery, _) = Delivery::replay(
        ReleaseState::Released,
        [attempt(0)],
        [
            level(ReceiptLevel::Seen),
            level(ReceiptLevel::Received),
            Happened::LaterReceived,
            Happened::Outcome,
        ],
    );
    let expected = [
        (Status::Pending, Move::Stored),
        (Status::Relayed, Move::Seen),
        (Status::Seen, Move::Received),
        (Status::Seen, Move::Superseded),
    ];
    assert_eq!(delivery.trail(), expected, "nothing follows the end");
    assert!(expected.iter().all(|way| Status::ways().any(|legal| legal == *way)));
}
