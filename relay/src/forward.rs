//! Receipts on their way back: verifies each, passes it on to the jail as the subscriber signed it, then settles. The
//! agent folds by the receipt's digest, so that a repetition is harmless.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use async_nats::jetstream;
use sallyport_link::{clock, fault, pull::Source, settle};
use sallyport_proto::{
    answer::{Body, RelayedReceipt},
    envelope::OpenError,
    ids::{Jurisdiction, Ori, SubscriberId},
    receipt::{Receipt, ReceiptError},
    registry::Registry,
    subject,
};

use crate::{answer, node::Node};

/// A node may be behind in the roll-out of a registry that another one has: what it cannot place comes again after this.
const LATER_REGISTRY_WAIT: Duration = Duration::from_secs(5);
/// And so often, an hour in all: a roll-out takes less. By deliveries, because a clock may leap.
const LATER_REGISTRY_TRIES_MAX: i64 = 720;

/// Why a message on RECEIPTS is not passed on.
#[derive(Debug, thiserror::Error)]
enum NotForwarded {
    #[error("subject names no subscriber")]
    Subject,
    #[error("{0}")]
    Receipt(#[from] ReceiptError),
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
            Self::Subject | Self::OtherSubscriber { .. } => false,
        }
    }
}

/// Forwards until shutdown.
pub(crate) async fn run(node: Arc<Node>) -> Result<(), Infallible> {
    let mut source = Source::new(node.js.clone(), subject::RECEIPTS, subject::RELAY_DURABLE);
    while let Some(messages) = source.next(&node.shutdown).await {
        fault::point("relay.forward.after-pull");
        let hold = node.in_hand.hold(messages.iter(), None);
        one_batch(&node, messages).await;
        drop(hold);
    }
    Ok(())
}

#[derive(Default)]
struct ToJail {
    receipts: Vec<RelayedReceipt>,
    messages: Vec<jetstream::Message>,
    of: BTreeMap<SubscriberId, u64>,
}

async fn one_batch(node: &Arc<Node>, messages: Vec<jetstream::Message>) {
    let registry = node.registry.load_full();
    let mut jails: BTreeMap<(Jurisdiction, Ori), ToJail> = BTreeMap::new();
    for message in messages {
        match relayed(&message, &registry) {
            Ok(Some((to, subscriber, receipt))) => {
                let jail = jails.entry(to).or_default();
                *jail.of.entry(subscriber).or_default() += 1;
                jail.receipts.push(receipt);
                jail.messages.push(message);
            }
            // Outcomes and availability are folded by `track`; nothing is passed on to a jail yet.
            Ok(None) => settle::ack(&message).await,
            Err(why) if why.may_pass_later() && deliveries(&message) < LATER_REGISTRY_TRIES_MAX => {
                tracing::info!(subject = %message.subject, %why, "receipt not passed on yet");
                settle::nak_after(&message, LATER_REGISTRY_WAIT).await;
            }
            Err(why) => {
                // Kept on RECEIPTS as it came, counted as unreadable by `track`, credited to nobody.
                tracing::warn!(subject = %message.subject, %why, "receipt not passed on");
                settle::ack(&message).await;
            }
        }
    }
    for (to, jail) in jails {
        if answer::send(node, &to, Body::Progress(jail.receipts)).await.is_err() {
            continue;
        }
        for (subscriber, count) in &jail.of {
            node.metrics.forwarded(subscriber, *count);
        }
        fault::point("relay.forward.before-settle");
        for message in &jail.messages {
            settle::ack(message).await;
        }
    }
}

fn deliveries(message: &jetstream::Message) -> i64 {
    message.info().map_or(LATER_REGISTRY_TRIES_MAX, |info| info.delivered)
}

type Forwarded = ((Jurisdiction, Ori), SubscriberId, RelayedReceipt);

fn relayed(message: &jetstream::Message, registry: &Registry) -> Result<Option<Forwarded>, NotForwarded> {
    let (from, kind) = subject::subscriber_of_receipt(&message.subject).ok_or(NotForwarded::Subject)?;
    if matches!(kind, "outcome" | "availability") {
        return Ok(None);
    }
    let subscriber =
        registry.subscribers.get(&from).ok_or_else(|| NotForwarded::UnknownSubscriber(from.clone()))?;
    let receipt = Receipt::open(&message.payload, &subscriber.signing_key)?;
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
