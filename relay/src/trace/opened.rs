//! Opens one record and checks it: signature, and that what it says belongs together. A record that does not verify is
//! still shown, as such.

use prost::Message;
use sallyport_proto::{
    answer::Answer,
    envelope::{Digest, PayloadType, Unverified},
    event::{ReleaseHead, UnverifiedEvent, open_disclosed},
    ids::Ori,
    key::SigningKey,
    notice::{Notice, open_by_any},
    receipt::Receipt,
    registry::Registry,
    routed::Routed,
    subject, wire,
};
use sallyport_relay_core::ledger::Stream;

use super::{Checked, Original};

/// What a record is. Contents of one that does not verify are what it claims.
#[derive(Debug)]
pub(super) enum Opened {
    Event(Box<ReleaseHead>),
    Routed(Box<Routed>),
    Notice(Box<Notice>),
    Receipt(Box<Receipt>),
    Answer(Box<Answer>),
    Parked(Box<wire::Parked>),
    Control(Box<wire::Control>),
    /// Cannot be read at all.
    Garbage,
}

/// Whose signature, and what is wrong with it.
type Signed = (String, Result<(), String>);

pub(super) fn open(original: &Original, ori: &Ori, registry: &Registry) -> (Opened, Checked) {
    let (opened, (signed_by, check)) = match original.stream {
        Stream::Ingest => event(original, ori, registry),
        Stream::Deliver => match subject::deliver_subject(&original.subject) {
            Some(subject::DeliverSubject::Routed) => routed(original, registry),
            _ => notice(original, ori, registry),
        },
        Stream::Receipts => receipt(original, registry),
        Stream::Answers => answer(original, registry),
        Stream::Parked => by_relay(original, registry, PayloadType::Parked, |bytes| {
            wire::Parked::decode(bytes).ok().map(|parked| Opened::Parked(Box::new(parked)))
        }),
        // Nothing of an event's trace stands there.
        Stream::Heartbeats => (Opened::Garbage, (ori.to_string(), Err("a heartbeat".into()))),
        Stream::Control => by_relay(original, registry, PayloadType::Control, |bytes| {
            wire::Control::decode(bytes).ok().map(|control| Opened::Control(Box::new(control)))
        }),
    };
    let checked = Checked {
        stream: original.stream,
        sequence: original.sequence,
        what: what(&opened),
        signed_by,
        verified: check.is_ok(),
        problem: check.err(),
    };
    (opened, checked)
}

fn what(opened: &Opened) -> String {
    match opened {
        Opened::Event(head) => format!("event, revision {}", head.revision),
        Opened::Routed(_) => "routed record".into(),
        Opened::Notice(notice) => format!("notice to {}, attempt {}", notice.subscriber(), notice.attempt),
        Opened::Receipt(receipt) => format!("receipt of {}", receipt.subscriber),
        Opened::Answer(answer) => match answer.kind() {
            subject::AnswerKind::Accepted => "acceptance".into(),
            subject::AnswerKind::Refused => "refusal".into(),
            subject::AnswerKind::Progress => "progress".into(),
            subject::AnswerKind::Request => "request".into(),
            subject::AnswerKind::Resend => "request to send again".into(),
        },
        Opened::Parked(parked) => format!("parked: {}", parked.reason),
        Opened::Control(_) => "decision of the relay".into(),
        Opened::Garbage => "not readable".into(),
    }
}

fn event(original: &Original, ori: &Ori, registry: &Registry) -> (Opened, Signed) {
    let bytes = &original.payload;
    let unverified = match UnverifiedEvent::read(bytes) {
        Ok(unverified) => unverified,
        Err(error) => return (Opened::Garbage, (ori.to_string(), Err(error.to_string()))),
    };
    let claimed = match unverified.claimed_head() {
        Ok(head) => Opened::Event(Box::new(head.clone())),
        Err(_) => Opened::Garbage,
    };
    let check = || {
        let facility = registry.facilities.get(ori).ok_or("the facility is not in the registry")?;
        let event = unverified.verify(&facility.signing_key).map_err(|error| error.to_string())?;
        if event.head.ori != *ori {
            return Err("it came on another facility's subject".to_owned());
        }
        Ok(())
    };
    let check = check();
    (claimed, (ori.to_string(), check))
}

