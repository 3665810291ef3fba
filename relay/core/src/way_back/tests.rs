//! Whose receipts may wait for a later registry.
#![allow(clippy::unwrap_used)]

use sallyport_proto::{
    envelope::{PayloadType, seal},
    ids::NoticeId,
    receipt::Statement,
    vocabulary::ReceiptLevel,
};

use super::*;
use crate::{
    fixture::{
        self,
        records::{Stored, Story},
    },
    ledger::Stream,
};

#[test]
fn a_key_that_somebody_else_has_is_told_from_a_new_one() {
    let registry = fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[]).parse();
    let signed = |signer: &sallyport_proto::key::Signer| {
        names_a_listed_key(&seal(signer, PayloadType::Receipt, Vec::new()), &registry)
    };
    let new = nkeys::KeyPair::new_service().seed().unwrap();
    assert!(!signed(&sallyport_proto::key::Signer::from_seed(&new).unwrap()), "nobody has it yet");
    let of_a_node = fixture::signer(1);
    let listed = registry.relay_keys().any(|key| key.as_str() == of_a_node.keyid())
        || registry.facilities.values().any(|f| f.signing_key.as_str() == of_a_node.keyid())
        || registry.subscribers.values().any(|s| s.signing_key.as_str() == of_a_node.keyid());
    assert!(listed, "the fixture lists it");
    assert!(signed(&of_a_node));
    assert!(!names_a_listed_key(b"garbage", &registry));
}

#[test]
fn only_what_a_registry_may_yet_place_waits() {
    let unknown = NotPlaced::Receipt(ReceiptError::Open(OpenError::UnknownKey));
    let bad = NotPlaced::Receipt(ReceiptError::Open(OpenError::BadSignature));
    assert!(unknown.may_pass_later() && !bad.may_pass_later());
    assert!(!NotPlaced::OthersKey.may_pass_later());
    assert!(!NotPlaced::TooLarge { bytes: 1 }.may_pass_later());
}

#[test]
fn a_receipt_goes_to_the_jail_it_names_and_only_for_its_own_author() {
    let registry = fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[]).parse();
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let told = story.publish(1, &["fed-a", "fed-b"], |_| {});
    let mut said = |change: &dyn Fn(&mut Receipt)| {
        let level = Statement::Level(ReceiptLevel::Received);
        let sequence = story.say_with(&told, "fed-a", level, |receipt| {
            receipt.t6_received = Some(receipt.published);
            change(receipt);
        });
        let held = |r: &&Stored| r.stream == Stream::Receipts && r.sequence == sequence;
        story.records.iter().find(held).unwrap().payload.clone()
    };
    let (a, b, stranger) = ("fed-a".parse().unwrap(), "fed-b".parse().unwrap(), "fed-c".parse().unwrap());
    let good = said(&|_| {});
    assert_eq!(place(&good, &a, &registry).unwrap(), (told.head.jurisdiction.clone(), told.head.ori.clone()));
    assert!(matches!(place(&good, &b, &registry), Err(NotPlaced::OthersKey)));
    let unknown = place(&good, &stranger, &registry).unwrap_err();
    assert!(matches!(unknown, NotPlaced::UnknownSubscriber(_)) && unknown.may_pass_later());
    let for_another = said(&|receipt| {
        receipt.subscriber = "fed-b".parse().unwrap();
        receipt.notices[0].notice_id = NoticeId::new(&receipt.ori, &told.head.event_id, &receipt.subscriber);
    });
    assert!(matches!(place(&for_another, &a, &registry), Err(NotPlaced::OtherSubscriber { .. })));
    let elsewhere = said(&|receipt| {
        receipt.ori = "zz0090000".parse().unwrap();
        receipt.notices[0].notice_id = NoticeId::new(&receipt.ori, &told.head.event_id, &receipt.subscriber);
    });
    let elsewhere = place(&elsewhere, &a, &registry).unwrap_err();
    assert!(matches!(elsewhere, NotPlaced::UnknownFacility(_)) && elsewhere.may_pass_later(), "{elsewhere}");
    let long = vec![0; limits::RECEIPT_MESSAGE_BYTES_MAX + 1];
    assert!(matches!(place(&long, &a, &registry), Err(NotPlaced::TooLarge { .. })));
    assert!(!place(b"garbage", &a, &registry).unwrap_err().may_pass_later());
}
