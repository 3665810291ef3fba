//! Writes the messages of events before their turn, while the batch before is on its way to the broker: signing and
//! waiting would otherwise take turns. Only what depends on nothing that is still to be looked up is written ahead: an
//! event of its first delivery that supersedes none.
//!
//! A draft that was written ahead is a proposal like any other: the committer uses it only under the registry it was made
//! with, and the batch decides whether it happens.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    draft::{self, Arrival, Author, Draft},
    known::Key,
    predecessor::Predecessor,
};
use crate::route::Routing;

/// Drafts by the event they commit.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<Key, Draft>);

impl Ahead {
    /// Writes what can be written ahead.
    pub fn of<'p>(
        arrivals: impl Iterator<Item = Arrival<'p>>,
        author: &Author<'_>,
        routing: &Routing,
        now: Timestamp,
    ) -> Self {
        let mut drafts = HashMap::new();
        for arrival in arrivals.filter(|arrival| !arrival.redelivered) {
            if arrival.event.head.supersedes.is_none() {
                drafts
                    .entry(arrival.key())
                    .or_insert_with(|| draft::make(author, routing, &arrival, &Predecessor::None, now));
            }
        }
        Self(drafts)
    }

    /// Takes those of a later batch in.
    pub fn extend(&mut self, more: Self) {
        // Of two copies of one event the earlier is committed: its draft stays.
        for (key, draft) in more.0 {
            self.0.entry(key).or_insert(draft);
        }
    }

    /// The draft of this very message, if it was written under this registry.
    pub(super) fn take(&mut self, arrival: &Arrival<'_>, routing: &Routing) -> Option<Draft> {
        let draft = self.0.remove(&arrival.key())?;
        let event = &draft.accepted.event;
        let same = event.digest == arrival.digest && event.registry_version == routing.registry.version;
        same.then_some(draft)
    }
}
