//! Who may be told, and with which fields; above all who may not.

use std::collections::BTreeSet;

use sallyport_proto::{
    disclosure::{Charge, Part},
    redact::Redacted,
    time::Moment,
    vocabulary::{Certainty, ReleaseReason, ReleaseState, SourceClock},
};

use super::*;
use crate::{
    custody::ReleaseFact,
    sample::{self, ALLOW, Jail, at, checked_allow},
};

const WIDE: &str = r#"
[[allow]]
subscriber = "fed-a"
rule_id = "wide"
agreement = "agreement-a"
purpose = "SUPERVISION"
fields = []
"#;

fn custody(state: ReleaseState, reason: ReleaseReason) -> Custody {
    let release = ReleaseFact {
        state,
        reason,
        certainty: Certainty::Confirmed,
        t0: None,
        t1: None,
        t10: None,
        expected: None,
        transferred_to: None,
        inferred_uncertainty_s: 0,
        health: reason == ReleaseReason::TransferHospital,
    };
    Custody {
        booking_number: Redacted::new("B-17".to_owned()),
        observed: Moment::exact(at("2026-11-21T12:00:00Z"), SourceClock::Agent),
        as_of: at("2026-11-21T12:00:00Z"),
        floor: None,
        flags: BTreeSet::new(),
        part: part(release.health.then_some(reason)),
        release: Some(release),
        disagreeing: false,
    }
}

/// Every field is there.
fn part(health_reason: Option<ReleaseReason>) -> Part {
    let text = |text: &str| Some(Redacted::new(text.to_owned()));
    let charge =
        Charge { description: "d".to_owned(), disposition_text: "t".to_owned(), ..Charge::default() };
    Part {
        booking_number: text("B-17"),
        person_name: text("Invented Name"),
        birth_date: text("b"),
        fbi_ucn: text("u"),
        state_id: text("s"),
        alien_number: text("a"),
        disposition_texts: vec!["t".to_owned()].into(),
        charges: vec![charge].into(),
        booked: Some(Moment::exact(at("2026-11-20T12:00:00Z"), SourceClock::JailRecord)),
        housing: text("h"),
        details: BTreeMap::from([("court_date".to_owned(), "c".to_owned())]).into(),
        release_text: text("r"),
        health_reason,
    }
}

/// Whom the demo's list allows.
fn check(custody: &Custody, allowed: &[&str]) -> Decisions {
    let decisions = Jail::new(ALLOW).decide(custody);
    let names: Vec<&str> = decisions.allowed.iter().map(|allowed| allowed.subscriber.as_str()).collect();
    assert_eq!(names, allowed);
    decisions
}

fn check_form(change: (&str, &str), problems: &[&str]) {
    let text = ALLOW.replacen(change.0, change.1, 1);
    assert_ne!(text, ALLOW);
    let found = checked_allow(&text).err().unwrap_or_default();
    assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), problems, "{found:?}");
    assert!(found.iter().all(|problem| problem.line.is_some()), "{found:?}");
}

#[test]
fn a_rule_matches_by_state_reason_and_flag() {
    check(&custody(ReleaseState::Released, ReleaseReason::BondPosted), &["demo-supervision"]);
    check(&custody(ReleaseState::Expected, ReleaseReason::BondPosted), &["demo-supervision"]);
    check(&custody(ReleaseState::Escaped, ReleaseReason::Escape), &["demo-marshals"]);
    check(&custody(ReleaseState::Released, ReleaseReason::CourtOrder), &[]);
    let mut held = custody(ReleaseState::Released, ReleaseReason::CourtOrder);
    held.flags.insert("imm_hold".to_owned());
    check(&held, &["demo-civil"]);
}

#[test]
fn the_floor_comes_before_every_rule() {
    for kind in FloorKind::ALL {
        let mut floored = custody(ReleaseState::Released, ReleaseReason::BondPosted);
        floored.floor = Some(kind);
        floored.flags.insert("imm_hold".to_owned());
        let decisions = check(&floored, &[]);
        assert_eq!(decisions.denied.len(), 3);
        assert!(decisions.denied.values().all(|denial| *denial == Denial::Floor(kind)));
    }
}

#[test]
fn without_a_release_or_a_rule_nobody_is_told() {
    let mut inside = custody(ReleaseState::Released, ReleaseReason::BondPosted);
    inside.release = None;
    let decisions = check(&inside, &[]);
    assert_eq!(decisions.denied[&sample::subscriber("demo-marshals")], Denial::NoRelease);
    let released = custody(ReleaseState::Released, ReleaseReason::BondPosted);
    let decisions = check(&released, &["demo-supervision"]);
    assert_eq!(decisions.denied[&sample::subscriber("demo-marshals")], Denial::NoRule);
    assert!(Jail::new("").decide(&released).allowed.is_empty());
    assert!(AllowList::nobody().subscribers().is_empty());
}

#[test]
fn an_agreement_that_does_not_stand_lets_nothing_through() {
    let mut jail = Jail::new(ALLOW);
    jail.grants.0.insert("zz-supervision");
    let decisions = jail.decide(&custody(ReleaseState::Released, ReleaseReason::BondPosted));
    assert_eq!(decisions.allowed, []);
    assert_eq!(decisions.denied[&sample::subscriber("demo-supervision")], Denial::NoAgreement);
}

#[test]
fn the_first_rule_that_matches_and_stands_decides() {
    let second = WIDE.replace("\"wide\"", "\"narrow\"").replace("agreement-a", "agreement-b");
    let mut jail = Jail::new(&format!("{WIDE}{second}"));
    let released = custody(ReleaseState::Released, ReleaseReason::BondPosted);
    assert_eq!(jail.decide(&released).allowed[0].rule_id, "wide");
    jail.grants.0.insert("agreement-a");
    assert_eq!(jail.decide(&released).allowed[0].rule_id, "narrow");
}

