//! What the border refuses: each message that would be valid but for one thing, and the field that is named for it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, dead_code)]

#[path = "golden/values/mod.rs"]
mod values;

use prost::Message;
use sallyport_proto::{
    catchup::{CatchupItem, CatchupResponse},
    field::{FieldError, FieldProblem},
    limits,
    operations::{Availability, Control, Heartbeat},
    outcome::Outcome,
    reply::Reply,
    request::Request,
    signed::SignedError,
    vocabulary::{AvailabilityKind, OutcomeSide},
    wire,
};
use values::{agency, common::*, jail, relay};

/// `change` makes `valid` refused, for `field`.
fn check<W, C>(valid: C, change: impl FnOnce(&mut W), field: &str) -> FieldProblem
where
    W: From<C>,
    C: TryFrom<W, Error = FieldError> + std::fmt::Debug,
{
    let mut wire = W::from(valid);
    change(&mut wire);
    let error = C::try_from(wire).unwrap_err();
    assert_eq!(error.field, field);
    error.problem
}

fn too_long() -> String {
    "x".repeat(limits::TEXT_BYTES_MAX + 1)
}

#[test]
fn a_request_without_an_ask_is_refused_unless_it_cancels() {
    let asks_nothing = |w: &mut wire::Request| w.asks.clear();
    check::<wire::Request, Request>(agency::request_minimal(), asks_nothing, "request.asks");
    let mut cancellation = wire::Request::from(agency::request_full());
    asks_nothing(&mut cancellation);
    assert!(Request::try_from(cancellation).is_ok());
}

#[test]
fn a_request_neither_supersedes_nor_cancels_itself() {
    let full = agency::request_full;
    check(full(), |w: &mut wire::Request| w.supersedes = w.request_id.clone(), "request.supersedes");
    check(full(), |w: &mut wire::Request| w.cancels = w.request_id.clone(), "request.cancels");
}

#[test]
fn a_request_always_expires() {
    check(agency::request_full(), |w: &mut wire::Request| w.expires = None, "request.expires");
}

#[test]
fn sealed_details_are_not_taken_for_absent_ones() {
    let sealed = |w: &mut wire::Request| w.details.as_mut().unwrap().sealed_ciphertext = vec![1];
    let problem = check(agency::request_full(), sealed, "request.details.sealed_ciphertext");
    assert_eq!(problem, FieldProblem::Sealed);
}

#[test]
fn a_sealed_disclosure_is_a_later_builds_and_not_one_without_a_part() {
    let sealed = |w: &mut wire::Disclosure| w.sealed_ciphertext = vec![1];
    let problem = check(jail::disclosure_full(), sealed, "disclosure.sealed_ciphertext");
    assert!(FieldError { field: "disclosure.sealed_ciphertext", problem }.is_newer_schema());
}

#[test]
fn a_decline_names_rule_and_citation() {
    check(jail::reply_full(), |w: &mut wire::Reply| w.rule_id.clear(), "reply.rule_id");
    check(jail::reply_full(), |w: &mut wire::Reply| w.citation.clear(), "reply.citation");
}

#[test]
fn an_outcome_concerns_a_custody_a_notice_or_a_request() {
    let nothing = |w: &mut wire::Outcome| w.request_id.clear();
    check(jail::outcome_minimal(), nothing, "outcome.custody_key");
}

#[test]
fn an_outcome_is_never_credited_to_another_notice() {
    let full = jail::outcome_full;
    check(full(), |w: &mut wire::Outcome| w.ori = next_ori().into(), "outcome.ori");
    let other = |w: &mut wire::Outcome| w.subscriber_id = other_subscriber().into();
    check(full(), other, "outcome.subscriber_id");
    check(full(), |w: &mut wire::Outcome| w.event_digest.clear(), "outcome.event_digest");
    check(full(), |w: &mut wire::Outcome| w.notice_id.clear(), "outcome.notice_id");
}

#[test]
fn a_subscribers_outcome_names_it_and_states_no_times_of_the_jail() {
    let unnamed = |w: &mut wire::Outcome| w.subscriber_id.clear();
    check(jail::outcome_minimal(), unnamed, "outcome.subscriber_id");
    let side = |w: &mut wire::Outcome| w.side = OutcomeSide::Subscriber.into();
    check(jail::outcome_full(), side, "outcome.way_back");
}

#[test]
fn an_outcome_declined_by_law_names_the_rule() {
    check(jail::outcome_full(), |w: &mut wire::Outcome| w.rule_id.clear(), "outcome.rule_id");
}

#[test]
fn an_availability_diverts_exactly_when_it_says_so_and_to_somebody_else() {
    let full = agency::availability_full;
    check(full(), |w: &mut wire::Availability| w.divert_to.clear(), "availability.divert_to");
    let to_itself = |w: &mut wire::Availability| w.divert_to = w.subscriber_id.clone();
    check(full(), to_itself, "availability.divert_to");
    let closed = |w: &mut wire::Availability| w.kind = AvailabilityKind::DeskClosed.into();
    check(full(), closed, "availability.divert_to");
}

#[test]
fn an_availability_does_not_end_before_it_starts() {
    let swapped =
        |w: &mut wire::Availability| std::mem::swap(w.start.as_mut().unwrap(), w.end.as_mut().unwrap());
    check(agency::availability_full(), swapped, "availability.end");
}

#[test]
fn a_missed_deadline_names_notice_and_level() {
    let full = relay::control_full;
    check(full(), |w: &mut wire::Control| w.notice_id.clear(), "control.notice_id");
    check(full(), |w: &mut wire::Control| w.due = None, "control.due");
    let unknown = |w: &mut wire::Control| w.due.as_mut().unwrap().level = "relayed".into();
    check(full(), unknown, "control.due.level");
}

