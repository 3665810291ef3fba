//! A bundle holds, says what it is, and no byte of it can be changed unseen.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_proto::{
    envelope::Digest,
    key::RegistrarKey,
    receipt::Statement,
    registry,
    vocabulary::{ReceiptLevel, RefusalCode},
};
use sallyport_relay_core::fixture::{self, RegistryText, records::Story};

use super::*;
use crate::trace::tests::traced;

fn registry_text() -> RegistryText {
    fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[])
}

fn files() -> RegistryFiles {
    let file = registry_text().text().to_owned();
    let signature = registry::sign(&fixture::registrar(), file.as_bytes());
    RegistryFiles { file, signature }
}

fn pinned() -> RegistrarKey {
    fixture::registrar().keyid().parse().unwrap()
}

/// One event, two recipients, receipts of one, both answers.
fn story() -> Story {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let told = story.publish(1, &["fed-a", "fed-b"], |_| {});
    story.route(&told, &["fed-a", "fed-b"]).accept(&told);
    story.receipt(&told, "fed-a", ReceiptLevel::Received);
    story.receipt(&told, "fed-a", ReceiptLevel::Seen);
    story
}

fn bundle(story: &Story) -> Bundle {
    Bundle::of(&traced(story, 1, &registry_text().parse()), files()).unwrap()
}

/// The first check that does not hold.
fn fails(bundle: &Bundle) -> String {
    let report = verify(&bundle.to_bytes(), &pinned());
    report.checks.into_iter().find(|check| !check.holds).map(|check| check.name).unwrap_or_default()
}

#[test]
fn holds_with_the_registrars_key_alone_and_names_each_check() {
    let bundle = bundle(&story());
    let report = verify(&bundle.to_bytes(), &pinned());
    assert!(report.holds(), "{report}");
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "file",
            "registry",
            "head",
            "disclosure digests",
            "routed record",
            "notice 1",
            "notice 2",
            "person data",
            "receipt 1",
            "receipt 2",
            "answer 1",
            "answer 2",
            "answer 3"
        ]
    );
    assert!(report.to_string().ends_with("the evidence holds"), "{report}");
}

#[test]
fn says_that_it_holds_person_data() {
    let bundle = bundle(&story());
    assert!(bundle.contains_person_data());
    let text = String::from_utf8(bundle.to_bytes()).unwrap();
    assert!(text.contains("HOLDS PERSON DATA") && text.contains("\"contains_person_data\": true"), "{text}");
    let lying = Bundle { contains_person_data: false, ..bundle };
    assert_eq!(fails(&lying), "person data");
}

#[test]
fn another_registrars_key_proves_nothing() {
    let other = nkeys::KeyPair::new_account();
    assert!(other.public_key().parse::<RegistrarKey>().is_err(), "only an O... key is a registrar's");
    let other: RegistrarKey = nkeys::KeyPair::new(nkeys::KeyPairType::Operator).public_key().parse().unwrap();
    let report = verify(&bundle(&story()).to_bytes(), &other);
    assert!(!report.holds());
    assert_eq!(report.checks.last().unwrap().name, "registry");
}

