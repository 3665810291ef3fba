//! Tells every subscriber once a minute how far its notices reach, as the product's node does: what a head may claim is
//! `relay_core`'s, the count is the read model's.

use std::{rc::Rc, time::Duration};

use sallyport_proto::{ids::SubscriberId, operations::SubscriberHead, subject, vocabulary::SourceClock};
use sallyport_relay_core::{
    heads::{Base, is_due},
    ledger::Stream,
};

use super::Node;
use crate::{
    broker::{Broker, Refused},
    coverage::HeadStep,
    exec::{S, Us},
    mutant::Mutant,
    net::NotStored,
    process::Life,
    world::in_words,
};

/// How often.
const EVERY: Us = 60 * S;

/// A subscriber whose head is to be stated.
struct Due {
    subscriber: SubscriberId,
    last: u64,
    head: Option<SubscriberHead>,
}

pub(super) async fn run(node: Rc<Node>, life: Life) {
    loop {
        turn(&node, &life).await;
        life.sleep(EVERY).await;
    }
}

fn see(life: &Life, step: HeadStep) {
    life.world().coverage.borrow_mut().head(step);
}

async fn turn(node: &Node, life: &Life) {
    let subscribers: Vec<SubscriberId> = node.routing().registry.subscribers.keys().cloned().collect();
    let mut dues = Vec::new();
    for subscriber in subscribers {
        dues.extend(due(node, life, subscriber).await);
    }
    // After the last heads: what they name was there when they were stated.
    let look = |broker: &Broker| broker.stream(subject::DELIVER).created;
    let Some(created) = life.ask(subject::DELIVER, look).await else {
        dues.iter().for_each(|_| see(life, HeadStep::NotRead));
        return;
    };
    for (due, head) in counted(node, life, dues, created) {
        let subject = subject::hub_head(&due.subscriber);
        let bytes = head.seal(&node.signer);
        let stated = life.publish_after(subject::HEARTBEATS, subject, bytes.into(), due.last).await;
        see(
            life,
            match stated {
                Ok(_) => HeadStep::Stated,
                Err(NotStored::Refused(Refused::Taken)) => HeadStep::AnotherWasFirst,
                Err(_) => HeadStep::NotStored,
            },
        );
    }
}

/// Its last head, if another one is due.
async fn due(node: &Node, life: &Life, subscriber: SubscriberId) -> Option<Due> {
    let at = subject::hub_head(&subscriber);
    let look = move |broker: &Broker| broker.stream(subject::HEARTBEATS).last_of(&at).cloned();
    let Some(last) = life.ask(subject::HEARTBEATS, look).await else {
        see(life, HeadStep::NotRead);
        return None;
    };
    let stored = last.as_ref().map(|last| life.world().time(last.stored));
    if !is_due(stored, life.now(), Duration::from_micros(EVERY)) {
        see(life, HeadStep::NotDue);
        return None;
    }
    let registry = &node.routing().registry;
    let head = last.as_ref().and_then(|last| SubscriberHead::open(&last.payload, registry.relay_keys()).ok());
    Some(Due { subscriber, last: last.map_or(0, |last| last.sequence), head })
}

/// The heads, counted on one state of the model, if it is of the DELIVER of now.
fn counted(node: &Node, life: &Life, dues: Vec<Due>, of_now: Us) -> Vec<(Due, SubscriberHead)> {
    let on_disk = node.read_model.borrow();
    let is_whole = on_disk.is_whole(&[Stream::Deliver], life.now());
    let position = on_disk.position(Stream::Deliver);
    let Some(position) = position.filter(|position| is_whole && position.created == of_now) else {
        dues.iter().for_each(|_| see(life, HeadStep::NotWhole));
        return Vec::new();
    };
    let (created, sequence) = (in_words(position.created), position.sequence);
    let mut heads = Vec::with_capacity(dues.len());
    for due in dues {
        let Some(base) = Base::of(due.head.as_ref(), &created, sequence) else {
            see(life, HeadStep::AnotherIsFurther);
            continue;
        };
        let mut rank = base.rank + on_disk.model.given(&due.subscriber, base.sequence, sequence);
        // The defect: a number of one's own, beside the model's.
        if life.world().is(Mutant::HeadCountsBeforeCommit) {
            rank += node.begun.borrow().get(&due.subscriber).copied().unwrap_or_default();
        }
        let head = SubscriberHead {
            provenance: node.provenance(),
            subscriber: due.subscriber.clone(),
            rank,
            last_sequence: sequence,
            at: life.moment(SourceClock::Relay),
            stream_created: created.clone(),
        };
        life.world().note(|| format!("{} says {rank} of {} up to {sequence}", life.of.name, due.subscriber));
        heads.push((due, head));
    }
    heads
}
