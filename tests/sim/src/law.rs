//! What must hold at every moment, seen from the broker: nothing is routed twice, nothing is accepted that is not
//! committed, nothing is settled before it is recorded, no effect happens that no delivery accounts for. Reads what was
//! stored; asks no program.

mod asked;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::{Digest, PayloadType, Unverified},
    event::UnverifiedEvent,
    receipt::Receipt,
    subject, wire,
};

use crate::{
    broker::{Broker, Message, relay_durable},
    exec::Us,
    world::in_words,
};

/// Facility and event.
type EventKey = (String, String);

/// What was stored so far.
#[derive(Debug, Default)]
pub(crate) struct Law {
    /// Digest of each routed event, on the DELIVER of now.
    routed: BTreeMap<EventKey, Digest>,
    /// And on any.
    ever_routed: BTreeSet<(EventKey, Digest)>,
    /// When DELIVER lost it.
    unrouted: BTreeMap<EventKey, Us>,
    /// Events that an answer called accepted.
    accepted: BTreeSet<EventKey>,
    parked: BTreeSet<Digest>,
    notices: BTreeSet<(String, u32)>,
    /// Events that were routed without their predecessor, on any DELIVER: whom that one had told was not known then.
    pub(crate) without_predecessor: BTreeSet<String>,
    /// Notices that a receipt names.
    answered: BTreeSet<(String, u32)>,
    /// Answers that carried each receipt, by its sequence on RECEIPTS.
    passed_on: BTreeMap<u64, BTreeSet<Digest>>,
    /// Sequences of each DELIVER's notices, by when it was created and for whom they are.
    committed: BTreeMap<(String, String), BTreeSet<u64>>,
    /// The last sequence of each DELIVER.
    reached: BTreeMap<String, u64>,
    /// Of these the broker has lost some.
    lost: BTreeSet<(String, u64)>,
    /// What each head claims was sent.
    claims: BTreeMap<Digest, BTreeSet<u64>>,
}

fn claimed(bytes: &[u8], payload_type: PayloadType) -> Option<Vec<u8>> {
    Some(Unverified::read(bytes, payload_type).ok()?.claimed_payload().to_vec())
}

impl Law {
    /// Something was stored. Gives what is wrong with it.
    pub(crate) fn stored(&mut self, stream: &str, message: &Message, broker: &Broker) -> Vec<String> {
        let mut broken = Vec::new();
        match stream {
            subject::DELIVER => {
                self.committed(broker.stream(stream).created, message);
                self.delivered(message, &mut broken);
            }
            subject::RECEIPTS => {
                if let Ok(receipt) = Receipt::claimed(&message.payload) {
                    let named = receipt.notices.iter().map(|n| (n.notice_id.to_string(), n.attempt));
                    self.answered.extend(named);
                }
            }
            subject::ANSWERS => self.told(message, broker, &mut broken),
            subject::PARKED => {
                let parked = claimed(&message.payload, PayloadType::Parked);
                if let Some(parked) = parked.and_then(|bytes| wire::Parked::decode(&*bytes).ok()) {
                    self.parked.insert(Digest::of(&parked.original));
                }
            }
            _ => {}
        }
        broken
    }

    fn committed(&mut self, created: Us, message: &Message) {
        let created = in_words(created);
        self.reached.insert(created.clone(), message.sequence);
        let to = message.subject.strip_prefix("hub.v1.deliver.").and_then(|rest| rest.split('.').next());
        if let Some(to) = to {
            self.committed.entry((created, to.to_owned())).or_default().insert(message.sequence);
        }
    }

    /// DELIVER is another stream now, filled with what an archive or an older copy has.
    pub(crate) fn made_again(&mut self, broker: &Broker, now: Us) {
        let deliver = broker.stream(subject::DELIVER);
        let before = std::mem::take(&mut self.routed);
        self.notices.clear();
        let mut broken = Vec::new();
        for message in deliver.messages() {
            self.committed(deliver.created, message);
            self.delivered(message, &mut broken);
        }
        let gone = before.into_keys().filter(|key| !self.routed.contains_key(key));
        self.unrouted.extend(gone.map(|key| (key, now)));
    }

    /// A node decided that an event is accepted, by what it asked for since then: it stood on DELIVER meanwhile.
    pub(crate) fn decided(&self, ori: &str, event: &str, digest: &Digest, since: Us) -> Option<String> {
        let key = (ori.to_owned(), event.to_owned());
        let stood = self.routed.get(&key) == Some(digest)
            || self.is_ever_routed(&key, digest)
                && self.unrouted.get(&key).is_some_and(|lost| *lost >= since);
        (!stood).then(|| format!("event {event} was accepted and is not on DELIVER"))
    }

    fn is_ever_routed(&self, key: &EventKey, digest: &Digest) -> bool {
        self.ever_routed.contains(&(key.clone(), *digest))
    }

    /// Whether the DELIVER of now has it.
    pub(crate) fn is_on_deliver(&self, ori: &str, event: &str, digest: &Digest) -> bool {
        self.routed.get(&(ori.to_owned(), event.to_owned())) == Some(digest)
    }

    /// The broker lost a notice.
    pub(crate) fn lost(&mut self, created: Us, sequence: u64) {
        self.lost.insert((in_words(created), sequence));
    }

