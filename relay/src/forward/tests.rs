//! Whose receipts may wait for a later registry.
#![allow(clippy::unwrap_used)]

use sallyport_proto::envelope::{PayloadType, seal};
use sallyport_relay_core::fixture;

use super::*;

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
    let unknown = NotForwarded::Receipt(ReceiptError::Open(OpenError::UnknownKey));
    let bad = NotForwarded::Receipt(ReceiptError::Open(OpenError::BadSignature));
    assert!(unknown.may_pass_later() && !bad.may_pass_later());
    assert!(!NotForwarded::OthersKey.may_pass_later());
    assert!(!NotForwarded::TooLarge { bytes: 1 }.may_pass_later());
}
