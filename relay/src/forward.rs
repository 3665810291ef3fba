//! Receipts on their way back: verifies each, passes it on to the jail as the subscriber signed it, then settles. The
//! agent folds by the receipt's digest, so that a repetition is harmless. What can never be passed on is parked, so that
//! no receipt stands in the way of another subscriber's (`parts`, `later`).

mod later;
mod parts;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_nats::jetstream;
use prost::Message as _;
use sallyport_link::{clock, fault, publish::PublishError, pull::Source, settle};
use sallyport_proto::{
    answer::{Body, RelayedReceipt},
    envelope::OpenError,
    ids::{Jurisdiction, Ori, SubscriberId},
    limits,
    receipt::{Receipt, ReceiptError},
    registry::Registry,
    subject, wire,
};
use tokio::time::Instant;

use self::{later::Later, parts::Parts};
use crate::{answer, node::Node, parked};

/// Why a message on RECEIPTS is not passed on.
#[derive(Debug, thiserror::Error)]
enum NotForwarded {
    #[error("subject names no subscriber")]
    Subject,
    #[error("{bytes} bytes are over the limit of {}", limits::RECEIPT_MESSAGE_BYTES_MAX)]
    TooLarge { bytes: usize },
    #[error("{0}")]
    Receipt(#[from] ReceiptError),
    #[error("signed with the key of another party")]
    OthersKey,
    #[error("states receipts of {claimed} on the subject of {subject}")]
    OtherSubscriber { claimed: SubscriberId, subject: SubscriberId },
    #[error("subscriber {0} is not in the registry")]
    UnknownSubscriber(SubscriberId),
    #[error("facility {0} is not in the registry")]
    UnknownFacility(Ori),
}

impl NotForwarded {
    /// A newer registry, here or at another node, may know who said it and to whom it goes.
    fn may_pass_later(&self) -> bool {
        match self {
            Self::UnknownSubscriber(_) | Self::UnknownFacility(_) => true,
            Self::Receipt(error) => matches!(error, ReceiptError::Open(OpenError::UnknownKey)),
            Self::Subject | Self::TooLarge { .. } | Self::OthersKey | Self::OtherSubscriber { .. } => false,
        }
    }
}

/// Forwards until shutdown.
pub(crate) async fn run(node: Arc<Node>) -> Result<(), Infallible> {
    let mut source = Source::new(node.js.clone(), subject::RECEIPTS, subject::RELAY_DURABLE);
    let mut later = Later::default();
    while let Some(messages) = source.next(&node.shutdown).await {
        fault::point("relay.forward.after-pull");
        let hold = node.in_hand.hold(messages.iter(), None);
        one_batch(&node, &mut later, messages).await;
        drop(hold);
    }
    Ok(())
}

/// A receipt that may be passed on.
struct Passable {
    from: SubscriberId,
    receipt: RelayedReceipt,
    message: jetstream::Message,
}

async fn one_batch(node: &Arc<Node>, later: &mut Later, messages: Vec<jetstream::Message>) {
    let registry = node.registry.load_full();
    let mut jails: BTreeMap<(Jurisdiction, Ori), Vec<Passable>> = BTreeMap::new();
    for message in messages {
        match relayed(&message, &registry) {
            Ok(Some((to, from, receipt))) => {
                jails.entry(to).or_default().push(Passable { from, receipt, message });
            }
            // Outcomes and availability are folded by `track`; nothing is passed on to a jail yet.
            Ok(None) => settle::ack(&message).await,
            Err(why) if why.may_pass_later() && waits(later, &message) => {
                tracing::info!(subject = %message.subject, %why, "receipt not passed on yet");
                settle::nak_after(&message, later::WAIT).await;
            }
            Err(why) => refuse(node, &message, &why).await,
        }
    }
    for (to, receipts) in jails {
        pass_on(node, &to, receipts).await;
    }
}

/// Whether it may wait for a later registry.
fn waits(later: &mut Later, message: &jetstream::Message) -> bool {
    let Some((from, _)) = subject::subscriber_of_receipt(&message.subject) else { return false };
    let Ok(info) = message.info() else { return false };
    later.waits(&from, info.stream_sequence, info.delivered, Instant::now())
}

/// Kept on RECEIPTS as it came, credited to nobody. What a person may yet place is parked.
async fn refuse(node: &Node, message: &jetstream::Message, why: &NotForwarded) {
    tracing::warn!(subject = %message.subject, %why, "receipt not passed on");
    let reason = match why {
        NotForwarded::TooLarge { .. } => Some(parked::TOO_LARGE),
        _ if why.may_pass_later() => Some(parked::UNPLACED),
        _ => None,
    };
    if let (Some(reason), Some((from, _))) = (reason, subject::subscriber_of_receipt(&message.subject))
        && parked::park_receipt(node, &from, message, reason, why.to_string()).await.is_err()
    {
        return;
    }
    settle::ack(message).await;
}

/// In parts that the broker takes; each is settled once it is stored.
async fn pass_on(node: &Node, to: &(Jurisdiction, Ori), receipts: Vec<Passable>) {
    let mut parts = Parts::of(receipts, |passable| passable.receipt.receipt.len());
    while let Some(part) = parts.next() {
        let receipts = part.iter().map(|passable| passable.receipt.clone()).collect();
        match answer::send(node, to, Body::Progress(receipts)).await {
            Ok(()) => {
                fault::point("relay.forward.before-settle");
                for Passable { from, message, .. } in &part {
                    node.metrics.forwarded(from, 1);
                    settle::ack(message).await;
                }
            }
            Err(PublishError::Refused(_)) => {
                let Some(Passable { from, message, .. }) = parts.refused(part) else { continue };
                let text = "no answer to a jail can carry it".to_owned();
                if parked::park_receipt(node, &from, &message, parked::TOO_LARGE, text).await.is_ok() {
                    settle::ack(&message).await;
                }
            }
            Err(PublishError::ShuttingDown) => return,
        }
    }
}

fn names_a_listed_key(envelope: &[u8], registry: &Registry) -> bool {
    let Ok(envelope) = wire::Envelope::decode(envelope) else { return false };
    let listed = |keyid: &str| {
        let subscribers = registry.subscribers.values().map(|subscriber| &subscriber.signing_key);
        let facilities = registry.facilities.values().map(|facility| &facility.signing_key);
        let mut keys = subscribers.chain(facilities).chain(registry.relay_keys());
        keys.any(|key| key.as_str() == keyid)
    };
    envelope.signatures.iter().any(|signature| listed(&signature.keyid))
}

type Forwarded = ((Jurisdiction, Ori), SubscriberId, RelayedReceipt);

fn relayed(message: &jetstream::Message, registry: &Registry) -> Result<Option<Forwarded>, NotForwarded> {
    let (from, kind) = subject::subscriber_of_receipt(&message.subject).ok_or(NotForwarded::Subject)?;
    if matches!(kind, "outcome" | "availability") {
        return Ok(None);
    }
    let bytes = message.payload.len();
    if bytes > limits::RECEIPT_MESSAGE_BYTES_MAX {
        return Err(NotForwarded::TooLarge { bytes });
    }
    let subscriber =
        registry.subscribers.get(&from).ok_or_else(|| NotForwarded::UnknownSubscriber(from.clone()))?;
    let receipt = Receipt::open(&message.payload, &subscriber.signing_key).map_err(|error| {
        let unknown = matches!(error, ReceiptError::Open(OpenError::UnknownKey));
        // A key that somebody has is no new key of the one who sent it: no registry will ever say otherwise.
        if unknown && names_a_listed_key(&message.payload, registry) {
            return NotForwarded::OthersKey;
        }
        NotForwarded::Receipt(error)
    })?;
    if receipt.subscriber != from {
        return Err(NotForwarded::OtherSubscriber { claimed: receipt.subscriber, subject: from });
    }
    let facility = registry
        .facilities
        .get(&receipt.ori)
        .ok_or_else(|| NotForwarded::UnknownFacility(receipt.ori.clone()))?;
    let (Ok(info), payload) = (message.info(), message.payload.to_vec()) else {
        return Err(NotForwarded::Subject);
    };
    let receipts_sequence = info.stream_sequence;
    let stored = clock::broker_moment(info).ok_or(NotForwarded::Subject)?;
    let to = (facility.jurisdiction.clone(), facility.ori.clone());
    Ok(Some((to, from, RelayedReceipt { receipt: payload, stored, receipts_sequence })))
}

#[cfg(test)]
mod tests;
