//! What is believed, what is refused with which code, and what cannot even be answered.

use sallyport_proto::{
    envelope::{self, PayloadType},
    provenance::TrafficClass,
    vocabulary::{EndpointRefusalCode as Code, ReleaseState},
};
use sallyport_subscriber::verify::{Judged, Unreadable, judge};

use crate::world::{Case, Key, ORI, OTHER_ORI, World, me};

enum Expect {
    Believed,
    Refused(Code),
    Unreadable(Unreadable),
}

fn check(world: &World, bytes: &[u8], expect: Expect) {
    let judged = judge(bytes, &world.registry(), &me());
    let right = match (&judged, &expect) {
        (Judged::Notice(_), Expect::Believed) => true,
        (Judged::Refused(refused), Expect::Refused(code)) => refused.fault.code() == *code,
        (Judged::Unreadable(why), Expect::Unreadable(expected)) => why == expected,
        _ => false,
    };
    assert!(right, "{judged:?}");
}

#[test]
fn a_notice_with_both_signatures_is_believed() {
    let world = World::new();
    let case = Case::default();
    check(&world, &world.notice(&case), Expect::Believed);
    check(&world, &world.notice(&case.then(ReleaseState::Retracted)), Expect::Believed);
    check(&world, &world.notice(&Case { ori: OTHER_ORI, ..Case::default() }), Expect::Believed);
}

#[test]
fn a_notice_signed_by_nobody_the_registry_lists_is_refused() {
    let world = World::new();
    let stranger = World { jail: Key { pair: clone(&world.jail) }, ..World::new() };
    check(&world, &stranger.notice(&Case::default()), Expect::Refused(Code::UnknownKey));
}

#[test]
fn an_event_signed_by_another_jail_is_refused() {
    let world = World::new();
    // The relay addresses it truthfully, but the head is the other jail's.
    let forged = World {
        jail: Key { pair: clone(&world.other_jail) },
        relay: Key { pair: clone(&world.relay) },
        ..World::new()
    };
    check(&world, &forged.notice(&Case::default()), Expect::Refused(Code::UnknownKey));
}

#[test]
fn a_jail_that_the_registry_does_not_list_is_refused() {
    let mut world = World::new();
    world.lists_other_jail = false;
    let notice = world.notice(&Case { ori: OTHER_ORI, ..Case::default() });
    check(&world, &notice, Expect::Refused(Code::UnknownKey));
}

#[test]
fn no_byte_of_a_notice_can_be_changed() {
    let world = World::new();
    let good = world.notice(&Case::default());
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let judged = judge(&changed, &world.registry(), &me());
        assert!(!matches!(judged, Judged::Notice(_)), "byte {at}");
    }
}

#[test]
fn the_relay_cannot_swap_a_disclosure() {
    let world = World::new();
    let other =
        world.notice_with(&Case::custody(2), |_, disclosure| disclosure.rule_id = "other".into(), |_| {});
    let Judged::Notice(other) = judge(&other, &world.registry(), &me()) else { panic!("believed") };
    let swapped =
        world.notice_with(&Case::default(), |_, _| {}, |n| n.disclosure = other.notice.disclosure.clone());
    check(&world, &swapped, Expect::Refused(Code::BadSignature));
}

#[test]
fn the_relay_cannot_readdress_or_reclassify_an_event() {
    let world = World::new();
    let case = Case::default();
    let check_changed = |bytes: Vec<u8>| check(&world, &bytes, Expect::Refused(Code::PolicyRefused));
    // Another event id than the jail signed.
    check_changed(world.notice_with(&case, |_, _| {}, |n| n.notice_id = Case::default().notice_id()));
    // An exercise shown as the real thing.
    check_changed(world.notice_with(&case, |_, _| {}, |n| n.traffic = TrafficClass::Actual));
    check_changed(world.notice_with(&case, |_, _| {}, |n| n.agreement.version = 9));
    // Of another relay network.
    check_changed(world.notice_with(
        &case,
        |_, _| {},
        |n| n.provenance.instance = "zz-other".parse().unwrap(),
    ));
    check_changed(world.notice_with(
        &case,
        |head, _| head.provenance.instance = "zz-other".parse().unwrap(),
        |_| {},
    ));
    // A disclosure made for somebody else.
    check_changed(world.notice_with(&case, |_, d| d.subscriber_id = "fed-b".parse().unwrap(), |_| {}));
}

#[test]
fn a_notice_to_another_subscriber_is_not_answered() {
    let world = World::new();
    let case = Case::default();
    let id = format!("{ORI}.{}.fed-b", case.event).parse().unwrap();
    let bytes = world.notice_with(&case, |_, _| {}, |n| n.notice_id = id);
    check(&world, &bytes, Expect::Unreadable(Unreadable::NotOurs));
}

#[test]
fn a_newer_schema_is_refused_as_such() {
    let world = World::new();
    let bytes = world.notice_with(&Case::default(), |_, _| {}, |n| n.provenance.schema_version = 99);
    check(&world, &bytes, Expect::Refused(Code::UnsupportedVersion));
    let bytes = world.notice_with(
        &Case::default(),
        |head, _| head.provenance.schema_version = 1,
        |n| {
            n.provenance.schema_version = 1;
        },
    );
    check(&world, &bytes, Expect::Believed);
}

#[test]
fn garbage_is_no_notice() {
    let world = World::new();
    for garbage in [&b""[..], b"hello", &[0xff; 200]] {
        check(&world, garbage, Expect::Unreadable(Unreadable::NotANotice));
    }
    let receipt = envelope::seal(&world.relay.signer(), PayloadType::Receipt, vec![1, 2, 3]);
    check(&world, &receipt, Expect::Unreadable(Unreadable::NotANotice));
    let empty = envelope::seal(&Key::signing().signer(), PayloadType::Notice, vec![]);
    check(&world, &empty, Expect::Unreadable(Unreadable::NoNoticeId));
}

fn clone(key: &Key) -> nkeys::KeyPair {
    nkeys::KeyPair::from_seed(&key.seed()).unwrap()
}
