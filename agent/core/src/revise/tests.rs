//! What leaves after each reading of a custody, and what does not.

use sallyport_proto::{
    event::{UnverifiedEvent, seal_event},
    key::Signer,
    limits::DISCLOSURE_SALT_BYTES,
    provenance::TrafficClass,
    vocabulary::{Certainty, ReleaseReason, ReleaseState},
};

use super::*;
use crate::{
    custody::{Custody, FloorKind, custody_key},
    export::read_export,
    sample::{self, ALLOW, COUNTY, Jail, at, event},
};

/// One custody as the county's export would state it: `door` and `bail` may be empty.
fn row(bail: &str, door: &str, text: &str, hold: u8) -> Custody {
    let header = "booking_id,booking_dt,bail_posted_dt,release_dt,booking_charge_desc,charge_release_dt,\
                  jurisdiction_cd,release_disposition_desc,type,imm_hold";
    let export =
        format!("{header}\nB-17,2026-03-16 10:00:00,{bail},{door},a charge,{door},SUP,{text},x,{hold}\n");
    let now = at("2026-11-21T12:00:00Z");
    let mut reading = read_export(&sample::mapping(COUNTY), export.as_bytes(), now, now).unwrap();
    assert_eq!(reading.refused, []);
    reading.custodies.remove(0)
}

const BAIL: &str = "2026-03-17 13:00:00";
const DOOR: &str = "2026-03-17 14:00:00";

fn on_bail() -> Custody {
    row(BAIL, DOOR, "Bail Bond", 0)
}

/// Each draft as (kind, revision, superseded event, recipients).
type Seen = (DraftKind, u32, Option<u64>, Vec<String>);

fn seen(drafts: &[Draft]) -> Vec<Seen> {
    let number = |id: &sallyport_proto::ids::EventId| u64::from_str_radix(&id.as_str()[24..], 16).unwrap();
    let names = |draft: &Draft| draft.recipients.iter().map(|r| r.subscriber.as_str().to_owned()).collect();
    drafts
        .iter()
        .map(|draft| (draft.kind, draft.revision, draft.supersedes.as_ref().map(number), names(draft)))
        .collect()
}

fn check(
    jail: &mut Jail,
    custody: &Custody,
    expect: &[(DraftKind, u32, Option<u64>, &[&str])],
) -> Vec<Draft> {
    let drafts = jail.read(custody);
    let expect: Vec<Seen> = expect
        .iter()
        .map(|(kind, revision, supersedes, names)| {
            (*kind, *revision, *supersedes, names.iter().map(|name| (*name).to_owned()).collect())
        })
        .collect();
    assert_eq!(seen(&drafts), expect);
    drafts
}

use DraftKind::{Closed, Main, Retracted};
const SUPERVISION: &[&str] = &["demo-supervision"];
const MARSHALS: &[&str] = &["demo-marshals"];

#[test]
fn a_release_firms_up_in_revisions_and_the_same_again_is_nothing() {
    let mut jail = Jail::new(ALLOW);
    let drafts = check(&mut jail, &row(BAIL, "", "", 0), &[(Main, 1, None, SUPERVISION)]);
    assert_eq!(drafts[0].facts.state, ReleaseState::Expected);
    let drafts = check(&mut jail, &on_bail(), &[(Main, 2, Some(0), SUPERVISION)]);
    assert_eq!(
        (drafts[0].facts.state, drafts[0].facts.reason),
        (ReleaseState::Released, ReleaseReason::BondPosted)
    );
    check(&mut jail, &on_bail(), &[]);
}

#[test]
fn a_reading_at_another_time_is_no_news() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    let mut later = on_bail();
    later.observed.at = at("2026-11-23T12:00:00Z");
    check(&mut jail, &later, &[]);
}

#[test]
fn a_record_that_goes_back_is_a_revision_too() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    check(&mut jail, &row(BAIL, "", "", 0), &[(Main, 2, Some(0), SUPERVISION)]);
}

