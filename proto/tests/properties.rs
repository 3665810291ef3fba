//! What holds for any value and any bytes: a checked value survives the wire, no bytes make a decoder panic, and what
//! was changed under way is never taken for what was signed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

#[path = "properties/draw.rs"]
mod draw;
#[path = "properties/messages.rs"]
mod messages;
#[allow(dead_code)]
#[path = "golden/values/common.rs"]
mod values;

use draw::Draw;
use nkeys::{KeyPair, KeyPairType};
use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};
use prost::Message;
use sallyport_proto::{
    answer::Answer,
    catchup::{CatchupRequest, CatchupResponse},
    disclosure::Disclosure,
    envelope::{self, PayloadType},
    event::{self, EventError, UnverifiedEvent, VerifiedEvent},
    field::FieldError,
    ids::{CustodyKey, DecisionId, EventId, NoticeId, Ori, SubscriberId},
    json,
    key::{ConnectKey, RegistrarKey, Signer, SigningKey},
    notice::Notice,
    operations::{Availability, Control, Heartbeat, Parked, SubscriberHead},
    outcome::Outcome,
    receipt::Receipt,
    reply::Reply,
    request::Request,
    routed::Routed,
    subject, wire,
};
use values::{Key, facility_key, relay_key, subscriber_key};

/// A failing seed is kept beside this file, and belongs into the repository.
fn config() -> ProptestConfig {
    let regressions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties.regressions");
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        ..ProptestConfig::default()
    }
}

/// Longer than any message draws.
const TAPE: usize = 700;

fn drawn<T: std::fmt::Debug>(draw: fn(&mut Draw) -> T) -> impl Strategy<Value = T> {
    vec(any::<u64>(), TAPE).prop_map(move |tape| draw(&mut Draw::new(tape)))
}

fn check<W, C>(message: &str, value: C) -> Result<(), TestCaseError>
where
    W: Message + Default + From<C>,
    C: TryFrom<W, Error = FieldError> + Clone + PartialEq + std::fmt::Debug,
{
    let bytes = W::from(value.clone()).encode_to_vec();
    prop_assert_eq!(C::try_from(W::decode(&*bytes).unwrap()), Ok(value));
    prop_assert!(json::canonical(message, &bytes).is_ok());
    Ok(())
}

macro_rules! survives_the_wire {
    ($($test:ident: $message:ident from $draw:path;)+) => {
        proptest! {
            #![proptest_config(config())]
            $(#[test]
            fn $test(value in drawn($draw)) {
                check::<wire::$message, _>(stringify!($message), value)?;
            })+
        }
    };
}

survives_the_wire! {
    a_head_survives_the_wire: ReleaseHead from messages::head;
    a_disclosure_survives_the_wire: Disclosure from messages::disclosure;
    a_part_survives_the_wire: Part from messages::part;
    a_notice_survives_the_wire: Notice from messages::notice;
    a_routed_record_survives_the_wire: Routed from messages::routed;
    an_answer_survives_the_wire: Answer from messages::answer;
    a_receipt_survives_the_wire: Receipt from messages::receipt;
    a_request_survives_the_wire: Request from messages::request;
    a_reply_survives_the_wire: Reply from messages::reply;
    an_outcome_survives_the_wire: Outcome from messages::outcome;
    an_availability_survives_the_wire: Availability from messages::availability;
    a_decision_survives_the_wire: Control from messages::control;
    a_heartbeat_survives_the_wire: Heartbeat from messages::heartbeat;
    a_subscriber_head_survives_the_wire: SubscriberHead from messages::subscriber_head;
    a_parked_message_survives_the_wire: Parked from messages::parked;
    a_catchup_request_survives_the_wire: CatchupRequest from messages::catchup_request;
    a_catchup_response_survives_the_wire: CatchupResponse from messages::catchup_response;
}

