//! Every golden case: its name, the bytes that this build makes of the value, and what its golden bytes must read as.
//! A message that nothing travels in but itself gets a case all the same: another language reads it alone.

use std::fmt::Debug;

use prost::Message;
use sallyport_proto::{
    answer::{Answer, Body, RelayedReceipt, ResendRequest},
    catchup::CatchupItem,
    disclosure::{Charge, Part},
    event::{UnverifiedEvent, seal_event},
    field::FieldError,
    key::{Signer, SigningKey},
    notice::Notice,
    operations::{Availability, Control, Heartbeat, Parked, SubscriberHead},
    outcome::{Outcome, WayBack},
    receipt::Receipt,
    reply::Reply,
    request::{Request, RequestDetails},
    routed::Routed,
    vocabulary::SourceClock,
    wire,
};

use super::values::{agency, common::*, jail, relay};

/// One golden file.
pub struct Case {
    /// As in the `.proto` file.
    pub message: &'static str,
    /// `full`, `minimal` or a variant.
    pub name: &'static str,
    /// What this build encodes.
    pub bytes: Vec<u8>,
    /// Panics unless bytes read as the value, and gives all Debug prints of what was read.
    pub read: Read,
}

type Read = Box<dyn Fn(&[u8]) -> String>;

/// A message that has a checked type.
fn checked<W, C>(message: &'static str, name: &'static str, value: C) -> Case
where
    W: Message + Default + From<C> + Debug,
    C: TryFrom<W, Error = FieldError> + Clone + PartialEq + Debug + 'static,
{
    Case {
        message,
        name,
        bytes: W::from(value.clone()).encode_to_vec(),
        read: Box::new(move |golden| {
            let wire = W::decode(golden).unwrap();
            let mut printed = format!("{wire:?}");
            let read = C::try_from(wire).unwrap();
            assert_eq!(read, value);
            printed.push_str(&format!("{read:?}"));
            printed
        }),
    }
}

/// A message that stops at the border with the one that holds it.
fn plain<W>(message: &'static str, name: &'static str, value: W) -> Case
where
    W: Message + Default + PartialEq + Debug + 'static,
{
    Case {
        message,
        name,
        bytes: value.encode_to_vec(),
        read: Box::new(move |golden| {
            let read = W::decode(golden).unwrap();
            assert_eq!(read, value);
            format!("{read:?}")
        }),
    }
}

/// The envelope of a signed message.
fn sealed<C>(
    name: &'static str,
    value: C,
    key: Key,
    seal: fn(C, &Signer) -> Vec<u8>,
    open: fn(&[u8], &SigningKey) -> Option<C>,
) -> Case
where
    C: Clone + PartialEq + Debug + 'static,
{
    Case {
        message: "Envelope",
        name,
        bytes: seal(value.clone(), &key.signer),
        read: Box::new(move |golden| {
            let read = open(golden, &key.public).unwrap();
            assert_eq!(read, value);
            format!("{read:?}")
        }),
    }
}

/// A release event as a jail publishes it.
fn ingested(
    name: &'static str,
    head: fn() -> sallyport_proto::event::ReleaseHead,
    disclosures: fn() -> Vec<sallyport_proto::disclosure::Disclosure>,
) -> Case {
    Case {
        message: "Ingest",
        name,
        bytes: seal_event(&facility_key().signer, head(), disclosures()),
        read: Box::new(move |golden| {
            let event = UnverifiedEvent::read(golden).unwrap().verify(&facility_key().public).unwrap();
            let read: Vec<_> = event.disclosures.iter().map(|(disclosure, _)| disclosure.clone()).collect();
            assert_eq!(read, disclosures());
            let digests = event.head.disclosure_sha256.clone();
            assert_eq!(
                event.head,
                sallyport_proto::event::ReleaseHead { disclosure_sha256: digests, ..head() }
            );
            format!("{event:?}")
        }),
    }
}

pub fn all() -> Vec<Case> {
    [common(), jails(), relays(), agencies(), envelopes()].into_iter().flatten().collect()
}

