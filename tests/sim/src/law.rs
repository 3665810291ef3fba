//! What must hold at every moment, seen from the broker: nothing is routed twice, nothing is accepted that is not
//! committed, nothing is settled before it is recorded, no effect happens that no delivery accounts for. Reads what was
//! stored; asks no program.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::{Digest, PayloadType, Unverified},
    event::UnverifiedEvent,
    receipt::Receipt,
    subject, wire,
};

use crate::broker::{Broker, Message, relay_durable};

/// Facility and event.
type EventKey = (String, String);

/// What was stored so far.
#[derive(Debug, Default)]
pub(crate) struct Law {
    /// Digest of each routed event.
    routed: BTreeMap<EventKey, Digest>,
    parked: BTreeSet<Digest>,
    notices: BTreeSet<(String, u32)>,
    /// Notices that a receipt names.
    answered: BTreeSet<(String, u32)>,
    /// Answers that carried each receipt, by its sequence on RECEIPTS.
    passed_on: BTreeMap<u64, BTreeSet<Digest>>,
}

fn claimed(bytes: &[u8], payload_type: PayloadType) -> Option<Vec<u8>> {
    Some(Unverified::read(bytes, payload_type).ok()?.claimed_payload().to_vec())
}

impl Law {
    /// Something was stored. Gives what is wrong with it.
    pub(crate) fn stored(&mut self, stream: &str, message: &Message, broker: &Broker) -> Vec<String> {
        let mut broken = Vec::new();
        match stream {
            subject::DELIVER => self.delivered(message, &mut broken),
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
            && self.routed.insert((routed.ori.clone(), routed.event_id.clone()), digest).is_some()
        {
            broken.push(format!("event {} was routed twice", routed.event_id));
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
                    if self.routed.get(&key) != Some(&event.digest) {
                        broken.push(format!("event {} was accepted and is not on DELIVER", event.event_id));
                    }
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
            // No simulated node mends: nothing is taken from a simulated stream behind everybody's back.
            Body::Resend(_) => broken.push("a node asked to send again what was not lost".to_owned()),
            Body::Refusal(_) | Body::Request(_) => {}
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
        self.routed.get(&(head.ori.to_string(), head.event_id.to_string())) == Some(digest)
    }

    /// A row of an outbox closed as accepted.
    pub(crate) fn closed(&self, ori: &str, event: &str, digest: &Digest) -> Option<String> {
        let routed = self.routed.get(&(ori.to_owned(), event.to_owned())) == Some(digest);
        (!routed).then(|| format!("the row of event {event} closed and the event is not on DELIVER"))
    }
}
