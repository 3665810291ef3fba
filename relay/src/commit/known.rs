//! What this node knows of committed events. A `routed` record never changes, so a remembered one stays true; what is
//! not remembered is read at the stream's leader, never assumed absent.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use async_nats::jetstream;
use sallyport_proto::{
    answer::AcceptedEvent,
    ids::{EventId, Jurisdiction, Ori, SubscriberId},
    registry::Registry,
    routed::Routed,
    subject,
};

/// Remembered events: a burst's worth of redeliveries and predecessors, about 300 bytes each.
const REMEMBERED_MAX: usize = 20_000;

/// One committed event, as its `routed` record has it.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// For the Acceptance.
    pub(crate) event: AcceptedEvent,
    /// Whom it was addressed to: corrections follow the told.
    pub(crate) told: BTreeSet<SubscriberId>,
}

impl From<Routed> for Accepted {
    fn from(routed: Routed) -> Self {
        let told: BTreeSet<_> = routed.recipients.iter().map(|r| r.subscriber.clone()).collect();
        Self {
            event: AcceptedEvent {
                event_id: routed.event_id,
                digest: routed.event_digest,
                recipients: told.iter().cloned().collect(),
                unsubscribed: routed.unsubscribed,
                registry_version: routed.registry_version,
                predecessor_missing: routed.predecessor_missing,
                t4_stored: routed.t4_stored,
                t5_routed: routed.t5_routed,
            },
            told,
        }
    }
}

/// An event counts only together with its facility.
pub(super) type Key = (Ori, EventId);

#[derive(Default)]
pub(super) struct Known {
    events: HashMap<Key, Arc<Accepted>>,
    order: VecDeque<Key>,
}

impl Known {
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Accepted>> {
        self.events.get(key).cloned()
    }

    pub(super) fn remember(&mut self, key: Key, accepted: Arc<Accepted>) {
        if self.events.insert(key.clone(), accepted).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.events.remove(&oldest);
            }
        }
    }
}

/// Why the leader could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the routed record: {0}")]
pub(super) struct ReadError(String);

/// The `routed` record at the stream's leader, if there is one (`STREAM.MSG.GET`; a direct get may miss fresh ones).
pub(super) async fn read(
    js: &jetstream::Context,
    registry: &Registry,
    st: &Jurisdiction,
    (ori, event): &Key,
) -> Result<Option<Accepted>, ReadError> {
    use jetstream::stream::LastRawMessageErrorKind as Kind;
    let stream = js.get_stream_no_info(subject::DELIVER).await.map_err(|e| ReadError(e.to_string()))?;
    let subject = subject::hub_routed(st, ori, event);
    let message = match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => message,
        Err(error) if error.kind() == Kind::NoMessageFound => return Ok(None),
        Err(error) => return Err(ReadError(sallyport_link::publish::chain(&error))),
    };
    match Routed::open(&message.payload, registry.relay_keys()) {
        Ok(routed) => Ok(Some(routed.into())),
        // Only relays may write there. An unreadable record still means: routed. Saying otherwise would tell twice.
        Err(error) => Err(ReadError(format!("{subject} holds a record that does not verify: {error}"))),
    }
}