#[test]
fn what_nobody_may_be_told_leaves_nothing_and_takes_no_revision() {
    let mut jail = Jail::new(ALLOW);
    check(&mut jail, &row("", DOOR, "Court Order", 0), &[]);
    assert!(jail.memory.is_empty());
    check(&mut jail, &on_bail(), &[(Main, 1, None, SUPERVISION)]);
}

#[test]
fn a_change_that_no_recipient_sees_is_no_news() {
    let mut jail = Jail::new(ALLOW);
    let chain = row("", DOOR, "WSI Chain", 0);
    jail.read(&chain);
    let mut other = chain.clone();
    other.part.charges = vec![].into();
    other.part.housing = Some("C2".to_owned().into());
    check(&mut jail, &other, &[]);
}

#[test]
fn a_new_recipient_is_told_together_with_all_others() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    let held = row(BAIL, DOOR, "Bail Bond", 1);
    check(&mut jail, &held, &[(Main, 2, Some(0), &["demo-civil", "demo-supervision"])]);
}

#[test]
fn a_request_that_a_disclosure_comes_to_answer_is_news() {
    let twice = ALLOW.replace("flag = \"imm_hold\"\nas_request = true\n", "");
    let mut jail = Jail::new(&format!("{ALLOW}{}", &twice[twice.rfind("[[allow]]").unwrap()..]));
    check(&mut jail, &row("", DOOR, "Court Order", 0), &[(Main, 1, None, &["demo-civil"])]);
    let drafts = check(&mut jail, &row("", DOOR, "Court Order", 1), &[(Main, 2, Some(0), &["demo-civil"])]);
    assert!(drafts[0].recipients[0].request_id.is_some());
}

#[test]
fn who_may_no_longer_be_told_hears_closed_once_and_without_content() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&row(BAIL, "", "", 0));
    let sent_on = row(BAIL, DOOR, "WSI Chain", 0);
    let drafts =
        check(&mut jail, &sent_on, &[(Main, 2, Some(0), MARSHALS), (Closed, 3, Some(0), SUPERVISION)]);
    assert_eq!(drafts[1].facts, HeadFacts::withdrawal(ReleaseState::Closed));
    assert!(drafts[1].recipients[0].part.is_none() && drafts[1].recipients[0].fields.is_empty());
    check(&mut jail, &sent_on, &[]);
    // The next revision follows the main event, not the CLOSED one.
    check(&mut jail, &row("", DOOR, "Police Department", 0), &[(Main, 4, Some(1), MARSHALS)]);
}

#[test]
fn closed_alone_follows_what_they_hold_and_is_not_superseded() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    check(&mut jail, &row("", DOOR, "Court Order", 0), &[(Closed, 2, Some(0), SUPERVISION)]);
    check(&mut jail, &on_bail(), &[(Main, 3, Some(0), SUPERVISION)]);
    assert_eq!(jail.memory.told[&sample::subscriber("demo-supervision")].standing, Standing::Open);
}

#[test]
fn a_retraction_reaches_everyone_who_was_told_whatever_the_rules_say_now() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&row(BAIL, "", "", 0));
    jail.read(&row(BAIL, DOOR, "WSI Chain", 0));
    jail.allow = crate::disclose::AllowList::nobody();
    jail.grants.0.insert("zz-marshals");
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    // Each follows the event its recipients were told last: only that one's routed record names them.
    let drafts =
        check(&mut jail, &wrong, &[(Retracted, 4, Some(2), SUPERVISION), (Retracted, 5, Some(1), MARSHALS)]);
    assert!(drafts.iter().all(|draft| draft.facts == HeadFacts::withdrawal(ReleaseState::Retracted)));
    assert!(drafts.iter().flat_map(|draft| &draft.recipients).all(|recipient| recipient.part.is_none()));
    check(&mut jail, &wrong, &[]);
}

#[test]
fn after_a_retraction_the_fact_can_be_told_anew() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    jail.read(&wrong);
    check(&mut jail, &on_bail(), &[(Main, 3, Some(1), SUPERVISION)]);
}

/// As the outbox has what left, from `first` on; of these are refused for good: `refused`.
fn left(first: u64, drafts: &[Draft], refused: &[u64]) -> Vec<Left> {
    (first..)
        .zip(drafts)
        .map(|(n, draft)| Left { refused: refused.contains(&n), ..Left::of(draft, &event(n)) })
        .collect()
}

