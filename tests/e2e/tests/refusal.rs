//! What is not a good event of the facility on whose subject it came: refused with its code, parked as it came, and no
//! hindrance to what is good.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nkeys::KeyPair;
use prost::Message;
use sallyport_e2e::{FakeJail, Sealed, World, jail::accepted, patience::SOON};
use sallyport_proto::{
    answer::Body,
    envelope::Digest,
    key::Signer,
    limits,
    time::Moment,
    vocabulary::{Purpose, RefusalCode, SourceClock},
    wire,
};

const A: &str = "zz0010000";
const B: &str = "zz0020000";
const TO: &[&str] = &["demo-supervision"];

/// Takes the head's envelope out, lets `change` have its way with it, and puts it back.
fn with_envelope(event: &Sealed, change: impl FnOnce(&mut wire::Envelope)) -> Vec<u8> {
    with_event(event, |event| {
        let mut envelope = wire::Envelope::decode(&*event.head).unwrap();
        change(&mut envelope);
        event.head = envelope.encode_to_vec();
    })
}

fn with_event(event: &Sealed, change: impl FnOnce(&mut wire::ReleaseEvent)) -> Vec<u8> {
    let mut ingest = wire::Ingest::decode(&*event.bytes).unwrap();
    let Some(wire::ingest::Item::ReleaseEvent(inner)) = &mut ingest.item else { panic!("an event") };
    change(inner);
    ingest.encode_to_vec()
}

fn stranger() -> Signer {
    Signer::from_seed(&KeyPair::new_service().seed().unwrap()).unwrap()
}

