//! From one record to what it says, after checking that it may say it: whose signature it needs follows from the stream
//! and the subject, the key from the registry.

use prost::Message;
use sallyport_proto::{
    answer::Answer,
    envelope::{Digest, PayloadType},
    event::{ReleaseHead, UnverifiedEvent, open_disclosed},
    ids::{Jurisdiction, Ori},
    notice::{Notice, open_by_any},
    operations::Heartbeat,
    receipt::Receipt,
    registry::Registry,
    routed::Routed,
    subject::{self, DeliverSubject},
    wire,
};

use crate::ledger::{Record, Stream};

/// What a record says.
pub(super) enum Said {
    Event(Jurisdiction, Box<ReleaseHead>, Digest),
    /// Something on INGEST that is no event that may be routed: it needs a Refusal.
    NoEvent(Option<Ori>, Digest, String),
    Routed(Box<Routed>),
    Notice(Box<Notice>),
    Receipt(Box<Receipt>, Digest),
    Answer(Box<Answer>),
    Heartbeat(Box<Heartbeat>),
    /// Nothing that an arrow hangs on; it verified.
    Else,
}

pub(super) fn open(record: &Record<'_>, registry: &Registry) -> Result<Said, String> {
    match record.stream {
        Stream::Ingest => Ok(ingest(record, registry)),
        Stream::Deliver => deliver(record, registry),
        Stream::Receipts => receipt(record, registry),
        Stream::Answers => Answer::open(record.payload, registry.relay_keys())
            .map(|a| Said::Answer(Box::new(a)))
            .map_err(text),
        Stream::Heartbeats => heartbeat(record, registry),
        Stream::Control => by_relay(record, registry, PayloadType::Control),
        Stream::Parked => by_relay(record, registry, PayloadType::Parked),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A jail may publish anything: what is not acceptable is not a finding, but has to be answered.
fn ingest(record: &Record<'_>, registry: &Registry) -> Said {
    let digest = Digest::of(record.payload);
    let from = subject::facility_of_ingest(record.subject);
    let verified = || {
        let (st, ori) = from.as_ref().ok_or("its subject names no facility")?;
        let facility = registry.facilities.get(ori).ok_or("the facility is not in the registry")?;
        let event = UnverifiedEvent::read(record.payload).map_err(text)?;
        let event = event.verify(&facility.signing_key).map_err(text)?;
        if event.head.ori != *ori || event.head.jurisdiction != *st {
            return Err("it came on another facility's subject".to_owned());
        }
        Ok((st.clone(), event.head))
    };
    match verified() {
        Ok((st, head)) => Said::Event(st, Box::new(head), digest),
        Err(why) => Said::NoEvent(from.map(|(_, ori)| ori), digest, why),
    }
}

fn deliver(record: &Record<'_>, registry: &Registry) -> Result<Said, String> {
    match subject::deliver_subject(record.subject).ok_or("its subject is none of DELIVER")? {
        DeliverSubject::Routed => {
            let routed = Routed::open(record.payload, registry.relay_keys()).map_err(text)?;
            let subject = subject::hub_routed(&routed.jurisdiction, &routed.ori, &routed.event_id);
            if subject != record.subject {
                return Err("it came on another event's subject".into());
            }
            Ok(Said::Routed(Box::new(routed)))
        }
        DeliverSubject::Notice(subscriber) => {
            let notice = Notice::open(record.payload, registry.relay_keys()).map_err(text)?;
            if notice.subscriber() != subscriber {
                return Err("it came on another subscriber's subject".into());
            }
            let facility = registry
                .facilities
                .get(&notice.notice_id.ori())
                .ok_or("the facility is not in the registry")?;
            let (head, disclosure) =
                open_disclosed(&notice.head, &notice.disclosure, &facility.signing_key).map_err(text)?;
            if head.event_id != notice.notice_id.event() || head.ori != notice.notice_id.ori() {
                return Err("the head inside is of another event than the notice names".into());
            }
            if disclosure.subscriber_id != subscriber {
                return Err("the disclosure inside is for another subscriber".into());
            }
            Ok(Said::Notice(Box::new(notice)))
        }
    }
}

fn receipt(record: &Record<'_>, registry: &Registry) -> Result<Said, String> {
    let (from, kind) =
        subject::subscriber_of_receipt(record.subject).ok_or("its subject names no subscriber")?;
    // Outcomes and availability go on to no jail yet.
    if matches!(kind, "outcome" | "availability") {
        return Ok(Said::Else);
    }
    let subscriber = registry.subscribers.get(&from).ok_or("the subscriber is not in the registry")?;
    let receipt = Receipt::open(record.payload, &subscriber.signing_key).map_err(text)?;
    if receipt.subscriber != from {
        return Err("it came on another subscriber's subject".into());
    }
    Ok(Said::Receipt(Box::new(receipt), Digest::of(record.payload)))
}

fn heartbeat(record: &Record<'_>, registry: &Registry) -> Result<Said, String> {
    if subject::subscriber_of_head(record.subject).is_some() {
        return by_relay(record, registry, PayloadType::SubscriberHead);
    }
    let (_, ori) = subject::facility_of_heartbeat(record.subject).ok_or("its subject names no facility")?;
    let facility = registry.facilities.get(&ori).ok_or("the facility is not in the registry")?;
    let heartbeat = Heartbeat::open(record.payload, &facility.signing_key).map_err(text)?;
    if heartbeat.ori != ori {
        return Err("it came on another facility's subject".into());
    }
    Ok(Said::Heartbeat(Box::new(heartbeat)))
}

fn by_relay(record: &Record<'_>, registry: &Registry, payload_type: PayloadType) -> Result<Said, String> {
    let payload = open_by_any(record.payload, payload_type, registry.relay_keys()).map_err(text)?;
    let readable = match payload_type {
        PayloadType::Control => wire::Control::decode(&*payload).is_ok(),
        PayloadType::Parked => wire::Parked::decode(&*payload).is_ok(),
        _ => wire::SubscriberHead::decode(&*payload).is_ok(),
    };
    if readable { Ok(Said::Else) } else { Err("its fields are not what they should be".into()) }
}