/// The border: reads `bytes` as everything that anybody may send to us.
fn read_as_everything(bytes: &[u8], key: &Key) {
    if let Ok(event) = UnverifiedEvent::read(bytes) {
        let _ = (event.claimed_event_id().len(), event.claimed_head().is_ok());
        let _ = event.verify(&key.public);
    }
    let _ = event::open_disclosed(bytes, bytes, &key.public);
    let _ = Disclosure::decode(bytes);
    let _ = Notice::open(bytes, [&key.public]);
    let _ = Routed::open(bytes, [&key.public]);
    let _ = Answer::open(bytes, [&key.public]);
    let _ = Control::open(bytes, [&key.public]);
    let _ = SubscriberHead::open(bytes, [&key.public]);
    let _ = Parked::open(bytes, [&key.public]);
    let _ = (Receipt::claimed(bytes), Receipt::open(bytes, &key.public));
    let _ = (Request::claimed(bytes), Request::open(bytes, &key.public));
    let _ = (Reply::claimed(bytes), Reply::open(bytes, &key.public));
    let _ = (Outcome::claimed(bytes), Outcome::open(bytes, &key.public));
    let _ = (Availability::claimed(bytes), Availability::open(bytes, &key.public));
    let _ = (Heartbeat::claimed(bytes), Heartbeat::open(bytes, &key.public));
    let _ = (CatchupRequest::decode(bytes), CatchupResponse::decode(bytes));
    for message in ["Ingest", "Notice", "Receipt", "Answer", "Request", "Disclosure"] {
        let _ = json::canonical(message, bytes);
    }
}

const PAYLOAD_TYPES: &[PayloadType] = &[
    PayloadType::ReleaseHead,
    PayloadType::Notice,
    PayloadType::Routed,
    PayloadType::SubscriberHead,
    PayloadType::Receipt,
    PayloadType::Answer,
    PayloadType::Outcome,
    PayloadType::Request,
    PayloadType::Reply,
    PayloadType::Availability,
    PayloadType::Control,
    PayloadType::Heartbeat,
    PayloadType::Parked,
];

