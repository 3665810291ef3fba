//! One event as the messages that commit it: a notice per recipient, then its `routed` record.

use std::sync::Arc;

use jiff::Timestamp;
use sallyport_proto::{
    envelope::Digest,
    event::VerifiedEvent,
    ids::{EventId, InstanceId, Jurisdiction, NodeId, NoticeId, Ori, SubscriberId},
    key::Signer,
    notice::Notice,
    provenance::Provenance,
    routed::Routed,
    subject,
    time::Moment,
    vocabulary::{NoticeWhy, SourceClock},
};

use super::{
    known::{Accepted, Key},
    predecessor::Predecessor,
};
use crate::{
    deadline,
    route::{Matched, Routing},
};

/// Who writes: a node, as it stands in every message it signs.
#[derive(Debug, Clone, Copy)]
pub struct Author<'n> {
    /// The relay network.
    pub instance: &'n InstanceId,
    /// Program and version.
    pub build: &'static str,
    /// The node.
    pub node: &'n NodeId,
    /// Its key.
    pub signer: &'n Signer,
}

impl Author<'_> {
    fn provenance(&self) -> Provenance {
        Provenance::of(self.instance, self.build)
    }
}

/// One event of INGEST, verified, on its way to be committed.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'p> {
    /// The facility whose subject it came on.
    pub from: &'p (Jurisdiction, Ori),
    /// SHA-256 of the message.
    pub digest: Digest,
    /// When the broker stored it.
    pub t4_stored: Moment,
    /// Its sequence on INGEST.
    pub sequence: u64,
    /// Delivered before: it may have been routed already.
    pub redelivered: bool,
    /// What it says.
    pub event: &'p VerifiedEvent,
}

impl Arrival<'_> {
    /// What it is known by: an event counts only together with its facility.
    pub fn key(&self) -> Key {
        (self.event.head.ori.clone(), self.event.head.event_id.clone())
    }
}

/// One message of a batch.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it goes.
    pub subject: String,
    /// Signed.
    pub payload: Vec<u8>,
    /// The subject must hold no message yet.
    pub first_of_subject: bool,
}

/// An event ready to be committed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its messages; the last is the `routed` record.
    pub entries: Vec<Entry>,
    /// What it will be once committed.
    pub accepted: Arc<Accepted>,
}

/// Routes the event by the registry in force and writes its messages. `now` is t5.
pub(super) fn make(
    author: &Author<'_>,
    routing: &Routing,
    arrival: &Arrival<'_>,
    predecessor: &Predecessor,
    now: Timestamp,
) -> Draft {
    let event = arrival.event;
    let head = &event.head;
    let t5_routed = Moment::exact(now, SourceClock::Relay);
    let disclosures = event.disclosures.iter().map(|(disclosure, _)| disclosure);
    let route = routing.index.route(head, disclosures, predecessor.told(), t5_routed.at);
    let predecessor_missing = matches!(predecessor, Predecessor::Missing);
    let verdict = route.verdict();

    let mut entries = Vec::with_capacity(route.recipients.len() + 1);
    let mut recipients = Vec::with_capacity(route.recipients.len());
    for matched in route.recipients {
        entries.push(notice(author, routing, arrival, &matched, predecessor_missing, t5_routed));
        recipients.push(matched.recipient);
    }
    let routed = Routed {
        provenance: author.provenance(),
        event_id: head.event_id.clone(),
        ori: head.ori.clone(),
        jurisdiction: head.jurisdiction.clone(),
        event_digest: arrival.digest,
        recipients,
        unsubscribed: route.unsubscribed,
        registry_version: routing.registry.version,
        verdict,
        predecessor_missing,
        t4_stored: arrival.t4_stored,
        ingest_sequence: arrival.sequence,
        t5_routed,
        relay_node: author.node.clone(),
        traffic: head.traffic.clone(),
        custody_key: head.custody_key.clone(),
        revision: head.revision,
    };
    entries.push(Entry {
        subject: subject::hub_routed(&head.jurisdiction, &head.ori, &head.event_id),
        payload: routed.clone().seal(author.signer),
        first_of_subject: true,
    });
    Draft { entries, accepted: Arc::new(routed.into()) }
}

/// What one recipient is told.
pub(super) fn notice(
    author: &Author<'_>,
    routing: &Routing,
    arrival: &Arrival<'_>,
    matched: &Matched,
    predecessor_missing: bool,
    t5_routed: Moment,
) -> Entry {
    let (event, recipient, terms) = (arrival.event, &matched.recipient, &matched.terms);
    let head = &event.head;
    let (disclosure, bytes) = &event.disclosures[matched.disclosure];
    let notice = Notice {
        provenance: author.provenance(),
        notice_id: NoticeId::new(&head.ori, &head.event_id, &recipient.subscriber),
        attempt: 0,
        why: NoticeWhy::First,
        head: event.head_bytes.clone(),
        disclosure: bytes.clone(),
        subscription: recipient.subscription.clone(),
        predecessor: recipient.predecessor.then(|| head.supersedes.clone()).flatten(),
        priority: recipient.priority,
        deadlines: deadline::of(head, terms, t5_routed),
        registry_version: routing.registry.version,
        event_digest: arrival.digest,
        agreement: disclosure.agreement.clone(),
        traffic: head.traffic.clone(),
        predecessor_missing,
        t4_stored: arrival.t4_stored,
        ingest_sequence: arrival.sequence,
        t5_routed,
        case_number: terms.case_number.clone(),
        legal_basis: terms.legal_basis.clone(),
        purpose: Some(terms.purpose),
    };
    Entry {
        subject: subject_of(&recipient.subscriber, arrival, &head.event_id),
        payload: notice.seal(author.signer),
        first_of_subject: false,
    }
}

fn subject_of(to: &SubscriberId, arrival: &Arrival<'_>, event: &EventId) -> String {
    let (st, ori) = arrival.from;
    subject::hub_deliver(to, st, ori, event, 0)
}