fn common() -> Vec<Case> {
    let moment = || wire::Moment::from(roughly(1, SourceClock::JailRecord));
    vec![
        plain("Moment", "full", moment()),
        plain("Moment", "minimal", wire::Moment::from(at(0, SourceClock::Agent))),
        plain(
            "Window",
            "full",
            wire::Window { earliest: Some(moment()), latest: window().latest.map(Into::into) },
        ),
        plain("Window", "minimal", wire::Window { earliest: Some(moment()), latest: None }),
        plain("TrafficClass", "full", wire::TrafficClass::from(exercise())),
        plain(
            "TrafficClass",
            "minimal",
            wire::TrafficClass::from(sallyport_proto::provenance::TrafficClass::Actual),
        ),
        plain("Provenance", "full", wire::Provenance::from(provenance("agent"))),
        plain("Provenance", "minimal", wire::Provenance { schema_version: 1, ..Default::default() }),
        plain("AgreementId", "full", wire::AgreementId::from(agreement())),
        plain("AgreementId", "minimal", wire::AgreementId { id: "a".into(), version: 0 }),
        plain("Signature", "full", wire::Signature { keyid: "V".into(), sig: vec![7; 64] }),
        plain("Signature", "minimal", wire::Signature::default()),
        plain(
            "Envelope",
            "full",
            wire::Envelope {
                payload: b"payload".to_vec(),
                payload_type: "application/vnd.sallyport.receipt.v1+protobuf".into(),
                signatures: vec![wire::Signature { keyid: "V".into(), sig: vec![7; 64] }],
            },
        ),
        plain("Envelope", "minimal", wire::Envelope::default()),
    ]
}

fn jails() -> Vec<Case> {
    use wire::ingest::Item;
    let facility = facility_key().signer;
    let ingest = |bytes: &[u8]| wire::Ingest::decode(bytes).unwrap();
    let event = |bytes: &[u8]| match ingest(bytes).item {
        Some(Item::ReleaseEvent(event)) => event,
        _ => unreachable!("an event was sealed"),
    };
    vec![
        ingested("full", jail::head_full, || vec![jail::disclosure_full(), jail::disclosure_minimal()]),
        ingested("minimal", jail::head_minimal, || vec![jail::disclosure_minimal()]),
        plain("Ingest", "outcome", ingest(&jail::outcome_full().seal_for_ingest(&facility))),
        plain("Ingest", "reply", ingest(&jail::reply_full().seal(&facility))),
        plain("ReleaseEvent", "full", event(&relay::ingest())),
        plain("ReleaseEvent", "minimal", wire::ReleaseEvent::default()),
        checked::<wire::ReleaseHead, _>("ReleaseHead", "full", jail::head_full()),
        checked::<wire::ReleaseHead, _>("ReleaseHead", "minimal", jail::head_minimal()),
        checked::<wire::Disclosure, _>("Disclosure", "full", jail::disclosure_full()),
        checked::<wire::Disclosure, _>("Disclosure", "minimal", jail::disclosure_minimal()),
        checked::<wire::Part, _>("Part", "full", jail::part_full()),
        checked::<wire::Part, _>("Part", "minimal", Part::default()),
        checked::<wire::Charge, _>("Charge", "full", jail::charge_full()),
        checked::<wire::Charge, _>("Charge", "minimal", Charge::default()),
        checked::<wire::Reply, _>("Reply", "full", jail::reply_full()),
        checked::<wire::Reply, _>("Reply", "minimal", jail::reply_minimal()),
        checked::<wire::Outcome, _>("Outcome", "full", jail::outcome_full()),
        checked::<wire::Outcome, _>("Outcome", "minimal", jail::outcome_minimal()),
        checked::<wire::WayBack, _>("WayBack", "full", jail::way_back_full()),
        checked::<wire::WayBack, _>("WayBack", "minimal", WayBack::default()),
        checked::<wire::Heartbeat, _>("Heartbeat", "full", jail::heartbeat_full()),
        checked::<wire::Heartbeat, _>("Heartbeat", "ranged", jail::heartbeat_ranged()),
        checked::<wire::Heartbeat, _>("Heartbeat", "minimal", jail::heartbeat_minimal()),
    ]
}

