//! Every subject and stream name, in one place. Jails and subscribers see `notify.v1`, the hub's side is `ingest.v1`
//! and `hub.v1` (accounts map one to the other).

use crate::ids::{EventId, Jurisdiction, NodeId, Ori, RequestId, SubscriberId};

/// Release events, outcomes and replies of the jails.
pub const INGEST: &str = "INGEST";
/// Heartbeats of the jails, and how far each subscriber's notices reach.
pub const HEARTBEATS: &str = "HEARTBEATS";
/// Notices and `routed` records.
pub const DELIVER: &str = "DELIVER";
/// Receipts, outcomes and availability of the subscribers.
pub const RECEIPTS: &str = "RECEIPTS";
/// Answers to the jails.
pub const ANSWERS: &str = "ANSWERS";
/// Requests of the subscribers.
pub const REQUESTS: &str = "REQUESTS";
/// Decisions of the relay.
pub const CONTROL: &str = "CONTROL";
/// What was refused.
pub const PARKED: &str = "PARKED";
/// The relay's durable on INGEST, RECEIPTS and REQUESTS, shared by all nodes.
pub const RELAY_DURABLE: &str = "relay";

/// Where an agent publishes (EDGE account).
pub fn notify_release(st: &Jurisdiction, ori: &Ori) -> String {
    format!("notify.v1.release.{st}.{ori}")
}

/// The same at the hub.
pub fn ingest_release(st: &Jurisdiction, ori: &Ori) -> String {
    format!("ingest.v1.release.{st}.{ori}")
}

/// Where an agent says that it is alive (EDGE account).
pub fn notify_heartbeat(st: &Jurisdiction, ori: &Ori) -> String {
    format!("notify.v1.heartbeat.{st}.{ori}")
}

/// The same at the hub.
pub fn ingest_heartbeat(st: &Jurisdiction, ori: &Ori) -> String {
    format!("ingest.v1.heartbeat.{st}.{ori}")
}

/// Where an agent hears its answers (EDGE account).
pub fn notify_answers(st: &Jurisdiction, ori: &Ori) -> String {
    format!("notify.v1.answer.{st}.{ori}.>")
}

/// Where an agent asks for what it missed (EDGE account).
pub fn notify_catchup(st: &Jurisdiction, ori: &Ori) -> String {
    format!("notify.v1.catchup.{st}.{ori}")
}

/// Where the relays serve it.
pub const HUB_CATCHUP: &str = "hub.v1.catchup.>";

/// Kinds of answers, the last token of their subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// Acceptance.
    Accepted,
    /// Refusal.
    Refused,
    /// Receipts for the jail.
    Progress,
    /// A subscriber's request.
    Request,
    /// Numbers that the relay misses.
    Resend,
}

impl AnswerKind {
    fn token(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Progress => "progress",
            Self::Request => "request",
            Self::Resend => "resend",
        }
    }
}

/// Where the relay answers a jail.
pub fn hub_answer(st: &Jurisdiction, ori: &Ori, kind: AnswerKind) -> String {
    format!("hub.v1.answer.{st}.{ori}.{}", kind.token())
}

/// Every answer to one jail, for reading back.
pub fn hub_answers(st: &Jurisdiction, ori: &Ori) -> String {
    format!("hub.v1.answer.{st}.{ori}.>")
}

/// One attempt of one notice.
pub fn hub_deliver(
    sub: &SubscriberId,
    st: &Jurisdiction,
    ori: &Ori,
    event: &EventId,
    attempt: u32,
) -> String {
    format!("hub.v1.deliver.{sub}.{st}.{ori}.{event}.{attempt}")
}

/// Everything for one subscriber: the filter of its durable.
pub fn hub_deliver_all(sub: &SubscriberId) -> String {
    format!("hub.v1.deliver.{sub}.>")
}

/// How far a subscriber's notices reach, stated by the relay.
pub fn hub_head(sub: &SubscriberId) -> String {
    format!("hub.v1.head.{sub}")
}

/// Where the subscriber hears it (its own account).
pub fn notify_head(sub: &SubscriberId) -> String {
    format!("notify.v1.head.{sub}")
}

/// The subscriber whose reach is stated there.
pub fn subscriber_of_head(subject: &str) -> Option<SubscriberId> {
    subject.strip_prefix("hub.v1.head.")?.parse().ok()
}

/// The record that an event was routed: one message for ever.
pub fn hub_routed(st: &Jurisdiction, ori: &Ori, event: &EventId) -> String {
    format!("hub.v1.routed.{st}.{ori}.{event}")
}

/// Kinds of receipts, the last token of their subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// RECEIVED or STAGED, by the machine.
    Received,
    /// SEEN, by a person.
    Seen,
    /// A response.
    Response,
    /// The endpoint could not take it.
    Refusal,
    /// An outcome.
    Outcome,
    /// Availability of the desk.
    Availability,
}

impl ReceiptKind {
    fn token(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Seen => "seen",
            Self::Response => "response",
            Self::Refusal => "refusal",
            Self::Outcome => "outcome",
            Self::Availability => "availability",
        }
    }
}

/// Where a subscriber publishes receipts (its own account).
pub fn notify_receipt(sub: &SubscriberId, kind: ReceiptKind) -> String {
    format!("notify.v1.receipt.{sub}.{}", kind.token())
}

/// The same at the hub.
pub fn hub_receipt(sub: &SubscriberId, kind: ReceiptKind) -> String {
    format!("hub.v1.receipt.{sub}.{}", kind.token())
}