#[test]
fn a_decision_is_about_one_notice_and_its_effect_can_be_recognised() {
    let full = relay::control_full;
    check(full(), |w: &mut wire::Control| w.effect_id.clear(), "control.effect_id");
    let other = |w: &mut wire::Control| w.subscriber_id = other_subscriber().into();
    check(full(), other, "control.subscriber_id");
    check(full(), |w: &mut wire::Control| w.ori = next_ori().into(), "control.ori");
    let wild = |w: &mut wire::Control| w.decision_id = "seen.*".into();
    check(full(), wild, "control.decision_id");
}

#[test]
fn a_heartbeat_tells_an_empty_outbox_from_an_unknown_age() {
    let full = jail::heartbeat_full;
    check(full(), |w: &mut wire::Heartbeat| w.outbox_oldest = None, "heartbeat.outbox_oldest");
    check(full(), |w: &mut wire::Heartbeat| w.outbox_depth = 0, "heartbeat.outbox_oldest");
}

#[test]
fn a_clock_offset_without_a_bound_is_refused() {
    check(jail::heartbeat_full(), |w: &mut wire::Heartbeat| w.clock_bound_ms = 0, "heartbeat.clock_bound_ms");
}

#[test]
fn a_catchup_without_content_is_refused() {
    let answered = || relay::catchup_response(relay::catchup_answer());
    check(answered(), |w: &mut wire::CatchupResponse| w.item = None, "catchup_response.item");
    let empty = CatchupItem::Answer { sequence: 1, answer: Vec::new() };
    let empty = relay::catchup_response(empty).encode();
    assert_eq!(
        CatchupResponse::decode(&empty).unwrap_err(),
        FieldError::missing("catchup_response.answer.answer")
    );
}

#[test]
fn texts_have_a_limit() {
    check(jail::reply_full(), |w: &mut wire::Reply| w.text = too_long(), "reply.text");
    check(jail::outcome_full(), |w: &mut wire::Outcome| w.text = too_long(), "outcome.text");
    check(agency::availability_full(), |w: &mut wire::Availability| w.text = too_long(), "availability.text");
    check(relay::control_full(), |w: &mut wire::Control| w.why = too_long(), "control.why");
    check(relay::parked_full(), |w: &mut wire::Parked| w.text = too_long(), "parked.text");
    let error = relay::catchup_response(CatchupItem::Error(too_long())).encode();
    assert_eq!(CatchupResponse::decode(&error).unwrap_err().field, "catchup_response.error.text");
}

#[test]
fn a_newer_schema_is_said_to_be_one() {
    fn newer(provenance: &mut Option<wire::Provenance>) {
        provenance.as_mut().unwrap().schema_version = 2;
    }
    let problems = [
        check(agency::request_full(), |w: &mut wire::Request| newer(&mut w.provenance), NEWER),
        check(jail::reply_full(), |w: &mut wire::Reply| newer(&mut w.provenance), NEWER),
        check(jail::outcome_full(), |w: &mut wire::Outcome| newer(&mut w.provenance), NEWER),
        check(jail::heartbeat_full(), |w: &mut wire::Heartbeat| newer(&mut w.provenance), NEWER),
        check(agency::availability_full(), |w: &mut wire::Availability| newer(&mut w.provenance), NEWER),
        check(relay::control_full(), |w: &mut wire::Control| newer(&mut w.provenance), NEWER),
        check(relay::subscriber_head_full(), |w: &mut wire::SubscriberHead| newer(&mut w.provenance), NEWER),
        check(relay::parked_full(), |w: &mut wire::Parked| newer(&mut w.provenance), NEWER),
    ];
    assert!(problems.iter().all(|problem| *problem == FieldProblem::NewerSchema(2)));
}

const NEWER: &str = "provenance.schema_version";

#[test]
fn a_message_signed_by_somebody_else_is_not_opened() {
    let (facility, relay_node, subscriber) = (facility_key(), relay_key(), subscriber_key());
    let unknown = |error: SignedError| {
        assert!(matches!(error, SignedError::Open(sallyport_proto::envelope::OpenError::UnknownKey)));
    };
    let request = agency::request_full().seal(&facility.signer);
    unknown(Request::open(&request, &subscriber.public).unwrap_err());
    assert_eq!(Request::claimed(&request).unwrap(), agency::request_full());
    let heartbeat = jail::heartbeat_full().seal(&subscriber.signer);
    unknown(Heartbeat::open(&heartbeat, &facility.public).unwrap_err());
    let control = relay::control_full().seal(&facility.signer);
    unknown(Control::open(&control, [&relay_node.public]).unwrap_err());
    let availability = agency::availability_full().seal(&facility.signer);
    unknown(Availability::open(&availability, &subscriber.public).unwrap_err());
    let outcome = jail::outcome_minimal().seal(&facility.signer);
    unknown(Outcome::open(&outcome, &subscriber.public).unwrap_err());
}

#[test]
fn what_a_jail_publishes_beside_events_is_an_ingest_message_too() {
    let facility = facility_key();
    let reply = wire::Ingest::decode(&*jail::reply_full().seal(&facility.signer)).unwrap().item;
    let Some(wire::ingest::Item::Reply(envelope)) = reply else { panic!("not a reply") };
    assert_eq!(Reply::open(&envelope, &facility.public).unwrap(), jail::reply_full());
    let outcome =
        wire::Ingest::decode(&*jail::outcome_full().seal_for_ingest(&facility.signer)).unwrap().item;
    let Some(wire::ingest::Item::Outcome(envelope)) = outcome else { panic!("not an outcome") };
    assert_eq!(Outcome::open(&envelope, &facility.public).unwrap(), jail::outcome_full());
}
