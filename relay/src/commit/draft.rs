//! One event as the messages that commit it: a notice per recipient, then its `routed` record.

use std::sync::Arc;

use sallyport_link::clock;
use sallyport_proto::{
    event::VerifiedEvent,
    ids::{EventId, NoticeId, SubscriberId},
    notice::Notice,
    routed::Routed,
    subject,
    vocabulary::{NoticeWhy, SourceClock},
};
use sallyport_relay_core::deadline;

use super::{batch::Entry, known::Accepted, predecessor::Predecessor};
use crate::{
    intake::Pulled,
    node::{Node, Routing},
};

/// An event ready to be committed.
pub(super) struct Draft {
    /// Its messages; the last is the `routed` record.
    pub(super) entries: Vec<Entry>,
    /// What it will be once committed.
    pub(super) accepted: Arc<Accepted>,
}

/// Routes the event by the registry in force and writes its messages.
pub(super) fn make(
    node: &Node,
    routing: &Routing,
    pulled: &Pulled,
    event: &VerifiedEvent,
    predecessor: &Predecessor,
) -> Draft {
    let head = &event.head;
    let t5_routed = clock::moment(SourceClock::Relay);
    let disclosures = event.disclosures.iter().map(|(disclosure, _)| disclosure);
    let route = routing.index.route(head, disclosures, predecessor.told(), t5_routed.at);
    let predecessor_missing = matches!(predecessor, Predecessor::Missing);
    let verdict = route.verdict();

    let mut entries = Vec::with_capacity(route.recipients.len() + 1);
    let mut recipients = Vec::with_capacity(route.recipients.len());
    for matched in route.recipients {
        let to = &matched.recipient.subscriber;
        let notice = Notice {
            provenance: node.provenance(),
            notice_id: NoticeId::new(&head.ori, &head.event_id, to),
            attempt: 0,
            why: NoticeWhy::First,
            head: event.head_bytes.clone(),
            disclosure: event.disclosures[matched.disclosure].1.clone(),
            subscription: matched.recipient.subscription.clone(),
            predecessor: matched.recipient.predecessor.then(|| head.supersedes.clone()).flatten(),
            priority: matched.recipient.priority,
            deadlines: deadline::of(head, &matched.terms, t5_routed),
            registry_version: routing.registry.version,
            event_digest: pulled.digest,
            agreement: event.disclosures[matched.disclosure].0.agreement.clone(),
            traffic: head.traffic.clone(),
            predecessor_missing,
            t4_stored: pulled.t4_stored,
            ingest_sequence: pulled.sequence,
            t5_routed,
            case_number: matched.terms.case_number,
            legal_basis: matched.terms.legal_basis,
            purpose: Some(matched.terms.purpose),
        };
        entries.push(Entry {
            subject: subject_of(to, pulled, &head.event_id),
            payload: notice.seal(&node.signer).into(),
            first_of_subject: false,
        });
        recipients.push(matched.recipient);
    }
    let routed = Routed {
        provenance: node.provenance(),
        event_id: head.event_id.clone(),
        ori: head.ori.clone(),
        jurisdiction: head.jurisdiction.clone(),
        event_digest: pulled.digest,
        recipients,
        unsubscribed: route.unsubscribed,
        registry_version: routing.registry.version,
        verdict,
        predecessor_missing,
        t4_stored: pulled.t4_stored,
        ingest_sequence: pulled.sequence,
        t5_routed,
        relay_node: node.name.clone(),
        traffic: head.traffic.clone(),
        custody_key: head.custody_key.clone(),
        revision: head.revision,
    };
    entries.push(Entry {
        subject: subject::hub_routed(&head.jurisdiction, &head.ori, &head.event_id),
        payload: routed.clone().seal(&node.signer).into(),
        first_of_subject: true,
    });
    Draft { entries, accepted: Arc::new(routed.into()) }
}

fn subject_of(to: &SubscriberId, pulled: &Pulled, event: &EventId) -> String {
    let (st, ori) = &pulled.from;
    subject::hub_deliver(to, st, ori, event, 0)
}