#[test]
fn what_was_refused_for_good_is_told_again_and_follows_what_stands() {
    let mut jail = Jail::new(ALLOW);
    let first = jail.read(&row(BAIL, "", "", 0));
    let second = jail.read(&on_bail());
    let all = [left(0, &first, &[]), left(1, &second, &[1])].concat();
    jail.memory.recall(&all);
    assert_eq!(jail.memory.latest_main, Some(event(0)));
    check(&mut jail, &on_bail(), &[(Main, 3, Some(0), SUPERVISION)]);
    // Who knows of nothing that stands is forgotten whole.
    let mut jail = Jail::new(ALLOW);
    let only = jail.read(&on_bail());
    jail.memory.recall(&left(0, &only, &[0]));
    assert!(jail.memory.told.is_empty() && jail.memory.latest_main.is_none());
    check(&mut jail, &on_bail(), &[(Main, 2, None, SUPERVISION)]);
}

#[test]
fn a_retraction_that_was_refused_is_said_again_and_one_that_stands_is_not() {
    let mut jail = Jail::new(ALLOW);
    let first = jail.read(&on_bail());
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    let taken_back = jail.read(&wrong);
    let anew = jail.read(&on_bail());
    let all = |refused: &[u64]| {
        [left(0, &first, refused), left(1, &taken_back, refused), left(2, &anew, refused)].concat()
    };
    let before = jail.memory.clone();
    jail.memory.recall(&all(&[2]));
    check(&mut jail, &wrong, &[]);
    jail.memory = before;
    jail.memory.recall(&all(&[1, 2]));
    check(&mut jail, &wrong, &[(Retracted, 4, Some(0), SUPERVISION)]);
}

#[test]
fn what_was_accepted_after_a_refusal_is_corrected_like_everything_that_was_told() {
    let mut jail = Jail::new(ALLOW);
    let only = jail.read(&on_bail());
    jail.memory.recall(&left(0, &only, &[0]));
    jail.memory.recall(&left(0, &only, &[]));
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    check(&mut jail, &wrong, &[(Retracted, 2, Some(0), SUPERVISION)]);
}

#[test]
fn a_refusal_of_what_a_later_event_said_anew_changes_nothing() {
    let mut jail = Jail::new(ALLOW);
    let first = jail.read(&row(BAIL, "", "", 0));
    let second = jail.read(&on_bail());
    let before = jail.memory.clone();
    jail.memory.recall(&[left(0, &first, &[0]), left(1, &second, &[])].concat());
    assert_eq!(jail.memory, before);
}

#[test]
fn a_retraction_of_what_nobody_was_told_is_nothing() {
    let mut jail = Jail::new(ALLOW);
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    check(&mut jail, &wrong, &[]);
}

#[test]
fn a_record_that_no_longer_shows_a_release_retracts_it() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&row(BAIL, "", "", 0));
    check(&mut jail, &row("", "", "", 0), &[(Retracted, 2, Some(0), SUPERVISION)]);
    check(&mut jail, &row("", "", "", 0), &[]);
}

#[test]
fn a_custody_that_comes_under_the_floor_says_nothing_more_not_even_closed() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&row(BAIL, "", "", 0));
    let mut sealed = on_bail();
    sealed.floor = Some(FloorKind::Sealed);
    check(&mut jail, &sealed, &[]);
    sealed.release = None;
    check(&mut jail, &sealed, &[]);
    // A false fact that was told before is corrected all the same, without content.
    let mut wrong = on_bail();
    wrong.floor = Some(FloorKind::Sealed);
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    check(&mut jail, &wrong, &[(Retracted, 2, Some(0), SUPERVISION)]);
}

#[test]
fn nothing_but_a_retraction_goes_to_an_agreement_past_its_end() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&on_bail());
    jail.grants.0.insert("zz-supervision");
    check(&mut jail, &row(BAIL, DOOR, "WSI Chain", 0), &[(Main, 2, Some(0), MARSHALS)]);
    // Renewed: what it holds is no longer so.
    jail.grants.0.clear();
    check(&mut jail, &row(BAIL, DOOR, "WSI Chain", 0), &[(Closed, 3, Some(0), SUPERVISION)]);
}