#[test]
fn any_changed_byte_is_seen() {
    let bytes = bundle(&story()).to_bytes();
    // Each byte would take a minute; a step that is prime to base64's groups of four meets every kind of place.
    for at in (0..bytes.len()).step_by(13) {
        for bit in [1, 32] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            assert!(!verify(&changed, &pinned()).holds(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn what_is_moved_exchanged_or_forged_is_seen() {
    let good = bundle(&story());
    let mut elsewhere = Story::of(&["fed-a", "fed-b"]);
    let other = elsewhere.publish(2, &["fed-a", "fed-b"], |_| {});
    elsewhere.route(&other, &["fed-a"]).accept(&other);
    elsewhere.receipt(&other, "fed-a", ReceiptLevel::Seen);
    let other = Bundle::of(&traced(&elsewhere, 2, &registry_text().parse()), files()).unwrap();
    assert!(verify(&other.to_bytes(), &pinned()).holds());

    assert_eq!(fails(&Bundle { head: other.head.clone(), ..good.clone() }), "head");
    assert_eq!(fails(&Bundle { event: other.event.clone(), ..good.clone() }), "head");
    assert_eq!(fails(&Bundle { routed: other.routed.clone(), ..good.clone() }), "routed record");
    assert_eq!(fails(&Bundle { routed: Vec::new(), ..good.clone() }), "notice 1");
    assert_eq!(fails(&Bundle { notices: other.notices.clone(), ..good.clone() }), "notice 1");
    assert_eq!(fails(&Bundle { receipts: other.receipts.clone(), ..good.clone() }), "receipt 1");
    assert_eq!(fails(&Bundle { answers: other.answers.clone(), ..good.clone() }), "answer 1");
    let digest = Digest::of(b"other").to_string();
    assert_eq!(fails(&Bundle { ingest_sha256: digest.clone(), ..good.clone() }), "routed record");
    assert_eq!(fails(&Bundle { disclosures_sha256: vec![digest], ..good.clone() }), "disclosure digests");
    let mut forged = good.clone();
    forged.registry.file.push_str("\n# added later\n");
    assert_eq!(fails(&forged), "registry");
    assert_eq!(fails(&Bundle { about: "all is well".into(), ..good }), "file");
}

#[test]
fn a_receipt_that_does_not_verify_is_no_evidence() {
    let mut story = story();
    let told = story.publish_bytes(story.records[0].payload.clone());
    // fed-b's words with fed-a's name: the signature is fed-b's.
    story.say_with(&told, "fed-b", Statement::Level(ReceiptLevel::Seen), |receipt| {
        receipt.subscriber = "fed-a".parse().unwrap();
        receipt.notices[0].notice_id = sallyport_proto::ids::NoticeId::new(
            &told.head.ori,
            &told.head.event_id,
            &"fed-a".parse().unwrap(),
        );
    });
    let last = story.records.last_mut().unwrap();
    last.subject = "hub.v1.receipt.fed-a.seen".into();
    let trace = traced(&story, 1, &registry_text().parse());
    assert!(!trace.is_verified());
    let bundle = Bundle::of(&trace, files()).unwrap();
    assert_eq!(bundle.receipts.len(), 2, "the two that fed-a signed");
    assert!(verify(&bundle.to_bytes(), &pinned()).holds());
}

#[test]
fn a_refused_event_can_be_proved_too() {
    let mut story = Story::of(&["fed-a"]);
    let told = story.publish(1, &["fed-a"], |_| {});
    story.refuse(&told, RefusalCode::Expired);
    let bundle = bundle(&story);
    assert!(!bundle.contains_person_data());
    let report = verify(&bundle.to_bytes(), &pinned());
    assert!(report.holds() && report.to_string().contains("refusal EXPIRED"), "{report}");
}

#[test]
fn without_a_signed_registry_or_a_head_there_is_no_bundle() {
    let trace = traced(&story(), 1, &registry_text().parse());
    let unsigned = RegistryFiles { signature: String::new(), ..files() };
    assert_eq!(Bundle::of(&trace, unsigned), Err(BundleError::UnsignedRegistry));
    let mut gone = story();
    gone.records.retain(|record| record.stream != Stream::Ingest);
    let trace = traced(&gone, 1, &registry_text().parse());
    assert_eq!(Bundle::of(&trace, files()), Err(BundleError::NoHead(trace.event.clone())));
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    for bytes in [&b""[..], b"{}", b"[]", b"not json"] {
        let report = verify(bytes, &pinned());
        assert!(!report.holds() && report.checks[0].detail.contains("not a bundle"), "{report}");
    }
}

#[test]
fn what_does_not_verify_is_left_out_and_named() {
    assert!(traced(&story(), 1, &registry_text().parse()).left_out().is_empty());
    // By a registry that does not know the agency, nobody could believe its receipts.
    let without = fixture::registry().subscriber("fed-x", &[]);
    let trace = traced(&story(), 1, &without.parse());
    let left_out = trace.left_out();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(left_out.iter().all(|line| line.contains("receipt of fed-a at RECEIPTS")), "{left_out:?}");
    assert!(Bundle::of(&trace, files()).unwrap().receipts.is_empty());
}
