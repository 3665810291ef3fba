//! Puts notices back that DELIVER lost while their event's `routed` record stands: from the jail's own message on INGEST, for
//! the recipients of that record, each under its own subject, which must hold nothing. No jail and no operator is needed,
//! and whichever nodes do it, each stands there once.
//!
//! A node looks at DELIVER's leader, not at its read model, for what is missing. What cannot be put back is said, and tried
//! again now and then: INGEST may come back from an archive.

use std::collections::BTreeSet;

use async_nats::{
    HeaderMap,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{
        context::PublishErrorKind,
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    envelope::Digest,
    ids::{Jurisdiction, SubscriberId},
    routed::Routed,
    subject,
};
use sallyport_relay_core::{
    admit,
    commit::{Arrival, Entry, again},
};

use super::lacking::Lacking;
use crate::node::Node;

/// Why notices are not put back.
#[derive(Debug, thiserror::Error)]
enum NotPutBack {
    #[error("INGEST does not hold the jail's message any more: bring it back from an archive")]
    NoMessage,
    #[error("what stands on INGEST is not what was routed")]
    OtherBytes,
    #[error("the jail's message is refused today: {0}")]
    Refused(String),
    #[error("the registry in force has no terms any more for {0}")]
    NoTerms(String),
    #[error("{what}: {why}")]
    Broker { what: &'static str, why: String },
}

fn broker(what: &'static str) -> impl Fn(&dyn std::error::Error) -> NotPutBack {
    move |error| NotPutBack::Broker { what, why: chain(error) }
}

/// Puts back what this event lacks, and says what came of it.
pub(super) async fn put_back(node: &Node, lacking: &Lacking) {
    let (ori, event) = (&lacking.ori, &lacking.event_id);
    match attempt(node, lacking).await {
        Ok(told) if told.is_empty() => {
            tracing::debug!(%ori, %event, "DELIVER's leader has all notices; the read model follows");
        }
        Ok(told) => {
            let told: Vec<_> = told.iter().map(|to| format!("{ori}.{event}.{to}")).collect();
            tracing::warn!(notices = told.join(" "), "notices that DELIVER had lost were put back");
        }
        Err(error) => {
            tracing::error!(%ori, %event, error = %chain(&error), "notices that DELIVER lost cannot be put back");
        }
    }
}

async fn attempt(node: &Node, lacking: &Lacking) -> Result<Vec<SubscriberId>, NotPutBack> {
    let Some((st, message)) = &lacking.from else { return Err(NotPutBack::NoMessage) };
    let looking = broker("cannot look at DELIVER");
    let deliver = node.js.get_stream_no_info(subject::DELIVER).await.map_err(|error| looking(&error))?;
    let registry = node.registry.load_full();
    let record = last(&deliver, &subject::hub_routed(st, &lacking.ori, &lacking.event_id)).await?;
    // Gone since it was looked at: its jail is asked to send the event again.
    let Some(record) = record else { return Ok(Vec::new()) };
    let routed = Routed::open(&record, registry.relay_keys()).map_err(|error| looking(&error))?;
    let missing = missing(&deliver, st, &routed).await?;
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let from = (st.clone(), lacking.ori.clone());
    let bytes = message_of(node, *message).await?;
    let digest = Digest::of(&bytes);
    if digest != routed.event_digest {
        return Err(NotPutBack::OtherBytes);
    }
    let event = admit::event(&bytes, &from, &registry, clock::now())
        .map_err(|refused| NotPutBack::Refused(refused.text))?;
    let arrival = Arrival {
        from: &from,
        digest,
        t4_stored: routed.t4_stored,
        sequence: routed.ingest_sequence,
        redelivered: true,
        event: &event,
    };
    let again = again(&node.author(), &node.routing.load(), &arrival, &routed, &missing);
    let mut told = Vec::new();
    for (to, entry) in again.entries {
        if publish(node, entry).await? {
            node.metrics.committed(&to, 1);
            told.push(to);
        }
    }
    if again.untellable.is_empty() {
        return Ok(told);
    }
    let names: Vec<_> = again.untellable.iter().map(SubscriberId::as_str).collect();
    Err(NotPutBack::NoTerms(names.join(" ")))
}

/// Recipients whose first notice DELIVER's leader does not have.
async fn missing(
    deliver: &Stream<()>,
    st: &Jurisdiction,
    routed: &Routed,
) -> Result<BTreeSet<SubscriberId>, NotPutBack> {
    let mut missing = BTreeSet::new();
    for recipient in &routed.recipients {
        let to = &recipient.subscriber;
        let place = subject::hub_deliver(to, st, &routed.ori, &routed.event_id, 0);
        if last(deliver, &place).await?.is_none() {
            missing.insert(to.clone());
        }
    }
    Ok(missing)
}

/// The last message of a subject, by the stream's leader.
async fn last(stream: &Stream<()>, subject: &str) -> Result<Option<Bytes>, NotPutBack> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message.payload)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(broker("cannot look at DELIVER")(&error)),
    }
}

/// The jail's message, from INGEST.
async fn message_of(node: &Node, sequence: u64) -> Result<Bytes, NotPutBack> {
    let failed = broker("cannot read INGEST");
    let ingest = node.js.get_stream_no_info(subject::INGEST).await.map_err(|error| failed(&error))?;
    match ingest.get_raw_message(sequence).await {
        Ok(message) => Ok(message.payload),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Err(NotPutBack::NoMessage),
        Err(error) => Err(failed(&error)),
    }
}

/// Whether it was this node that put it there.
async fn publish(node: &Node, entry: Entry) -> Result<bool, NotPutBack> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    let failed = broker("DELIVER does not take it");
    let sent = node.js.publish_with_headers(entry.subject, headers, entry.payload.into());
    match sent.await.map_err(|error| failed(&error))?.await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}
