//! Third stage: tells the jail, from what is committed, then settles. One signed Acceptance per facility and batch. The
//! order is the law: parked and answered first (stored by the broker), settled last; a crash between repeats the answer,
//! and a second Acceptance is harmless. What waited too long to be answered is given back, to be looked at again: DELIVER
//! may have become another one meanwhile.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use async_nats::HeaderMap;
use futures_util::{FutureExt, StreamExt, stream};
use sallyport_link::{clock, fault, publish, settle};
use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, is_permanent},
    ids::{Jurisdiction, Ori},
    subject,
    vocabulary::{RefusalCode, SourceClock},
};
use sallyport_relay_core::admit::Refused;
use tokio::sync::mpsc;

use crate::{
    commit::{Confirmed, Decided, DecidedBatch, Verdict},
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
/// What is to be looked at again comes again this soon: the broker is there, or nothing would be given back.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Answers and settles until the committer ends.
pub(crate) async fn run(
    node: Arc<Node>,
    mut decided: mpsc::Receiver<DecidedBatch>,
) -> Result<(), Infallible> {
    // Not ended by the token: what is committed is still answered, the committer closes the channel.
    while let Some(batch) = decided.recv().await {
        one_batch(&node, batch.decided, &batch.confirmed).await;
        drop(batch.holds);
    }
    Ok(())
}

async fn one_batch(node: &Arc<Node>, decided: Vec<Decided>, confirmed: &Confirmed) {
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
        let (node, confirmed) = (node.clone(), confirmed.clone());
        async move { accept(&node, to, events, messages, &confirmed).await }.boxed()
    });
    let refusals = refused.into_iter().map(|(pulled, why)| {
        let (node, confirmed) = (node.clone(), confirmed.clone());
        async move { refuse(&node, pulled, why, &confirmed).await }.boxed()
    });
    let answers: Vec<_> = acceptances.chain(refusals).collect();
    stream::iter(answers).buffer_unordered(ANSWERS_AT_ONCE).collect::<()>().await;
}

async fn accept(
    node: &Arc<Node>,
    to: (Jurisdiction, Ori),
    events: Vec<AcceptedEvent>,
    messages: Vec<Pulled>,
    confirmed: &Confirmed,
) {
    let count = events.len() as u64;
    for chunk in events.chunks(EVENTS_PER_ACCEPTANCE_MAX) {
        match send_while(confirmed, node, &to, Body::Acceptance(chunk.to_vec())).await {
            Some(Ok(())) => {}
            Some(Err(_)) => return,
            None => return give_back(&messages).await,
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

async fn refuse(node: &Arc<Node>, pulled: Pulled, why: Refused, confirmed: &Confirmed) {
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
    let body = Body::Refusal(refusal);
    // A conflict is one with what DELIVER holds; every other refusal is the message's own fault.
    let sent = match why.code {
        RefusalCode::Conflict => send_while(confirmed, node, &pulled.from, body).await,
        _ => Some(send(node, &pulled.from, body).await),
    };
    match sent {
        Some(Ok(())) => settle::ack(&pulled.message).await,
        Some(Err(_)) => {}
        None => give_back(&[pulled]).await,
    }
}

/// As `send`, unless it counts no more before it is stored. One that was on its way then is harmless: it was signed while
/// it was true.
async fn send_while(
    confirmed: &Confirmed,
    node: &Node,
    to: &(Jurisdiction, Ori),
    body: Body,
) -> Option<Result<(), publish::PublishError>> {
    tokio::select! {
        biased;
        () = confirmed.ends() => None,
        sent = send(node, to, body) => Some(sent),
    }
}

/// To be looked at again, here or at another node.
async fn give_back(messages: &[Pulled]) {
    tracing::info!(messages = messages.len(), "not answered in time; looking at DELIVER again first");
    for pulled in messages {
        settle::nak_after(&pulled.message, LOOK_AGAIN).await;
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
