//! Tells the jail, from what is committed, then settles: parked and answered first, settled last.

use std::{collections::BTreeMap, rc::Rc};

use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, is_permanent},
    ids::{Jurisdiction, Ori, SubscriberId},
    operations::Parked,
    subject,
    vocabulary::SourceClock,
};
use sallyport_relay_core::admit::Refused;
use tokio::sync::mpsc;

use super::{
    Node,
    commit::{Decided, Verdict},
    intake::Pulled,
};
use crate::{
    broker::{Delivered, relay_durable},
    process::Life,
};

pub(super) async fn run(node: Rc<Node>, life: Life, mut decided: mpsc::Receiver<Decided>) {
    while let Some(batch) = decided.recv().await {
        one_batch(&node, &life, batch).await;
    }
}

async fn one_batch(node: &Node, life: &Life, decided: Decided) {
    let durable = relay_durable(subject::INGEST);
    let mut accepted: BTreeMap<(Jurisdiction, Ori), (Vec<AcceptedEvent>, Vec<Pulled>)> = BTreeMap::new();
    let mut refused = Vec::new();
    for (pulled, verdict) in decided {
        match verdict {
            Verdict::Accepted(known) => {
                let (events, messages) = accepted.entry(pulled.from.clone()).or_default();
                // Copies share one line.
                if !events.iter().any(|event| event.event_id == known.event.event_id) {
                    events.push(known.event.clone());
                }
                messages.push(pulled);
            }
            Verdict::Refused(why) => refused.push((pulled, why)),
            Verdict::Again(delay) => life.nak(&durable, &pulled.message, delay).await,
        }
    }
    for (to, (events, messages)) in accepted {
        send(node, life, &to, Body::Acceptance(events)).await;
        life.point("relay.answer.before-settle").await;
        for pulled in &messages {
            life.ack(&durable, &pulled.message).await;
        }
        life.point("relay.answer.after-settle").await;
    }
    for (pulled, why) in refused {
        refuse(node, life, pulled, why).await;
    }
}

async fn refuse(node: &Node, life: &Life, pulled: Pulled, why: Refused) {
    life.world().note(|| format!("{} refuses {:?}: {}", life.of.name, why.event_id, why.code));
    park(node, life, &pulled, &why).await;
    life.point("relay.answer.after-parking").await;
    let refusal = Refusal {
        event_id: why.event_id,
        digest: pulled.digest,
        code: why.code,
        permanent: is_permanent(why.code),
        text: String::new(),
    };
    send(node, life, &pulled.from, Body::Refusal(refusal)).await;
    life.ack(&relay_durable(subject::INGEST), &pulled.message).await;
}

async fn park(node: &Node, life: &Life, pulled: &Pulled, why: &Refused) {
    let (st, ori) = &pulled.from;
    let reason = why.code.as_str().to_ascii_lowercase();
    let subject = subject::hub_parked(&reason, st, ori);
    keep(node, life, subject, why.code.as_str(), subject::INGEST, &pulled.message).await;
}

/// A receipt that this node may not give back any more.
pub(super) async fn park_receipt(node: &Node, life: &Life, from: &SubscriberId, message: &Delivered) {
    const REASON: &str = "receipt_unplaced";
    let subject = subject::hub_parked_receipt(REASON, from);
    keep(node, life, subject, REASON, subject::RECEIPTS, message).await;
}

async fn keep(node: &Node, life: &Life, to: String, reason: &str, stream: &str, message: &Delivered) {
    let record = Parked {
        provenance: node.provenance(),
        reason: reason.to_owned(),
        text: None,
        subject: message.subject.clone(),
        stream: stream.to_owned(),
        stream_sequence: message.sequence,
        original: message.payload.to_vec(),
        at: life.moment(SourceClock::Relay),
        relay_node: node.name.clone(),
    };
    life.until_stored(subject::PARKED, to, record.seal(&node.signer).into()).await.expect("no limit there");
}

/// Signs and stores one answer.
pub(super) async fn send(node: &Node, life: &Life, (st, ori): &(Jurisdiction, Ori), body: Body) {
    let answer = Answer {
        provenance: node.provenance(),
        ori: ori.clone(),
        at: life.moment(SourceClock::Relay),
        relay_node: node.name.clone(),
        body,
    };
    let subject = subject::hub_answer(st, ori, answer.kind());
    life.point("relay.answer.before-publish").await;
    let bytes = answer.seal(&node.signer);
    life.until_stored(subject::ANSWERS, subject, bytes.into()).await.expect("no limit there");
    life.point("relay.answer.after-publish").await;
}
