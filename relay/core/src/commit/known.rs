//! What this node remembers of committed events: where to look before writing, and whom a predecessor was addressed to.
//! **Never an answer**: DELIVER may have been lost, cut short or restored since, and a record that stood on another stream
//! says nothing about this one. That an event is committed says the stream's leader, or a batch that was confirmed, in
//! the same going through (`machine`).
//!
//! Everything remembered is of no use, and is forgotten, as soon as anything shows that DELIVER is not what it was.

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

/// Events that were committed when this node last saw them.
#[derive(Debug, Default)]
pub struct Known {
    events: HashMap<Key, Arc<Accepted>>,
    order: VecDeque<Key>,
    /// Where the last confirmed batch stands on DELIVER.
    sequence: u64,
    /// The connection that showed all this, by its number.
    connection: u64,
}

impl Known {
    /// As it was when this node last saw it: for drafting what follows it, and to know what to look for.
    pub(super) fn remembered(&self, key: &Key) -> Option<Arc<Accepted>> {
        self.events.get(key).cloned()
    }

    /// Remembers it, and forgets the oldest beyond the bound.
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

    /// The connection to the broker in force, by its number. While there was none the streams may have become others.
    pub fn handle_connected(&mut self, connection: u64) {
        if self.connection != connection {
            self.forget();
            self.connection = connection;
        }
    }

    /// A batch was stored up to this sequence. On one stream each stands behind the one before; false: this is another
    /// stream, or it was cut short, and everything is forgotten.
    pub(super) fn handle_stored(&mut self, sequence: u64) -> bool {
        let rose = sequence > self.sequence;
        if !rose {
            self.forget();
        }
        self.sequence = sequence;
        rose
    }

    /// DELIVER is not what it was.
    pub(super) fn forget(&mut self) {
        (self.events, self.order, self.sequence) = Default::default();
    }
}
