//! Receipts on their way back: verifies each, passes it on to the jail as the subscriber signed it, then settles.

use std::{collections::BTreeMap, rc::Rc};

use sallyport_proto::{
    answer::{Body, RelayedReceipt},
    ids::{Jurisdiction, Ori},
    receipt::Receipt,
    registry::Registry,
    subject,
    time::Moment,
    vocabulary::SourceClock,
};

use super::{Node, answer};
use crate::{
    broker::{Delivered, relay_durable},
    exec::{S, Us},
    mutant::Mutant,
    process::Life,
};

/// What this node's registry cannot place comes again after this.
const LATER_REGISTRY_WAIT: Us = 5 * S;
/// Messages of one pull.
const PULL_MAX: u64 = 64;

pub(super) async fn run(node: Rc<Node>, life: Life) {
    let durable = relay_durable(subject::RECEIPTS);
    loop {
        let batch = life.world().chance.borrow_mut().within(1, PULL_MAX);
        let messages = life.pull(&durable, batch as usize).await;
        life.point("relay.forward.after-pull").await;
        one_batch(&node, &life, &durable, messages).await;
    }
}

async fn one_batch(node: &Node, life: &Life, durable: &str, messages: Vec<Delivered>) {
    let registry = node.routing().registry.clone();
    let mut jails: BTreeMap<(Jurisdiction, Ori), (Vec<RelayedReceipt>, Vec<Delivered>)> = BTreeMap::new();
    for message in messages {
        match relayed(life, &message, &registry) {
            Some((to, receipt)) => {
                let (receipts, messages) = jails.entry(to).or_default();
                receipts.push(receipt);
                messages.push(message);
            }
            None if life.world().is(Mutant::SettleUnplacedReceipts) => life.ack(durable, &message).await,
            // Another node may be ahead in the roll-out of a registry: it comes again.
            None => life.nak(durable, &message, LATER_REGISTRY_WAIT).await,
        }
    }
    for (to, (receipts, messages)) in jails {
        answer::send(node, life, &to, Body::Progress(receipts)).await;
        life.point("relay.forward.before-settle").await;
        for message in &messages {
            life.ack(durable, message).await;
        }
    }
}

/// To which jail a receipt goes.
pub(super) fn relayed(
    life: &Life,
    message: &Delivered,
    registry: &Registry,
) -> Option<((Jurisdiction, Ori), RelayedReceipt)> {
    let (from, _) = subject::subscriber_of_receipt(&message.subject)?;
    let subscriber = registry.subscribers.get(&from)?;
    let receipt = Receipt::open(&message.payload, &subscriber.signing_key).ok()?;
    if receipt.subscriber != from {
        return None;
    }
    let facility = registry.facilities.get(&receipt.ori)?;
    let stored = Moment::exact(life.world().time(message.stored), SourceClock::Broker);
    let to = (facility.jurisdiction.clone(), facility.ori.clone());
    let receipt =
        RelayedReceipt { receipt: message.payload.to_vec(), stored, receipts_sequence: message.sequence };
    Some((to, receipt))
}
