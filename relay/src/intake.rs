//! First stage: pulls from INGEST, verifies, and hands batches on to `commit`. Decides nothing but whether a message is
//! what it claims to be; what is not goes on as `Refused`, to be parked and answered.

use std::{convert::Infallible, sync::Arc};

use async_nats::jetstream;
use sallyport_link::{clock, fault, pull::Source};
use sallyport_proto::{
    envelope::Digest,
    event::VerifiedEvent,
    ids::{Jurisdiction, Ori},
    registry::Registry,
    subject,
    time::Moment,
};
use sallyport_relay_core::{
    admit::{self, Refused},
    commit::Arrival,
};
use tokio::sync::mpsc;

use crate::{in_hand::Hold, node::Node};

/// One message of INGEST on its way through the node. Settled by whoever ends its way.
pub(crate) struct Pulled {
    /// Settles it.
    pub(crate) message: jetstream::Message,
    /// The facility whose subject it came on: accounts let nobody else publish there.
    pub(crate) from: (Jurisdiction, Ori),
    /// SHA-256 of the message.
    pub(crate) digest: Digest,
    /// When the broker stored it.
    pub(crate) t4_stored: Moment,
    /// Its sequence on INGEST.
    pub(crate) sequence: u64,
    /// Delivered before: it may have been routed already.
    pub(crate) redelivered: bool,
    /// What it is.
    pub(crate) content: Content,
}

impl Pulled {
    /// As the committer sees it; none for what is refused.
    pub(crate) fn arrival(&self) -> Option<Arrival<'_>> {
        let Content::Event(event) = &self.content else { return None };
        Some(Arrival {
            from: &self.from,
            digest: self.digest,
            t4_stored: self.t4_stored,
            sequence: self.sequence,
            redelivered: self.redelivered,
            event,
        })
    }
}

/// What a pulled message turned out to be.
pub(crate) enum Content {
    /// A release event that its facility signed.
    Event(Box<VerifiedEvent>),
    /// Not acceptable.
    Refused(Refused),
}

/// A batch in work, with its permit.
pub(crate) struct Batch {
    /// The messages, in stream order.
    pub(crate) pulled: Vec<Pulled>,
    /// Held, and counted as in flight, until the batch is done.
    pub(crate) hold: Hold,
}

/// Batches that wait to be written ahead: while one is, one more is verified. More would only age.
pub(crate) const BATCHES_WAITING_MAX: usize = 1;

/// Pulls and verifies until shutdown.
pub(crate) async fn run(node: Arc<Node>, commit: mpsc::Sender<Batch>) -> Result<(), Infallible> {
    let mut source = Source::new(node.js.clone(), subject::INGEST, subject::RELAY_DURABLE);
    while let Some(messages) = source.next(&node.shutdown).await {
        fault::point("relay.intake.after-pull");
        let routing = node.routing.load_full();
        let pulled: Vec<_> =
            messages.into_iter().filter_map(|message| pulled(message, &routing.registry)).collect();
        let again = pulled.iter().filter(|p| p.redelivered).count() as u64;
        if again > 0 {
            node.metrics.redelivered(subject::INGEST, again);
        }
        let counted = node.metrics.in_flight(i64::try_from(pulled.len()).unwrap_or(0));
        let hold = node.in_hand.hold(pulled.iter().map(|p: &Pulled| &p.message), Some(counted));
        if commit.send(Batch { pulled, hold }).await.is_err() {
            // The committer ended first: shutdown. What is in hand comes again after ack_wait.
            break;
        }
    }
    Ok(())
}

/// Looks at one message. `None` only for what JetStream did not deliver.
fn pulled(message: jetstream::Message, registry: &Registry) -> Option<Pulled> {
    let info = message.info().ok()?;
    let (sequence, redelivered) = (info.stream_sequence, info.delivered > 1);
    let t4_stored = clock::broker_moment(info)?;
    // The stream's own filter admits no other subject.
    let from = subject::facility_of_ingest(&message.subject)?;
    let content = match admit::event(&message.payload, &from, registry, clock::now()) {
        Ok(event) => Content::Event(Box::new(event)),
        Err(refused) => Content::Refused(refused),
    };
    Some(Pulled {
        digest: Digest::of(&message.payload),
        from,
        t4_stored,
        sequence,
        redelivered,
        content,
        message,
    })
}
