//! Receipts on their way back: verifies each, passes it on to the jail as the subscriber signed it, then settles.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use sallyport_proto::{
    answer::{Body, RelayedReceipt},
    ids::{Jurisdiction, Ori, SubscriberId},
    subject,
    time::Moment,
    vocabulary::SourceClock,
};
use sallyport_relay_core::way_back::{self, Later};

use super::{Node, answer};
use crate::{
    broker::{Delivered, relay_durable},
    exec::Us,
    mutant::Mutant,
    process::Life,
};

/// Messages of one pull.
const PULL_MAX: u64 = 64;

pub(super) async fn run(node: Rc<Node>, life: Life) {
    let durable = relay_durable(subject::RECEIPTS);
    let mut later = Later::default();
    loop {
        let batch = life.world().chance.borrow_mut().within(1, PULL_MAX);
        let messages = life.pull(&durable, batch as usize).await;
        life.point("relay.forward.after-pull").await;
        one_batch(&node, &life, &durable, &mut later, messages).await;
    }
}

async fn one_batch(node: &Node, life: &Life, durable: &str, later: &mut Later, messages: Vec<Delivered>) {
    let registry = node.routing().registry.clone();
    let mut jails: BTreeMap<(Jurisdiction, Ori), (Vec<RelayedReceipt>, Vec<Delivered>)> = BTreeMap::new();
    for message in messages {
        let Some((from, _)) = subject::subscriber_of_receipt(&message.subject) else { continue };
        match way_back::place(&message.payload, &from, &registry) {
            Ok(to) => {
                let (receipts, messages) = jails.entry(to).or_default();
                receipts.push(relayed(life, &message));
                messages.push(message);
            }
            Err(_) if life.world().is(Mutant::SettleUnplacedReceipts) => life.ack(durable, &message).await,
            // Another node may be ahead in the roll-out of a registry: it comes again.
            Err(why) if why.may_pass_later() && waits(life, later, &from, &message) => {
                life.nak(durable, &message, way_back::WAIT.as_micros() as Us).await;
            }
            Err(why) => {
                life.world().note(|| format!("{} does not pass on a receipt: {why}", life.of.name));
                answer::park_receipt(node, life, &from, &message).await;
                life.ack(durable, &message).await;
            }
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

fn waits(life: &Life, later: &mut Later, from: &SubscriberId, message: &Delivered) -> bool {
    let now = Duration::from_micros(life.world().now());
    later.waits(from, message.sequence, i64::from(message.deliveries), now)
}

/// As it stands on RECEIPTS.
pub(super) fn relayed(life: &Life, message: &Delivered) -> RelayedReceipt {
    let stored = Moment::exact(life.world().time(message.stored), SourceClock::Broker);
    RelayedReceipt { receipt: message.payload.to_vec(), stored, receipts_sequence: message.sequence }
}