/// Every signed message, valid, with bytes that then get changed.
fn valid_bytes(d: &mut Draw, key: &Key) -> Vec<u8> {
    let signer = &key.signer;
    match d.below(13) {
        0 => {
            let (head, disclosures) = messages::event(d);
            event::seal_event(signer, head, disclosures)
        }
        1 => messages::notice(d).seal(signer),
        2 => messages::routed(d).seal(signer),
        3 => messages::answer(d).seal(signer),
        4 => messages::receipt(d).seal(signer),
        5 => messages::request(d).seal(signer),
        6 => messages::reply(d).seal(signer),
        7 => messages::outcome(d).seal(signer),
        8 => messages::availability(d).seal(signer),
        9 => messages::control(d).seal(signer),
        10 => messages::heartbeat(d).seal(signer),
        11 => messages::parked(d).seal(signer),
        _ => messages::catchup_response(d).encode(),
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes, &facility_key());
    }

    #[test]
    fn any_bytes_that_somebody_signed_are_refused_without_a_panic(
        payload in vec(any::<u8>(), 0..200),
        kind in 0..PAYLOAD_TYPES.len(),
    ) {
        let key = facility_key();
        read_as_everything(&envelope::seal(&key.signer, PAYLOAD_TYPES[kind], payload), &key);
    }

    #[test]
    fn a_payload_of_another_kind_is_refused_without_a_panic(
        tape in vec(any::<u64>(), TAPE),
        kind in 0..PAYLOAD_TYPES.len(),
    ) {
        let key = facility_key();
        let payload = valid_bytes(&mut Draw::new(tape), &key);
        let payload = wire::Envelope::decode(&*payload).map(|e| e.payload).unwrap_or(payload);
        read_as_everything(&envelope::seal(&key.signer, PAYLOAD_TYPES[kind], payload), &key);
    }

    #[test]
    fn damaged_messages_are_refused_without_a_panic(
        tape in vec(any::<u64>(), TAPE),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let key = facility_key();
        let mut bytes = valid_bytes(&mut Draw::new(tape), &key);
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_as_everything(&bytes, &key);
    }

    #[test]
    fn any_text_is_refused_as_a_key_an_id_or_a_subject_without_a_panic(text in any::<String>()) {
        // Keys start with a letter that says their kind: the texts that come furthest.
        for text in [text.clone(), format!("V{text}"), format!("SV{text}"), text.to_uppercase()] {
            let _ = (text.parse::<SigningKey>(), text.parse::<ConnectKey>(), text.parse::<RegistrarKey>());
            let _ = (Signer::from_seed(&text), Signer::registrar_from_seed(&text));
            let _ = (text.parse::<Ori>(), text.parse::<SubscriberId>(), text.parse::<EventId>());
            let _ = (text.parse::<CustodyKey>(), text.parse::<NoticeId>(), text.parse::<DecisionId>());
        }
        for prefix in ["", "ingest.v1.release.", "hub.v1.catchup.", "hub.v1.receipt.", "hub.v1.deliver."] {
            let subject = format!("{prefix}{text}");
            let _ = (subject::facility_of_ingest(&subject), subject::facility_of_catchup(&subject));
            let _ = (subject::subscriber_of_receipt(&subject), subject::deliver_subject(&subject));
        }
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn a_key_or_seed_with_letters_changed_is_refused_without_a_panic(
        raw in any::<[u8; 32]>(),
        changes in vec((any::<prop::sample::Index>(), "[A-Z2-7é]"), 1..4),
    ) {
        let pair = KeyPair::new_from_raw(KeyPairType::Service, raw).unwrap();
        for text in [pair.public_key(), pair.seed().unwrap()] {
            let mut letters: Vec<String> = text.chars().map(String::from).collect();
            for (at, with) in &changes {
                let at = at.index(letters.len());
                letters[at].clone_from(with);
            }
            let changed = letters.concat();
            prop_assume!(changed != text);
            let (key, signer) = (changed.parse::<SigningKey>(), Signer::from_seed(&changed));
            // Its checksum of 16 bits knows every single letter, and most of several.
            prop_assert!(changes.len() > 1 || (key.is_err() && signer.is_err()));
        }
    }
}

fn opened(bytes: &[u8], key: &Key) -> Result<VerifiedEvent, EventError> {
    UnverifiedEvent::read(bytes)?.verify(&key.public)
}