/// Where a subscriber lodges a request (its own account).
pub fn notify_request(sub: &SubscriberId, st: &Jurisdiction, ori: &Ori, request: &RequestId) -> String {
    format!("notify.v1.request.{sub}.{st}.{ori}.{request}")
}

/// What was refused from a facility's subject.
pub fn hub_parked(reason: &str, st: &Jurisdiction, ori: &Ori) -> String {
    format!("hub.v1.parked.{reason}.{st}.{ori}")
}

/// What was not passed on from a subscriber's subject. None of its tokens can be taken for a facility.
pub fn hub_parked_receipt(reason: &str, sub: &SubscriberId) -> String {
    format!("hub.v1.parked.{reason}.receipt.of.{sub}")
}

/// The reader of one node on a stream.
pub fn track_consumer(node: &NodeId) -> String {
    format!("track-{node}")
}

/// The reader of one node's `audit` command.
pub fn audit_consumer(node: &NodeId) -> String {
    format!("audit-{node}")
}

/// The reader of one node's `archive` command.
pub fn archive_consumer(node: &NodeId) -> String {
    format!("archive-{node}")
}

/// Where a subscriber reaches the hub's JetStream API. Never `$JS.API` itself: the server answers that in every account
/// of its own, and whichever answer comes first wins (measured: "JetStream not enabled for account" at two of three).
pub const SUBSCRIBER_JS_API: &str = "notify.v1.js";

/// Inbox prefix of an agent: nobody may read another's.
pub fn inbox_of_agent(st: &Jurisdiction, ori: &Ori) -> String {
    format!("_INBOX_{st}_{ori}")
}

/// Inbox prefix of a subscriber.
pub fn inbox_of_subscriber(sub: &SubscriberId) -> String {
    format!("_INBOX_{sub}")
}

/// Inbox prefix of a relay node.
pub fn inbox_of_relay(node: &NodeId) -> String {
    format!("_INBOX_relay-{node}")
}

/// The facility that a message on INGEST came from: its subject says so, because accounts let nobody else publish there.
pub fn facility_of_ingest(subject: &str) -> Option<(Jurisdiction, Ori)> {
    let mut tokens = subject.strip_prefix("ingest.v1.release.")?.split('.');
    let facility = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
    tokens.next().is_none().then_some(facility)
}

/// The facility that a heartbeat came from.
pub fn facility_of_heartbeat(subject: &str) -> Option<(Jurisdiction, Ori)> {
    let mut tokens = subject.strip_prefix("ingest.v1.heartbeat.")?.split('.');
    let facility = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
    tokens.next().is_none().then_some(facility)
}

/// The facility that asks for catch-up.
pub fn facility_of_catchup(subject: &str) -> Option<(Jurisdiction, Ori)> {
    let mut tokens = subject.strip_prefix("hub.v1.catchup.")?.split('.');
    let facility = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
    tokens.next().is_none().then_some(facility)
}

/// The subscriber that a message on RECEIPTS came from, and its kind's token.
pub fn subscriber_of_receipt(subject: &str) -> Option<(SubscriberId, &str)> {
    let (subscriber, kind) = subject.strip_prefix("hub.v1.receipt.")?.split_once('.')?;
    (!kind.contains('.')).then_some((subscriber.parse().ok()?, kind))
}

/// What stands on DELIVER under a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliverSubject {
    /// A notice to a subscriber.
    Notice(SubscriberId),
    /// A `routed` record.
    Routed,
}

/// Reads a subject of DELIVER.
pub fn deliver_subject(subject: &str) -> Option<DeliverSubject> {
    if subject.starts_with("hub.v1.routed.") {
        return Some(DeliverSubject::Routed);
    }
    let (subscriber, _) = subject.strip_prefix("hub.v1.deliver.")?.split_once('.')?;
    Some(DeliverSubject::Notice(subscriber.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facility_is_read_from_its_own_subject_only() {
        let (st, ori) = facility_of_ingest("ingest.v1.release.co.co0160000").unwrap();
        assert_eq!((st.as_str(), ori.as_str()), ("co", "co0160000"));
        for bad in ["ingest.v1.release.co", "ingest.v1.release.co.co0160000.x", "hub.v1.release.co.co0160000"]
        {
            assert_eq!(facility_of_ingest(bad), None, "{bad}");
        }
    }

    #[test]
    fn subjects_of_deliver_are_told_apart() {
        let sub: SubscriberId = "fed-a".parse().unwrap();
        let event: EventId = "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        let (st, ori) = ("co".parse().unwrap(), "co0160000".parse().unwrap());
        let notice = hub_deliver(&sub, &st, &ori, &event, 0);
        assert_eq!(deliver_subject(&notice), Some(DeliverSubject::Notice(sub.clone())));
        assert_eq!(deliver_subject(&hub_head(&sub)), None);
        assert_eq!(subscriber_of_head(&hub_head(&sub)), Some(sub));
        assert_eq!(deliver_subject(&hub_routed(&st, &ori, &event)), Some(DeliverSubject::Routed));
    }

    #[test]
    fn a_receipt_names_its_subscriber() {
        let subject = hub_receipt(&"fed-a".parse().unwrap(), ReceiptKind::Received);
        let (sub, kind) = subscriber_of_receipt(&subject).unwrap();
        assert_eq!((sub.as_str(), kind), ("fed-a", "received"));
    }
}
