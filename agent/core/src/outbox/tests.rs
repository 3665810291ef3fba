//! Each rule of the machine, one by one.
#![allow(clippy::unwrap_used)]
use sallyport_proto::{time::Moment, vocabulary::SourceClock};

use super::*;

pub(super) const EVENT: &str = "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b";
pub(super) const OTHER_EVENT: &str = "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5c";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(super) fn row() -> Row {
    Row::new(EVENT.parse().unwrap(), Digest::of(b"bytes"), at(0))
}

pub(super) fn acceptance(event: &str, bytes: &[u8]) -> AcceptedEvent {
    let moment = Moment::exact(at(1), SourceClock::Relay);
    AcceptedEvent {
        event_id: event.parse().unwrap(),
        digest: Digest::of(bytes),
        recipients: vec![],
        unsubscribed: vec![],
        registry_version: 1,
        predecessor_missing: false,
        t4_stored: moment,
        t5_routed: moment,
    }
}

pub(super) fn refusal(event: Option<&str>, bytes: &[u8], code: RefusalCode, permanent: bool) -> Refusal {
    let event_id = event.map(|id| id.parse().unwrap());
    Refusal { event_id, digest: Digest::of(bytes), code, permanent, text: String::new() }
}

#[test]
fn a_new_row_is_due_at_once_and_then_after_its_backoff() {
    let mut row = row();
    let first = row.handle_deadline(at(0), 0.0).unwrap();
    assert_eq!(first, format!("{}.1", Digest::of(b"bytes").to_base64url()));
    assert_eq!(row.handle_deadline(at(9), 0.0), None);
    assert!(row.handle_deadline(at(10), 0.0).unwrap().ends_with(".2"));
    assert_eq!(row.poll_deadline(), Some(at(30)));
}

#[test]
fn what_never_reached_the_broker_is_due_again_at_once() {
    let mut row = row();
    row.handle_deadline(at(0), 0.0).unwrap();
    row.handle_unsent(at(2));
    assert!(row.handle_deadline(at(2), 0.0).unwrap().ends_with(".2"));
}

#[test]
fn a_row_sent_by_a_clock_that_was_days_ahead_is_due_when_the_clock_is_right_again() {
    let mut row = row();
    row.handle_deadline(at(5 * 86_400), 0.0).unwrap();
    assert!(row.is_due(at(60)));
    assert!(row.handle_deadline(at(60), 0.0).unwrap().ends_with(".2"));
    assert_eq!(row.poll_deadline(), Some(at(80)));
    assert!(!row.is_due(at(61)));
}

#[test]
fn only_the_acceptance_of_this_event_and_these_bytes_retires_it() {
    let mut row = row();
    assert_eq!(row.handle_acceptance(&acceptance(OTHER_EVENT, b"bytes")), Effect::NotThisRow);
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"other bytes")), Effect::NotThisRow);
    assert!(row.poll_deadline().is_some());
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"bytes")), Effect::Closed);
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"bytes")), Effect::AlreadyClosed);
    assert_eq!(row.poll_deadline(), None);
}

#[test]
fn a_refusal_for_an_unknown_key_or_version_keeps_it_open_even_if_it_claims_to_be_permanent() {
    for code in [RefusalCode::UnknownKey, RefusalCode::UnsupportedVersion] {
        let mut row = row();
        assert_eq!(row.handle_refusal(&refusal(Some(EVENT), b"bytes", code, true)), Effect::StaysOpen);
        assert!(row.poll_deadline().is_some());
    }
}

#[test]
fn a_permanent_refusal_closes_it_also_when_the_event_id_was_unreadable() {
    let mut row = row();
    let refused = refusal(None, b"bytes", RefusalCode::TooLarge, true);
    assert_eq!(row.handle_refusal(&refused), Effect::Closed);
    assert_eq!(row.status, Status::Refused(RefusalCode::TooLarge));
    assert_eq!(row.handle_deadline(at(9_999), 0.0), None);
}

#[test]
fn a_refusal_of_other_bytes_is_not_this_rows() {
    let mut row = row();
    let conflict = RefusalCode::Conflict;
    assert_eq!(row.handle_refusal(&refusal(Some(EVENT), b"other", conflict, true)), Effect::NotThisRow);
    assert_eq!(row.handle_refusal(&refusal(Some(OTHER_EVENT), b"bytes", conflict, true)), Effect::NotThisRow);
}

#[test]
fn an_acceptance_after_a_refusal_wins_and_never_the_other_way() {
    let mut row = row();
    let refused = refusal(Some(EVENT), b"bytes", RefusalCode::BadSignature, true);
    row.handle_refusal(&refused);
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"bytes")), Effect::Closed);
    assert_eq!(row.handle_refusal(&refused), Effect::AlreadyClosed);
    assert_eq!(row.status, Status::Accepted);
}

#[test]
fn an_accepted_row_that_the_relay_lost_is_sent_again_until_a_new_acceptance() {
    let mut row = row();
    row.handle_deadline(at(0), 0.0).unwrap();
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"bytes")), Effect::Closed);
    assert_eq!(row.handle_resend(at(5)), Resend::Reopened);
    assert_eq!(row.handle_deadline(at(5), 0.0).unwrap(), msg_id(&Digest::of(b"bytes"), 2), "a new Msg-Id");
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"others")), Effect::NotThisRow);
    assert!(row.poll_deadline().is_some(), "it stays open");
    assert_eq!(row.handle_acceptance(&acceptance(EVENT, b"bytes")), Effect::Closed);
}

#[test]
fn what_was_refused_for_good_is_not_sent_again_by_a_machine() {
    let mut row = row();
    row.status = Status::Refused(RefusalCode::Expired);
    assert_eq!(row.handle_resend(at(5)), Resend::Refused);
    assert_eq!(row.poll_deadline(), None);
}
