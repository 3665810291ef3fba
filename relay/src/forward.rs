//! Receipts on their way back: verifies each, passes it on to the jail as the subscriber signed it, then settles. The
//! agent folds by the receipt's digest, so that a repetition is harmless. What can never be passed on is parked, so that
//! no receipt stands in the way of another subscriber's (`relay_core::way_back`).

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_nats::jetstream;
use sallyport_link::{clock, fault, publish::PublishError, pull::Source, settle};
use sallyport_proto::{
    answer::{Body, RelayedReceipt},
    ids::{Jurisdiction, Ori, SubscriberId},
    subject,
    time::Moment,
};
use sallyport_relay_core::way_back::{self, Later, NotPlaced, Parts};
use tokio::time::Instant;

use crate::{answer, node::Node, parked};

/// Forwards until shutdown.
pub(crate) async fn run(node: Arc<Node>) -> Result<(), Infallible> {
    let mut source = Source::new(node.js.clone(), subject::RECEIPTS, subject::RELAY_DURABLE);
    let mut later = WaitsHere { began: Instant::now(), later: Later::default() };
    while let Some(messages) = source.next(&node.shutdown).await {
        fault::point("relay.forward.after-pull");
        let hold = node.in_hand.hold(messages.iter(), None);
        one_batch(&node, &mut later, messages).await;
        drop(hold);
    }
    Ok(())
}

/// What this node gave back for a later registry.
struct WaitsHere {
    began: Instant,
    later: Later,
}

/// A message of RECEIPTS, as far as JetStream says what it is.
struct Pulled {
    from: SubscriberId,
    stored: Moment,
    sequence: u64,
    delivered: i64,
    message: jetstream::Message,
}

/// A receipt that may be passed on.
struct Passable {
    from: SubscriberId,
    receipt: RelayedReceipt,
    message: jetstream::Message,
}

async fn one_batch(node: &Arc<Node>, later: &mut WaitsHere, messages: Vec<jetstream::Message>) {
    let registry = node.registry.load_full();
    let mut jails: BTreeMap<(Jurisdiction, Ori), Vec<Passable>> = BTreeMap::new();
    for message in messages {
        let Some((from, kind)) = subject::subscriber_of_receipt(&message.subject) else {
            tracing::warn!(subject = %message.subject, "receipt not passed on: its subject names no subscriber");
            settle::ack(&message).await;
            continue;
        };
        // Outcomes and availability are folded by `track`; nothing is passed on to a jail yet.
        if matches!(kind, "outcome" | "availability") {
            settle::ack(&message).await;
            continue;
        }
        let Some(pulled) = pulled(from, message) else { continue };
        match way_back::place(&pulled.message.payload, &pulled.from, &registry) {
            Ok(to) => jails.entry(to).or_default().push(pulled.passable()),
            Err(why) if why.may_pass_later() && later.takes(&pulled) => {
                tracing::info!(subject = %pulled.message.subject, %why, "receipt not passed on yet");
                settle::nak_after(&pulled.message, way_back::WAIT).await;
            }
            Err(why) => refuse(node, &pulled, &why).await,
        }
    }
    for (to, receipts) in jails {
        pass_on(node, &to, receipts).await;
    }
}

/// `None` only for what JetStream did not deliver.
fn pulled(from: SubscriberId, message: jetstream::Message) -> Option<Pulled> {
    let info = message.info().ok()?;
    let (sequence, delivered) = (info.stream_sequence, info.delivered);
    let stored = clock::broker_moment(info)?;
    Some(Pulled { from, stored, sequence, delivered, message })
}

impl Pulled {
    fn passable(self) -> Passable {
        let Self { from, stored, sequence, message, .. } = self;
        let receipt = message.payload.to_vec();
        Passable { from, receipt: RelayedReceipt { receipt, stored, receipts_sequence: sequence }, message }
    }
}

impl WaitsHere {
    fn takes(&mut self, pulled: &Pulled) -> bool {
        self.later.waits(&pulled.from, pulled.sequence, pulled.delivered, self.began.elapsed())
    }
}

/// Kept on RECEIPTS as it came, credited to nobody. What a person may yet place is parked.
async fn refuse(node: &Node, pulled: &Pulled, why: &NotPlaced) {
    let Pulled { from, message, .. } = pulled;
    tracing::warn!(subject = %message.subject, %why, "receipt not passed on");
    let reason = match why {
        NotPlaced::TooLarge { .. } => Some(parked::TOO_LARGE),
        _ if why.may_pass_later() => Some(parked::UNPLACED),
        _ => None,
    };
    if let Some(reason) = reason
        && parked::park_receipt(node, from, message, reason, why.to_string()).await.is_err()
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