#[test]
fn rules_match_the_real_reason_and_not_the_heads() {
    let hospital = custody(ReleaseState::Transferred, ReleaseReason::TransferHospital);
    let agency = WIDE.replace("fields = []", "reasons = [\"TRANSFER_AGENCY\"]\nfields = []");
    assert!(Jail::new(&agency).decide(&hospital).allowed.is_empty());
    let named = WIDE.replace("fields = []", "reasons = [\"TRANSFER_HOSPITAL\"]\nfields = []");
    assert_eq!(Jail::new(&named).decide(&hospital).allowed.len(), 1);
}

#[test]
fn each_field_of_the_part_leaves_only_under_its_own_name() {
    let full = part(Some(ReleaseReason::TransferHospital));
    let cut_to = |fields: &[&str]| {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        cut(&full, &fields)
    };
    assert_eq!(cut_to(&[]), Part::default());
    assert_eq!(cut_to(&["no_such_field"]), Part::default());
    let mut all: Vec<&str> = PART_FIELDS.to_vec();
    all.push("court_date");
    assert_eq!(cut_to(&all), full);
    for field in &all {
        let without: Vec<&str> = all.iter().copied().filter(|other| other != field).collect();
        assert_ne!(cut_to(&without), full, "{field}");
        assert_ne!(cut_to(&[field]), Part::default(), "{field}");
    }
}

#[test]
fn charges_without_disposition_texts_do_not_tell_how_they_ended() {
    let charges = cut(&part(None), &["charges".to_owned()]);
    assert_eq!(charges.charges.expose()[0].description, "d");
    assert_eq!(charges.charges.expose()[0].disposition_text, "");
}

#[test]
fn an_agreement_narrows_the_fields_and_never_widens_them() {
    struct Narrow;
    impl Grants for Narrow {
        fn grant(
            &self,
            _: &SubscriberId,
            agreement: &sallyport_proto::ids::AgreementName,
            _: Timestamp,
        ) -> Option<Grant> {
            let fields = ["booked", "person_name"].map(str::to_owned).into();
            Some(Grant { agreement: AgreementId { id: agreement.clone(), version: 7 }, fields })
        }
    }
    let custody = custody(ReleaseState::Released, ReleaseReason::BondPosted);
    let (ori, secret, now) = (sample::ori(), sample::secret(), at("2026-11-21T12:00:00Z"));
    let input = Input { custody: &custody, ori: &ori, secret: &secret, grants: &Narrow, now };
    let decisions = decide(&input, &sample::allow(ALLOW));
    let allowed = &decisions.allowed[0];
    assert_eq!((allowed.fields.as_slice(), allowed.agreement.version), (["booked".to_owned()].as_slice(), 7));
    assert_eq!(allowed.part, Part { booked: custody.part.booked, ..Part::default() });
}

#[test]
fn a_request_on_paper_is_named_and_stays_the_same() {
    let mut held = custody(ReleaseState::Expected, ReleaseReason::CourtOrder);
    held.flags.insert("imm_hold".to_owned());
    let request = |custody: &Custody| Jail::new(ALLOW).decide(custody).allowed[0].request_id.clone().unwrap();
    let first = request(&held);
    held.part.booked = None;
    held.release.as_mut().unwrap().state = ReleaseState::Released;
    assert_eq!(request(&held), first);
    let plain = Jail::new(ALLOW).decide(&custody(ReleaseState::Released, ReleaseReason::BondPosted));
    assert_eq!(plain.allowed[0].request_id, None);
}

#[test]
fn a_decision_names_the_version_of_the_list() {
    let released = custody(ReleaseState::Released, ReleaseReason::BondPosted);
    let version = |text: &str| Jail::new(text).decide(&released).allowed[0].pack_version.clone();
    assert_eq!(version(ALLOW), version(&format!("# a comment\n{ALLOW}")));
    assert_ne!(version(ALLOW), version(&ALLOW.replace(", \"TIME_SERVED\"", "")));
}

#[test]
fn an_entry_that_says_something_unknown_is_refused() {
    check_form(("demo-supervision", "Demo Supervision"), &["allow[0].subscriber"]);
    check_form(("\"SUPERVISION\"", "\"CURIOSITY\""), &["allow[0].purpose"]);
    check_form(("\"TIME_SERVED\"", "\"TIME\""), &["allow[0].reasons"]);
    check_form(("\"ESCAPED\"", "\"CLOSED\""), &["allow[1].release_states"]);
    check_form(("\"booked\"", "\"boked\""), &["allow[0].fields"]);
    check_form(("\"booked\"", "\"charges\""), &["allow[0].fields"]);
    check_form(("flag = \"imm_hold\"", "flag = \"hold\""), &["allow[2].flag"]);
    check_form(("flag = \"imm_hold\"\n", ""), &["allow[2].as_request"]);
    check_form(("rule_id = \"demo-allow-1\"", "rule_id = \" \""), &["allow[0].rule_id"]);
}

#[test]
fn every_problem_of_the_list_is_found_at_once() {
    let text = ALLOW.replace("\"TIME_SERVED\"", "\"TIME\"").replace("\"health\"", "\"healt\"");
    let keys: Vec<String> =
        checked_allow(&text).unwrap_err().into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["allow[0].reasons", "allow[2].fields"]);
}

#[test]
fn a_list_names_no_more_subscribers_than_an_event_may_have() {
    let many =
        |count: usize| -> String { (0..count).map(|n| WIDE.replace("fed-a", &format!("fed-{n}"))).collect() };
    assert!(checked_allow(&many(200)).is_ok());
    assert!(checked_allow(&many(201)).is_err());
}
