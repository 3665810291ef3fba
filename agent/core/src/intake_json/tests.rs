//! What a caller's event says, and every problem of a bad one.

use serde_json::{Value, json};

use super::*;
use crate::{
    custody::FloorKind,
    sample::{self, at},
};
use sallyport_proto::vocabulary::{Certainty, ReleaseReason, ReleaseState};

fn minimal() -> Value {
    json!({"key": "k-1", "booking_number": " B-17 ", "release_state": "RELEASED"})
}

/// `change` is laid over the minimal event; the problems are named by their keys, in order.
fn check(change: &Value, problems: &[&str]) {
    let mut event = minimal();
    for (key, value) in change.as_object().unwrap() {
        event[key] = value.clone();
    }
    let found = parse_value(&event).err().unwrap_or_default();
    assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), problems, "{found:?}");
}

fn custody(change: &Value) -> Custody {
    let mut event = minimal();
    for (key, value) in change.as_object().unwrap() {
        event[key] = value.clone();
    }
    parse_value(&event).unwrap().into_custody(at("2026-11-21T12:00:00Z"))
}

#[test]
fn three_keys_are_enough_and_what_is_left_out_is_unknown() {
    let event = parse(&minimal().to_string()).unwrap();
    assert_eq!(event.key, "k-1");
    let custody = event.into_custody(at("2026-11-21T12:00:00Z"));
    let release = custody.release.unwrap();
    assert_eq!(custody.booking_number.expose(), "B-17");
    assert_eq!(custody.observed.at, at("2026-11-21T12:00:00Z"));
    assert_eq!((release.state, release.reason), (ReleaseState::Released, ReleaseReason::Unknown));
    assert_eq!((release.certainty, release.t0, release.t10), (Certainty::Confirmed, None, None));
}

#[test]
fn a_full_event_lands_in_its_places() {
    let custody = custody(&json!({
        "release_state": "TRANSFERRED", "reason": "TRANSFER_AGENCY", "certainty": "INFERRED", "uncertainty_s": 600,
        "trigger_at": "2026-11-21T20:14:00-07:00", "entered_at": "2026-11-21T20:20:00-07:00",
        "released_at": "2026-11-21T21:00:00-07:00", "transferred_to": "zz0020000",
        "flags": ["imm_hold"], "floor": "juvenile",
        "fields": {"booked": "2026-11-20T01:00:00Z", "person_name": "Invented Name", "court_date": "tomorrow"},
        "charges": [{"description": "b", "disposition": "Bail"}, {"description": "a", "court": "SUP"}],
    }));
    let release = custody.release.unwrap();
    assert_eq!(release.t0.unwrap().at, at("2026-11-22T03:14:00Z"));
    assert_eq!(release.t1.unwrap().at, at("2026-11-22T03:20:00Z"));
    let door = release.t10.unwrap();
    assert_eq!((door.at, door.uncertainty_s), (at("2026-11-22T04:00:00Z"), 600));
    assert_eq!(release.inferred_uncertainty_s, 600);
    assert_eq!(release.transferred_to.unwrap(), "zz0020000".parse().unwrap());
    assert_eq!(custody.floor, Some(FloorKind::Juvenile));
    assert!(custody.flags.contains("imm_hold"));
    let part = custody.part;
    assert_eq!(part.person_name.unwrap().expose(), "Invented Name");
    assert_eq!(part.details.expose()["court_date"], "tomorrow");
    let charges: Vec<&str> = part.charges.expose().iter().map(|charge| charge.description.as_str()).collect();
    assert_eq!((charges, part.disposition_texts.expose().len()), (vec!["a", "b"], 1));
}

#[test]
fn what_lies_ahead_is_likely_unless_the_caller_is_surer() {
    let ahead = json!({"release_state": "SCHEDULED", "expected": {"earliest": "2026-11-22T00:00:00Z"}});
    let release = custody(&ahead).release.unwrap();
    assert_eq!(release.certainty, Certainty::Likely);
    assert!(release.expected.unwrap().latest.is_none());
}

#[test]
fn every_problem_is_listed_at_once() {
    let event = json!({"release_state": "FREE", "reason": "LUCK", "released_at": "2026-11-21 20:14", "flags": "x",
        "charges": [{"desc": "x"}, 3], "fields": {"charges": "y", "housing": 4}, "expected": {"until": "z"}, "nmae": 1});
    let problems = parse_value(&event).unwrap_err();
    let mut keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "booking_number",
        "charges[0].desc",
        "charges[1]",
        "expected.until",
        "fields.charges",
        "fields.housing",
        "flags",
        "key",
        "nmae",
        "reason",
        "release_state",
        "released_at",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_time_without_an_offset_is_no_time() {
    check(&json!({"released_at": "2026-11-21T20:14:00"}), &["released_at"]);
    check(&json!({"released_at": "2026-11-21T20:14:00Z"}), &[]);
}

#[test]
fn contradictions_are_refused() {
    check(&json!({"release_state": "CLOSED"}), &["release_state"]);
    check(&json!({"release_state": "EXPECTED", "released_at": "2026-11-21T20:14:00Z"}), &["released_at"]);
    check(&json!({"transferred_to": "zz0020000"}), &["transferred_to"]);
    let window = json!({"earliest": "2026-11-22T00:00:00Z", "latest": "2026-11-21T00:00:00Z"});
    check(&json!({"release_state": "SCHEDULED", "expected": window}), &["expected.latest"]);
    check(&json!({"booking_number": "  "}), &["booking_number"]);
}

#[test]
fn the_words_for_a_health_release_do_not_enter() {
    let custody = custody(&json!({"release_state": "TRANSFERRED", "reason": "TRANSFER_HOSPITAL",
        "fields": {"release_text": "A Hospital"}, "charges": [{"disposition": "A Hospital"}]}));
    assert_eq!(custody.release.as_ref().unwrap().head_reason(), ReleaseReason::TransferAgency);
    assert_eq!(custody.part.release_text, None);
    assert!(custody.part.disposition_texts.expose().is_empty());
    assert!(custody.part.charges.expose().iter().all(|charge| charge.disposition_text.is_empty()));
    assert_eq!(custody.part.health_reason, Some(ReleaseReason::TransferHospital));
}

#[test]
fn no_problem_repeats_a_value() {
    let event = json!({"key": "k", "booking_number": ["Invented Name"], "release_state": "Invented Name",
        "reason": "Invented Name", "fields": {"person_name": ["Invented Name"]}, "transferred_to": "Invented Name"});
    let problems = parse_value(&event).unwrap_err();
    assert!(problems.len() >= 5 && !format!("{problems:?}").contains("Invented"), "{problems:?}");
    let problems = parse("{\"Invented Name").unwrap_err();
    assert!(!format!("{problems:?}").contains("Invented"), "{problems:?}");
}

#[test]
fn a_retraction_carries_no_facts_of_its_own() {
    let mut jail = sample::Jail::new(sample::ALLOW);
    jail.read(&custody(&json!({"reason": "BOND_POSTED", "released_at": "2026-11-21T20:14:00Z"})));
    let drafts = jail.read(&custody(&json!({"release_state": "RETRACTED", "reason": "ERRONEOUS_RELEASE"})));
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].facts, crate::revise::HeadFacts::withdrawal(ReleaseState::Retracted));
}