#[test]
fn a_withdrawal_to_more_than_an_event_may_have_leaves_in_several() {
    let many: String = (0..150)
        .map(|n| {
            format!("[[allow]]\nsubscriber = \"fed-{n:03}\"\nrule_id = \"r\"\nagreement = \"a\"\npurpose = \"SUPERVISION\"\nfields = []\n")
        })
        .collect();
    let mut jail = Jail::new(&many);
    jail.read(&on_bail());
    jail.allow = sample::allow(&many.replace("fed-", "new-"));
    let drafts = jail.read(&on_bail());
    assert_eq!(drafts.iter().map(|draft| draft.recipients.len()).collect::<Vec<_>>(), [150, 150]);
    let mut wrong = on_bail();
    wrong.release.as_mut().unwrap().state = ReleaseState::Retracted;
    let drafts = jail.read(&wrong);
    assert_eq!(
        drafts.iter().map(|draft| (draft.revision, draft.recipients.len())).collect::<Vec<_>>(),
        [(4, 150), (5, 150)]
    );
}

fn context() -> Context {
    Context {
        instance: "zz-demo".parse().unwrap(),
        build: "sallyport-agent/test".to_owned(),
        ori: sample::ori(),
        jurisdiction: "zz".parse().unwrap(),
        traffic: TrafficClass::Exercise("demo".to_owned()),
        registry_version: 3,
        mapping_version: "county-charge-rows/1".to_owned(),
        backfill: false,
    }
}

fn fresh(salts: usize) -> Fresh {
    let salts = (0..salts).map(|n| [n as u8; DISCLOSURE_SALT_BYTES]).collect();
    Fresh { event_id: event(7), salts, epoch: "epoch-1".to_owned(), seq: 9, now: at("2026-11-21T12:00:01Z") }
}

#[test]
fn an_assembled_draft_seals_into_an_event_that_verifies() {
    let mut jail = Jail::new(ALLOW);
    let drafts = jail.read(&row(BAIL, DOOR, "Bail Bond", 1));
    let (head, disclosures) = assemble(&drafts[0], fresh(2), &context()).unwrap();
    let pair = nkeys::KeyPair::new_service();
    let signer = Signer::from_seed(&pair.seed().unwrap()).unwrap();
    let bytes = seal_event(&signer, head, disclosures);
    let read = UnverifiedEvent::read(&bytes).unwrap().verify(&pair.public_key().parse().unwrap()).unwrap();
    let head = read.head;
    assert_eq!((head.revision, head.seq, head.registry_version), (1, 9, 3));
    assert_eq!((head.certainty, head.reason), (Certainty::Confirmed, ReleaseReason::BondPosted));
    assert_eq!(head.custody_key, custody_key(&sample::secret(), &sample::ori(), "B-17"));
    assert_eq!(head.t3_decided.at, at("2026-11-21T12:00:01Z"));
    assert_eq!(read.disclosures.len(), 2);
    let civil = &read.disclosures[0].0;
    assert!(civil.request_id.is_some() && civil.part.as_ref().unwrap().booked.is_none());
}

#[test]
fn every_disclosure_needs_a_salt_of_its_own() {
    let drafts = Jail::new(ALLOW).read(&on_bail());
    let error = assemble(&drafts[0], fresh(2), &context()).unwrap_err();
    assert_eq!(error, AssembleError::Salts { salts: 2, recipients: 1 });
}

#[test]
fn a_memory_survives_its_store_and_holds_no_person_data() {
    let mut jail = Jail::new(ALLOW);
    jail.read(&row(BAIL, DOOR, "Bail Bond", 1));
    let stored = serde_json::to_string(&jail.memory).unwrap();
    assert!(!stored.contains("B-17") && !stored.contains("a charge") && !stored.contains("Bail"), "{stored}");
    assert_eq!(serde_json::from_str::<Memory>(&stored).unwrap(), jail.memory);
}