fn relays() -> Vec<Case> {
    let answer = |name, body| checked::<wire::Answer, _>("Answer", name, relay::answer(body));
    let catchup = |name, item| {
        checked::<wire::CatchupResponse, _>("CatchupResponse", name, relay::catchup_response(item))
    };
    let wire_of = |item| wire::CatchupResponse::from(relay::catchup_response(item)).item;
    let Some(wire::catchup_response::Item::Answer(item)) = wire_of(relay::catchup_answer()) else {
        unreachable!("an answer was made")
    };
    let Some(wire::catchup_response::Item::End(end)) = wire_of(relay::catchup_end()) else {
        unreachable!("an end was made")
    };
    let accepted = || wire::AcceptedEvent::from(relay::accepted_full());
    let request = relay::relayed_request();
    vec![
        checked::<wire::Notice, _>("Notice", "full", relay::notice_full()),
        checked::<wire::Notice, _>("Notice", "minimal", relay::notice_minimal()),
        plain("Deadlines", "full", wire::Notice::from(relay::notice_full()).deadlines.unwrap()),
        plain("Deadlines", "minimal", wire::Deadlines::default()),
        checked::<wire::Routed, _>("Routed", "full", relay::routed_full()),
        checked::<wire::Routed, _>("Routed", "minimal", relay::routed_minimal()),
        checked::<wire::RoutedRecipient, _>("RoutedRecipient", "full", relay::recipient_full()),
        checked::<wire::RoutedRecipient, _>("RoutedRecipient", "minimal", relay::recipient_minimal()),
        answer("full", Body::Acceptance(vec![relay::accepted_full(), relay::accepted_minimal()])),
        answer("minimal", Body::Acceptance(Vec::new())),
        answer("refusal", Body::Refusal(relay::refusal_full())),
        answer("progress", Body::Progress(vec![relay::relayed_receipt_full()])),
        answer("request", Body::Request(relay::relayed_request())),
        answer("resend", Body::Resend(relay::resend_request())),
        checked::<wire::ResendRequest, ResendRequest>("ResendRequest", "full", relay::resend_request()),
        checked::<wire::ResendRequest, ResendRequest>("ResendRequest", "minimal", relay::resend_minimal()),
        plain("Acceptance", "full", wire::Acceptance { events: vec![accepted(), accepted()] }),
        plain("Acceptance", "minimal", wire::Acceptance::default()),
        checked::<wire::AcceptedEvent, _>("AcceptedEvent", "full", relay::accepted_full()),
        checked::<wire::AcceptedEvent, _>("AcceptedEvent", "minimal", relay::accepted_minimal()),
        checked::<wire::Refusal, _>("Refusal", "full", relay::refusal_full()),
        checked::<wire::Refusal, _>("Refusal", "minimal", relay::refusal_minimal()),
        plain("Progress", "full", wire::Progress { receipts: vec![relay::relayed_receipt_full().into()] }),
        plain("Progress", "minimal", wire::Progress::default()),
        checked::<wire::RelayedReceipt, RelayedReceipt>(
            "RelayedReceipt",
            "full",
            relay::relayed_receipt_full(),
        ),
        checked::<wire::RelayedReceipt, _>("RelayedReceipt", "minimal", relay::relayed_receipt_minimal()),
        plain(
            "RelayedRequest",
            "full",
            wire::RelayedRequest { request: request.request, stored: Some(request.stored.into()) },
        ),
        plain("RelayedRequest", "minimal", wire::RelayedRequest::default()),
        checked::<wire::Control, _>("Control", "full", relay::control_full()),
        checked::<wire::Control, _>("Control", "minimal", relay::control_minimal()),
        checked::<wire::ReceiptDue, _>("ReceiptDue", "full", relay::due()),
        checked::<wire::ReceiptDue, _>("ReceiptDue", "minimal", relay::due()),
        checked::<wire::SubscriberHead, _>("SubscriberHead", "full", relay::subscriber_head_full()),
        checked::<wire::SubscriberHead, _>("SubscriberHead", "of_stream", relay::subscriber_head_of_stream()),
        checked::<wire::SubscriberHead, _>("SubscriberHead", "minimal", relay::subscriber_head_minimal()),
        checked::<wire::Parked, _>("Parked", "full", relay::parked_full()),
        checked::<wire::Parked, _>("Parked", "minimal", relay::parked_minimal()),
        checked::<wire::CatchupRequest, _>("CatchupRequest", "full", relay::catchup_request_full()),
        checked::<wire::CatchupRequest, _>("CatchupRequest", "minimal", relay::catchup_request_minimal()),
        catchup("full", relay::catchup_answer()),
        catchup("minimal", relay::catchup_end_minimal()),
        catchup("end", relay::catchup_end()),
        catchup("error", CatchupItem::Error("the stream has no leader".into())),
        plain("CatchupItem", "full", item),
        plain("CatchupItem", "minimal", wire::CatchupItem::default()),
        plain("CatchupEnd", "full", end),
        plain("CatchupEnd", "minimal", wire::CatchupEnd::default()),
        plain("CatchupError", "full", wire::CatchupError { text: "the stream has no leader".into() }),
        plain("CatchupError", "minimal", wire::CatchupError::default()),
    ]
}