fn routed(original: &Original, registry: &Registry) -> (Opened, Signed) {
    let (claimed, signed) = by_relay(original, registry, PayloadType::Routed, |bytes| {
        Some(Opened::Routed(Box::new(wire::Routed::decode(bytes).ok()?.try_into().ok()?)))
    });
    (claimed, signed)
}

fn notice(original: &Original, ori: &Ori, registry: &Registry) -> (Opened, Signed) {
    let (opened, (signed_by, check)) = by_relay(original, registry, PayloadType::Notice, |bytes| {
        Some(Opened::Notice(Box::new(wire::Notice::decode(bytes).ok()?.try_into().ok()?)))
    });
    let check = check.and_then(|()| match &opened {
        Opened::Notice(notice) => carries_its_event(notice, ori, registry),
        _ => Ok(()),
    });
    (opened, (format!("{signed_by}; inside {ori}"), check))
}

/// Whether the head and the disclosure inside a notice are this facility's, of the event and for the subscriber that the
/// notice names.
pub(super) fn carries_its_event(notice: &Notice, ori: &Ori, registry: &Registry) -> Result<(), String> {
    let facility = registry.facilities.get(ori).ok_or("the facility is not in the registry")?;
    let (head, disclosure) =
        open_disclosed(&notice.head, &notice.disclosure, &facility.signing_key).map_err(|e| e.to_string())?;
    if head.ori != *ori || notice.notice_id.ori() != *ori || notice.notice_id.event() != head.event_id {
        return Err("the head inside is of another event than the notice names".into());
    }
    if disclosure.subscriber_id != notice.subscriber() {
        return Err("the disclosure inside is for another subscriber".into());
    }
    Ok(())
}

fn receipt(original: &Original, registry: &Registry) -> (Opened, Signed) {
    let bytes = &original.payload;
    let claimed = match Receipt::claimed(bytes) {
        Ok(claimed) => claimed,
        Err(error) => return (Opened::Garbage, ("?".into(), Err(error.to_string()))),
    };
    let check = || {
        let subscriber =
            registry.subscribers.get(&claimed.subscriber).ok_or("the subscriber is not in the registry")?;
        Receipt::open(bytes, &subscriber.signing_key).map_err(|error| error.to_string())?;
        match subject::subscriber_of_receipt(&original.subject) {
            Some((from, _)) if from == claimed.subscriber => Ok(()),
            _ => Err("it came on another subscriber's subject".to_owned()),
        }
    };
    let check = check();
    (Opened::Receipt(Box::new(claimed.clone())), (claimed.subscriber.to_string(), check))
}

fn answer(original: &Original, registry: &Registry) -> (Opened, Signed) {
    by_relay(original, registry, PayloadType::Answer, |bytes| {
        Some(Opened::Answer(Box::new(wire::Answer::decode(bytes).ok()?.try_into().ok()?)))
    })
}

fn by_relay(
    original: &Original,
    registry: &Registry,
    payload_type: PayloadType,
    read: impl Fn(&[u8]) -> Option<Opened>,
) -> (Opened, Signed) {
    let bytes = &original.payload;
    let claimed = match Unverified::read(bytes, payload_type) {
        Ok(unverified) => read(unverified.claimed_payload()).unwrap_or(Opened::Garbage),
        Err(error) => return (Opened::Garbage, ("?".into(), Err(error.to_string()))),
    };
    let check = match (open_by_any(bytes, payload_type, registry.relay_keys()), &claimed) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(_), Opened::Garbage) => Err("its fields are not what they should be".into()),
        (Ok(_), _) => Ok(()),
    };
    (claimed, (relay_of(bytes, registry), check))
}

/// The node whose key an envelope names.
pub(super) fn relay_of(bytes: &[u8], registry: &Registry) -> String {
    let named = |key: &SigningKey, keyid: &str| key.as_str() == keyid;
    wire::Envelope::decode(bytes)
        .ok()
        .and_then(|envelope| envelope.signatures.into_iter().next())
        .and_then(|signature| {
            registry.relays.iter().find(|relay| named(&relay.signing_key, &signature.keyid))
        })
        .map_or_else(|| "a key of no node".into(), |relay| format!("node {}", relay.node))
}

/// The digest by which a message of a jail is known.
pub(super) fn digest(original: &Original) -> Digest {
    Digest::of(&original.payload)
}