/// Refused, or exactly what was signed: bytes that no reader looks at may differ.
fn same_or_refused(changed: &[u8], original: &VerifiedEvent, key: &Key) -> Result<(), TestCaseError> {
    if let Ok(event) = opened(changed, key) {
        prop_assert_eq!(&event.head, &original.head);
        prop_assert_eq!(&event.disclosures, &original.disclosures);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn a_sealed_event_is_opened_as_it_was_made((head, disclosures) in drawn(messages::event)) {
        let key = facility_key();
        let event = opened(&event::seal_event(&key.signer, head.clone(), disclosures.clone()), &key).unwrap();
        let opened: Vec<_> = event.disclosures.iter().map(|(disclosure, _)| disclosure.clone()).collect();
        prop_assert_eq!(opened, disclosures);
        let disclosure_sha256 = event.head.disclosure_sha256.clone();
        prop_assert_eq!(&event.head, &event::ReleaseHead { disclosure_sha256, ..head });
        for (disclosure, bytes) in &event.disclosures {
            let (_, alone) = event::open_disclosed(&event.head_bytes, bytes, &key.public).unwrap();
            prop_assert_eq!(&alone, disclosure);
        }
    }

    #[test]
    fn an_event_changed_in_any_byte_is_never_accepted_as_another(
        (head, disclosures) in drawn(messages::event),
        at in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let key = facility_key();
        let bytes = event::seal_event(&key.signer, head, disclosures);
        let original = opened(&bytes, &key).unwrap();
        let at = at.index(bytes.len());
        let mut replaced = bytes.clone();
        replaced[at] ^= with;
        same_or_refused(&replaced, &original, &key)?;
        let mut inserted = bytes.clone();
        inserted.insert(at, with);
        same_or_refused(&inserted, &original, &key)?;
        let mut removed = bytes.clone();
        removed.remove(at);
        same_or_refused(&removed, &original, &key)?;
        same_or_refused(&bytes[..at], &original, &key)?;
    }

    #[test]
    fn a_disclosure_changed_in_any_byte_differs_from_what_the_head_commits_to(
        (head, disclosures) in drawn(messages::event),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let key = facility_key();
        let event = opened(&event::seal_event(&key.signer, head, disclosures), &key).unwrap();
        let (_, mut bytes) = event.disclosures[which.index(event.disclosures.len())].clone();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert_eq!(
            event::open_disclosed(&event.head_bytes, &bytes, &key.public),
            Err(EventError::DisclosuresDiffer)
        );
    }

    #[test]
    fn disclosures_of_another_event_left_out_doubled_or_in_another_order_differ(
        (head, disclosures) in drawn(messages::event),
        (other_head, others) in drawn(messages::event),
    ) {
        let key = facility_key();
        let parts = |bytes: &[u8]| match wire::Ingest::decode(bytes).unwrap().item {
            Some(wire::ingest::Item::ReleaseEvent(event)) => event,
            _ => unreachable!("an event was sealed"),
        };
        let event = parts(&event::seal_event(&key.signer, head, disclosures));
        let other = parts(&event::seal_event(&key.signer, other_head, others));
        let last = event.disclosures.len() - 1;
        let (mut left_out, mut doubled, mut turned) =
            (event.disclosures.clone(), event.disclosures.clone(), event.disclosures.clone());
        left_out.truncate(last);
        doubled.push(event.disclosures[last].clone());
        turned.reverse();
        for disclosures in [other.disclosures, left_out, doubled, turned] {
            if disclosures == event.disclosures {
                continue;
            }
            let item = wire::ReleaseEvent { head: event.head.clone(), disclosures };
            let bytes = wire::Ingest { item: Some(wire::ingest::Item::ReleaseEvent(item)) }.encode_to_vec();
            prop_assert_eq!(opened(&bytes, &key).err(), Some(EventError::DisclosuresDiffer));
        }
    }

    #[test]
    fn a_notice_changed_in_any_byte_is_never_accepted_as_another(
        notice in drawn(messages::notice),
        at in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let key = relay_key();
        let mut bytes = notice.clone().seal(&key.signer);
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(Notice::open(&bytes, [&key.public]).is_err());
    }

    #[test]
    fn a_receipt_changed_in_any_byte_is_never_accepted_as_another(
        receipt in drawn(messages::receipt),
        at in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let key = subscriber_key();
        let mut bytes = receipt.clone().seal(&key.signer);
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(Receipt::open(&bytes, &key.public).is_err());
    }

    #[test]
    fn a_receipt_is_credited_to_its_own_notices_only(
        receipt in drawn(messages::receipt),
        other in drawn(messages::receipt),
    ) {
        prop_assume!(receipt.subscriber != other.subscriber || receipt.ori != other.ori);
        let mut mixed = wire::Receipt::from(receipt);
        mixed.notices.extend(wire::Receipt::from(other).notices);
        prop_assert!(Receipt::try_from(mixed).is_err());
    }
}

#[test]
fn every_single_byte_of_a_sealed_event_counts() {
    let key = facility_key();
    let (head, disclosures) = messages::event(&mut Draw::new((0..700).map(|n| n * 7_919).collect()));
    let bytes = event::seal_event(&key.signer, head, disclosures);
    let original = opened(&bytes, &key).unwrap();
    for at in 0..bytes.len() {
        for with in [1, 0x08, 0x80, 0xFF] {
            let mut changed = bytes.clone();
            changed[at] ^= with;
            same_or_refused(&changed, &original, &key).unwrap();
        }
    }
}