/// Everything a facility could publish on its own subject and should not.
fn bad_messages(jail: &FakeJail, other: &FakeJail) -> Vec<(&'static str, Vec<u8>, RefusalCode)> {
    let good = || jail.event(TO).unwrap();
    let mut of_other_instance = jail.draft(TO).unwrap();
    of_other_instance.head.provenance.instance = "another-network".parse().unwrap();
    let mut newer = jail.draft(TO).unwrap();
    newer.head.provenance.schema_version = 99;
    let mut old = jail.draft(TO).unwrap();
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24 * 29);
    old.head.t2_observed = Moment::exact(long_ago, SourceClock::Agent);
    let mut large_head = jail.draft(TO).unwrap();
    large_head.head.mapping_version = "m".repeat(limits::HEAD_BYTES_MAX);
    let mut crowd = jail.draft(&[]).unwrap();
    for n in 0..=limits::RECIPIENTS_MAX {
        crowd = crowd.tells_for(&format!("agency-{n}"), Purpose::Supervision).unwrap();
    }
    let sealed = |draft: sallyport_e2e::Draft| draft.seal(&jail.signer).unwrap().bytes;
    vec![
        ("unsigned", with_envelope(&good(), |e| e.signatures.clear()), RefusalCode::BadEnvelope),
        (
            "wrongly signed",
            with_envelope(&good(), |e| e.signatures[0].sig[7] ^= 1),
            RefusalCode::BadSignature,
        ),
        (
            "changed after it was signed",
            with_envelope(&good(), |e| {
                let mut head = wire::ReleaseHead::decode(&*e.payload).unwrap();
                head.seq += 1;
                e.payload = head.encode_to_vec();
            }),
            RefusalCode::BadSignature,
        ),
        (
            "signed with a key nobody lists",
            jail.draft(TO).unwrap().seal(&stranger()).unwrap().bytes,
            RefusalCode::UnknownKey,
        ),
        ("of another facility", other.event(TO).unwrap().bytes, RefusalCode::WrongSubject),
        ("disclosure exchanged", with_event(&good(), |e| e.disclosures[0][3] ^= 1), RefusalCode::BadEnvelope),
        ("disclosure left out", with_event(&good(), |e| e.disclosures.clear()), RefusalCode::BadEnvelope),
        ("of another instance", sealed(of_other_instance), RefusalCode::BadEnvelope),
        ("of a newer schema", sealed(newer), RefusalCode::UnsupportedVersion),
        ("observed four weeks ago", sealed(old), RefusalCode::Expired),
        ("with too large a head", sealed(large_head), RefusalCode::TooLarge),
        ("to too many", sealed(crowd), RefusalCode::TooManyRecipients),
        ("garbage", b"\xff\x00 this is no message \x80".to_vec(), RefusalCode::BadEnvelope),
        ("empty", Vec::new(), RefusalCode::BadEnvelope),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_message_is_refused_with_its_code_and_parked_as_it_came_while_good_ones_go_on() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let other = world.jail(B).await.unwrap();
    let bad = bad_messages(&jail, &other);
    let mut good = Vec::new();
    for (_, bytes, _) in &bad {
        jail.publish(bytes).await.unwrap();
        let event = jail.event(TO).unwrap();
        jail.publish(&event.bytes).await.unwrap();
        good.push(event);
    }
    for event in &good {
        jail.acceptance(event).await.unwrap();
    }
    for (what, bytes, code) in &bad {
        let refusal = jail.refusal(bytes).await.unwrap();
        assert_eq!(refusal.code, *code, "{what}: {}", refusal.text);
        let may_pass_later = matches!(code, RefusalCode::UnknownKey | RefusalCode::UnsupportedVersion);
        assert_eq!(refusal.permanent, !may_pass_later, "{what}");
    }

    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    let parked = hub.parked(&jail.ori).await.unwrap();
    assert_eq!(parked.len(), bad.len(), "each once");
    for (what, bytes, code) in &bad {
        let (subject, record) = parked
            .iter()
            .find(|(_, record)| record.original == *bytes)
            .unwrap_or_else(|| panic!("{what} is not parked as it came"));
        assert_eq!(record.reason, code.as_str(), "{what}");
        assert_eq!(record.stream, "INGEST", "{what}");
        assert!(record.stream_sequence > 0 && record.text.is_some(), "{what}");
        assert_eq!(*subject, format!("hub.v1.parked.{}.zz.{A}", code.as_str().to_ascii_lowercase()));
    }
    let (_, metrics) = world.relay_page("a", "/metrics").unwrap();
    for code in bad.iter().map(|(_, _, code)| code) {
        let count = bad.iter().filter(|(_, _, other)| other == code).count();
        let refused = format!("sallyport_relay_refused_events_total{{ori=\"{A}\",code=\"{code}\"}} {count}");
        assert!(metrics.contains(&refused), "{refused} is not in\n{metrics}");
        let reason = code.as_str().to_ascii_lowercase();
        let parked = format!("sallyport_relay_parked_messages_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&parked), "{parked} is not in\n{metrics}");
    }
    assert_eq!(hub.routed().await.unwrap().len(), good.len(), "nothing bad was routed");
    assert_eq!(hub.notices("*").await.unwrap().len(), good.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_not_even_stored() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let too_large = vec![b'x'; limits::INGEST_MESSAGE_BYTES_MAX + 1];
    assert!(jail.publish(&too_large).await.is_err(), "the server refuses it");
    let event = jail.event(TO).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.acceptance(&event).await.unwrap();
    assert_eq!(world.hub().await.unwrap().count("INGEST").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_event_that_got_under_another_facilitys_subject_is_refused_to_that_facility() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut here = world.jail(A).await.unwrap();
    let mut there = world.jail(B).await.unwrap();
    let event = here.event(TO).unwrap();
    // Accounts keep jails from it: whoever can do this is inside the hub.
    let hub = world.hub().await.unwrap();
    let subject = format!("ingest.v1.release.zz.{B}");
    hub.login.js.publish(subject, event.bytes.clone().into()).await.unwrap().await.unwrap();

    let refusal = there.refusal(&event.bytes).await.unwrap();
    assert_eq!(refusal.code, RefusalCode::WrongSubject);
    assert!(refusal.permanent);
    let parked = hub.parked(&there.ori).await.unwrap();
    assert_eq!(parked.len(), 1, "filed under the subject it came on, not under what it claims");
    assert_eq!(parked[0].1.original, event.bytes);
    assert!(hub.notices_of(&event.event_id).await.unwrap().is_empty());

    // It spoils nothing for the facility whose event it is.
    here.publish(&event.bytes).await.unwrap();
    here.acceptance(&event).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_refused_for_an_unknown_key_is_accepted_once_the_registry_lists_the_key() {
    let mut world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let new_key = world.instance.keys().replace_signing(A).unwrap();
    jail.signer = Signer::from_seed(&new_key.seed().unwrap()).unwrap();
    let event = jail.event(TO).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    let refusal = jail.refusal(&event.bytes).await.unwrap();
    assert_eq!(refusal.code, RefusalCode::UnknownKey);
    assert!(!refusal.permanent, "the same bytes may pass later");
    assert_eq!(refusal.event_id, Some(event.event_id.clone()));

    world.instance.rewrite_registry().unwrap();
    // As an agent does: the same bytes under a new Msg-Id, until they are accepted.
    let mut tries = 0;
    let accepted = loop {
        tries += 1;
        assert!(tries < 30, "never accepted: {}", world.logs());
        jail.publish(&event.bytes).await.unwrap();
        let second = Duration::from_secs(1);
        if let Ok(accepted) = jail.acceptance_within(&event, second).await {
            break accepted;
        }
    };
    assert_eq!(accepted.registry_version, world.instance.version);
    let notices = world.hub().await.unwrap().notices_of(&event.event_id).await.unwrap();
    assert_eq!(notices.len(), 1);
    // The subscriber finds the new key in the registry, too.
    let taken = world.agency(TO[0]).await.unwrap().take_and_settle().await.unwrap();
    assert_eq!(taken.head.event_id, event.event_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_garbage_from_one_jail_leaves_the_other_jail_its_answers() {
    const FLOOD: usize = 200;
    let world = World::routing(|_| {}).await.unwrap();
    let (mut flooding, mut good) = (world.jail(A).await.unwrap(), world.jail(B).await.unwrap());
    let garbage: Vec<_> = (0..FLOOD).map(|n| format!("garbage {n}").into_bytes()).collect();
    let flood = futures_util::future::join_all(garbage.iter().map(|bytes| flooding.publish(bytes)));
    let event = good.event(TO).unwrap();
    let (flood, stored) = tokio::join!(flood, good.publish(&event.bytes));
    stored.unwrap();
    for one in flood {
        one.unwrap();
    }
    good.acceptance(&event).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    assert_eq!(hub.parked(&flooding.ori).await.unwrap().len(), FLOOD);
    let refusals: Vec<_> = hub
        .answers(&flooding.ori)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|a| match a.body {
            Body::Refusal(refusal) => Some(refusal.digest),
            _ => None,
        })
        .collect();
    assert!(garbage.iter().all(|bytes| refusals.contains(&Digest::of(bytes))));
    assert!(good.heard().unwrap().iter().all(|answer| accepted(answer, &event).is_some()));
    assert!(flooding.heard().unwrap().iter().all(|answer| matches!(answer.body, Body::Refusal(_))));
}