    /// A head was stated: it claims exactly what was committed for its subscriber up to where it counts. What was lost
    /// before the node that states it had seen it, it may not know of.
    pub(crate) fn stated(&mut self, head: &[u8]) -> Option<String> {
        let payload = claimed(head, PayloadType::SubscriberHead)?;
        let wire::SubscriberHead { subscriber_id, rank, last_sequence, stream_created, .. } =
            wire::SubscriberHead::decode(&*payload).ok()?;
        let reached = self.reached.get(&stream_created).copied().unwrap_or_default();
        let committed = self.committed.get(&(stream_created.clone(), subscriber_id.clone()));
        let mut all: BTreeSet<u64> =
            committed.into_iter().flatten().filter(|n| **n <= last_sequence).copied().collect();
        if all.len() as u64 != rank {
            all.retain(|n| !self.lost.contains(&(stream_created.clone(), *n)));
        }
        let known = all.len();
        self.claims.insert(Digest::of(head), all);
        (known as u64 != rank || last_sequence > reached).then(|| {
            format!(
                "a head claims {rank} notices of {subscriber_id} up to {last_sequence} of DELIVER, where {known} were \
                 committed up to {reached}"
            )
        })
    }

    /// What a head that was stated claims was sent.
    pub(crate) fn claims(&self, head: &[u8]) -> BTreeSet<u64> {
        self.claims.get(&Digest::of(head)).cloned().unwrap_or_default()
    }

    /// How many notices a DELIVER was given for somebody.
    pub(crate) fn given(&self, created: Us, subscriber: &str) -> u64 {
        let committed = self.committed.get(&(in_words(created), subscriber.to_owned()));
        committed.map_or(0, |committed| committed.len() as u64)
    }

    fn delivered(&mut self, message: &Message, broken: &mut Vec<String>) {
        if let Some(notice) = claimed(&message.payload, PayloadType::Notice)
            && let Ok(notice) = wire::Notice::decode(&*notice)
            && !self.notices.insert((notice.notice_id.clone(), notice.attempt))
        {
            broken.push(format!("notice {} stands on DELIVER twice", notice.notice_id));
        }
        if let Some(routed) = claimed(&message.payload, PayloadType::Routed)
            && let Ok(routed) = wire::Routed::decode(&*routed)
            && let Ok(digest) = Digest::try_from(&*routed.event_digest)
        {
            let key = (routed.ori.clone(), routed.event_id.clone());
            if routed.predecessor_missing {
                self.without_predecessor.insert(routed.event_id.clone());
            }
            self.ever_routed.insert((key.clone(), digest));
            self.unrouted.remove(&key);
            if self.routed.insert(key, digest).is_some() {
                broken.push(format!("event {} was routed twice", routed.event_id));
            }
        }
    }

    fn told(&mut self, message: &Message, broker: &Broker, broken: &mut Vec<String>) {
        let Some(answer) = claimed(&message.payload, PayloadType::Answer) else { return };
        let Some(answer) = wire::Answer::decode(&*answer).ok().and_then(|wire| Answer::try_from(wire).ok())
        else {
            return;
        };
        match answer.body {
            Body::Acceptance(events) => {
                for event in events {
                    let key = (answer.ori.to_string(), event.event_id.to_string());
                    // That it stands there still, nobody can know: `decided` has looked.
                    if !self.is_ever_routed(&key, &event.digest) {
                        broken.push(format!("event {} was accepted and is not on DELIVER", event.event_id));
                    }
                    self.accepted.insert(key);
                }
            }
            Body::Progress(receipts) => {
                let given = &broker.durables[&relay_durable(subject::RECEIPTS)].given;
                for receipt in receipts {
                    let copies = self.passed_on.entry(receipt.receipts_sequence).or_default();
                    copies.insert(Digest::of(&message.payload));
                    let deliveries = given.get(&receipt.receipts_sequence).copied().unwrap_or_default();
                    if copies.len() > deliveries as usize {
                        broken.push(format!(
                            "receipt {} was passed on {} times and delivered {deliveries} times",
                            receipt.receipts_sequence,
                            copies.len()
                        ));
                    }
                }
            }
            // What a node may ask for, it is asked itself (`asked`).
            Body::Resend(_) | Body::Refusal(_) | Body::Request(_) => {}
        }
    }

    /// A message was settled on a durable: what it leads to must be recorded by then.
    pub(crate) fn settled(&self, durable: &str, sequence: u64, broker: &Broker) -> Option<String> {
        let stream = broker.durables[durable].stream;
        let message = broker.stream(stream).at(sequence)?;
        match stream {
            subject::INGEST => {
                let digest = Digest::of(&message.payload);
                let done = self.parked.contains(&digest) || self.is_routed(&message.payload, &digest);
                (!done).then(|| format!("INGEST {sequence} was settled and is neither routed nor parked"))
            }
            subject::DELIVER => {
                let notice = claimed(&message.payload, PayloadType::Notice)?;
                let notice = wire::Notice::decode(&*notice).ok()?;
                let answered = self.answered.contains(&(notice.notice_id.clone(), notice.attempt));
                (!answered).then(|| format!("notice {} was settled and has no receipt", notice.notice_id))
            }
            subject::RECEIPTS => {
                let passed_on = self.passed_on.contains_key(&sequence);
                (!passed_on).then(|| format!("receipt {sequence} was settled and never passed on"))
            }
            _ => None,
        }
    }

    fn is_routed(&self, ingest: &[u8], digest: &Digest) -> bool {
        let Ok(event) = UnverifiedEvent::read(ingest) else { return false };
        let Ok(head) = event.claimed_head() else { return false };
        self.is_ever_routed(&(head.ori.to_string(), head.event_id.to_string()), digest)
    }

    /// A row of an outbox closed as accepted.
    pub(crate) fn closed(&self, ori: &str, event: &str, digest: &Digest) -> Option<String> {
        let routed = self.is_ever_routed(&(ori.to_owned(), event.to_owned()), digest);
        (!routed).then(|| format!("the row of event {event} closed and the event is not on DELIVER"))
    }
}
