//! Third stage: tells the jail, from what is committed, then settles. One signed Acceptance per facility and batch. The
//! order is the law: parked and answered first (stored by the broker), settled last; a crash between repeats the answer,
//! and a second Acceptance is harmless.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_nats::HeaderMap;
use futures_util::{FutureExt, StreamExt, stream};
use sallyport_link::{clock, fault, publish, settle};
use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, is_permanent},
    ids::{Jurisdiction, Ori},
    subject,
    vocabulary::SourceClock,
};
use sallyport_relay_core::admit::Refused;
use tokio::sync::mpsc;

use crate::{
    commit::{Decided, DecidedBatch, Verdict},
    intake::Pulled,
    node::Node,
    parked,
};

/// Decided batches that wait: the next commits while one is answered.
pub(crate) const BATCHES_WAITING_MAX: usize = 2;
/// Answers being stored at once: one per facility of a batch.
const ANSWERS_AT_ONCE: usize = 16;
/// Events in one Acceptance: keeps it under 64 KiB with many recipients.
const EVENTS_PER_ACCEPTANCE_MAX: usize = 64;

/// Answers and settles until the committer ends.
pub(crate) async fn run(
    node: Arc<Node>,
    mut decided: mpsc::Receiver<DecidedBatch>,
) -> Result<(), Infallible> {
    // Not ended by the token: what is committed is still answered, the committer closes the channel.
    while let Some(batch) = decided.recv().await {
        one_batch(&node, batch.decided).await;
        drop(batch.holds);
    }
    Ok(())
}

async fn one_batch(node: &Arc<Node>, decided: Vec<Decided>) {
    let mut accepted: BTreeMap<(Jurisdiction, Ori), (Vec<AcceptedEvent>, Vec<Pulled>)> = BTreeMap::new();
    let mut refused = Vec::new();
    for Decided { pulled, verdict } in decided {
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
            Verdict::Again(delay) => settle::nak_after(&pulled.message, delay).await,
        }
    }
    let acceptances = accepted.into_iter().map(|(to, (events, messages))| {
        let node = node.clone();
        async move { accept(&node, to, events, messages).await }.boxed()
    });
    let refusals = refused.into_iter().map(|(pulled, why)| {
        let node = node.clone();
        async move { refuse(&node, pulled, why).await }.boxed()
    });
    let answers: Vec<_> = acceptances.chain(refusals).collect();
    stream::iter(answers).buffer_unordered(ANSWERS_AT_ONCE).collect::<()>().await;
}

async fn accept(
    node: &Arc<Node>,
    to: (Jurisdiction, Ori),
    events: Vec<AcceptedEvent>,
    messages: Vec<Pulled>,
) {
    let count = events.len() as u64;
    for chunk in events.chunks(EVENTS_PER_ACCEPTANCE_MAX) {
        if send(node, &to, Body::Acceptance(chunk.to_vec())).await.is_err() {
            return;
        }
    }
    node.metrics.accepted(&to.1, count);
    fault::point("relay.answer.before-settle");
    for pulled in &messages {
        // A redelivery is harmless: the routed record is found and the answer made again.
        settle::ack(&pulled.message).await;
    }
    fault::point("relay.answer.after-settle");
}

async fn refuse(node: &Arc<Node>, pulled: Pulled, why: Refused) {
    tracing::warn!(ori = %pulled.from.1, code = %why.code, text = why.text, sequence = pulled.sequence, "refused");
    if parked::park(node, &pulled, &why).await.is_err() {
        return;
    }
    fault::point("relay.answer.after-parking");
    node.metrics.refused(&pulled.from.1, why.code);
    let refusal = Refusal {
        event_id: why.event_id,
        digest: pulled.digest,
        code: why.code,
        permanent: is_permanent(why.code),
        text: why.text,
    };
    if send(node, &pulled.from, Body::Refusal(refusal)).await.is_ok() {
        settle::ack(&pulled.message).await;
    }
}

/// Signs and stores one answer; an error only at shutdown or for what can never be stored (logged).
pub(crate) async fn send(
    node: &Node,
    (st, ori): &(Jurisdiction, Ori),
    body: Body,
) -> Result<(), publish::PublishError> {
    let answer = Answer {
        provenance: node.provenance(),
        ori: ori.clone(),
        at: clock::moment(SourceClock::Relay),
        relay_node: node.name.clone(),
        body,
    };
    let subject = subject::hub_answer(st, ori, answer.kind());
    fault::point("relay.answer.before-publish");
    let stored = publish::until_stored(
        &node.js,
        &subject,
        HeaderMap::new(),
        answer.seal(&node.signer).into(),
        &node.shutdown,
    )
    .await;
    fault::point("relay.answer.after-publish");
    match stored {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::error!(subject, error = %publish::chain(&error), "answer not stored");
            Err(error)
        }
    }
}