fn agencies() -> Vec<Case> {
    use wire::receipt::Statement as W;
    let Some(W::Response(response)) = wire::Receipt::from(agency::receipt_full()).statement else {
        unreachable!("a response was made")
    };
    let Some(W::Refusal(refusal)) = wire::Receipt::from(agency::receipt_refusal()).statement else {
        unreachable!("a refusal was made")
    };
    vec![
        checked::<wire::Receipt, _>("Receipt", "full", agency::receipt_full()),
        checked::<wire::Receipt, _>("Receipt", "minimal", agency::receipt_minimal()),
        checked::<wire::Receipt, _>("Receipt", "refusal", agency::receipt_refusal()),
        checked::<wire::ReceiptFor, _>("ReceiptFor", "full", agency::receipt_for_full()),
        checked::<wire::ReceiptFor, _>("ReceiptFor", "minimal", agency::receipt_for_minimal()),
        plain("Response", "minimal", wire::Response { kind: response.kind, ..Default::default() }),
        plain("Response", "full", response),
        plain("EndpointRefusal", "minimal", wire::EndpointRefusal { text: String::new(), ..refusal.clone() }),
        plain("EndpointRefusal", "full", refusal),
        checked::<wire::Request, _>("Request", "full", agency::request_full()),
        checked::<wire::Request, _>("Request", "minimal", agency::request_minimal()),
        checked::<wire::Instrument, _>("Instrument", "full", agency::instrument_full()),
        checked::<wire::Instrument, _>("Instrument", "minimal", agency::instrument_minimal()),
        checked::<wire::RequestDetails, _>("RequestDetails", "full", agency::details_full()),
        checked::<wire::RequestDetails, _>("RequestDetails", "minimal", RequestDetails::default()),
        checked::<wire::Availability, _>("Availability", "full", agency::availability_full()),
        checked::<wire::Availability, _>("Availability", "minimal", agency::availability_minimal()),
    ]
}

/// One of each payload type: what is signed stays verifiable.
fn envelopes() -> Vec<Case> {
    fn reply_in_envelope(reply: Reply, signer: &Signer) -> Vec<u8> {
        match wire::Ingest::decode(&*reply.seal(signer)).unwrap().item {
            Some(wire::ingest::Item::Reply(envelope)) => envelope,
            _ => unreachable!("a reply was sealed"),
        }
    }
    vec![
        sealed("notice", relay::notice_full(), relay_key(), Notice::seal, |b, k| Notice::open(b, [k]).ok()),
        sealed("routed", relay::routed_full(), relay_key(), Routed::seal, |b, k| Routed::open(b, [k]).ok()),
        sealed(
            "answer",
            relay::answer(Body::Refusal(relay::refusal_full())),
            relay_key(),
            Answer::seal,
            |b, k| Answer::open(b, [k]).ok(),
        ),
        sealed("control", relay::control_full(), relay_key(), Control::seal, |b, k| {
            Control::open(b, [k]).ok()
        }),
        sealed(
            "subscriber-head",
            relay::subscriber_head_full(),
            relay_key(),
            SubscriberHead::seal,
            |b, k| SubscriberHead::open(b, [k]).ok(),
        ),
        sealed("parked", relay::parked_full(), relay_key(), Parked::seal, |b, k| Parked::open(b, [k]).ok()),
        sealed("receipt", agency::receipt_full(), subscriber_key(), Receipt::seal, |b, k| {
            Receipt::open(b, k).ok()
        }),
        sealed("request", agency::request_full(), subscriber_key(), Request::seal, |b, k| {
            Request::open(b, k).ok()
        }),
        sealed("availability", agency::availability_full(), subscriber_key(), Availability::seal, |b, k| {
            Availability::open(b, k).ok()
        }),
        sealed("outcome", jail::outcome_full(), facility_key(), Outcome::seal, |b, k| {
            Outcome::open(b, k).ok()
        }),
        sealed("reply", jail::reply_full(), facility_key(), reply_in_envelope, |b, k| Reply::open(b, k).ok()),
        sealed("heartbeat", jail::heartbeat_full(), facility_key(), Heartbeat::seal, |b, k| {
            Heartbeat::open(b, k).ok()
        }),
    ]
}
