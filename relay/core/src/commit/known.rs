//! What this node knows of committed events. A `routed` record never changes, so a remembered one stays true; what is
//! not remembered is read at the stream's leader, never assumed absent.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use sallyport_proto::{
    answer::AcceptedEvent,
    ids::{EventId, Ori, SubscriberId},
    routed::Routed,
};

/// Remembered events: a burst's worth of redeliveries and predecessors, about 300 bytes each.
const REMEMBERED_MAX: usize = 20_000;

/// One committed event, as its `routed` record has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For the Acceptance.
    pub event: AcceptedEvent,
    /// Whom it was addressed to: corrections follow the told.
    pub told: BTreeSet<SubscriberId>,
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
pub type Key = (Ori, EventId);

/// Events that this node knows to be committed.
#[derive(Debug, Default)]
pub struct Known {
    events: HashMap<Key, Arc<Accepted>>,
    order: VecDeque<Key>,
}

impl Known {
    /// What is remembered of it.
    pub fn find(&self, key: &Key) -> Option<Arc<Accepted>> {
        self.events.get(key).cloned()
    }

    /// Remembers it, and forgets the oldest beyond the bound.
    pub fn remember(&mut self, key: Key, accepted: Arc<Accepted>) {
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
