//! Writes the messages of events before their turn, while the batch before is on its way to the broker: signing and
//! waiting would otherwise take turns. Only what depends on nothing that is still to be looked up is written ahead: an
//! event of its first delivery that supersedes none.
//!
//! A draft that was written ahead is a proposal like any other: the committer uses it only under the registry it was made
//! with, and the batch decides whether it happens.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use tokio::sync::mpsc;

use super::{
    draft::{self, Draft},
    known::Key,
    predecessor::Predecessor,
    resolve::key_of,
};
use crate::{
    intake::{Batch, Pulled},
    metrics::InFlight,
    node::{Node, Routing},
};

/// A batch of the intake with what could be written ahead.
pub(crate) struct Prepared {
    pub(super) pulled: Vec<Pulled>,
    pub(super) ahead: Ahead,
    pub(super) in_flight: InFlight,
}

/// Drafts by the event they commit.
#[derive(Default)]
pub(super) struct Ahead(HashMap<Key, Draft>);

/// Batches that wait for the committer: while one commits, one more is written. More would only age.
pub(crate) const BATCHES_WAITING_MAX: usize = 1;

/// Writes ahead until the intake ends.
pub(crate) async fn run(
    node: Arc<Node>,
    mut intake: mpsc::Receiver<Batch>,
    commit: mpsc::Sender<Prepared>,
) -> Result<(), Infallible> {
    while let Some(Batch { pulled, in_flight }) = intake.recv().await {
        let ahead = Ahead::of(&node, &node.routing.load_full(), &pulled);
        if commit.send(Prepared { pulled, ahead, in_flight }).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Ahead {
    fn of(node: &Node, routing: &Routing, pulled: &[Pulled]) -> Self {
        let fresh = pulled.iter().filter(|pulled| !pulled.redelivered);
        let mut drafts = HashMap::new();
        for pulled in fresh {
            if let Some((key, event)) = key_of(pulled)
                && event.head.supersedes.is_none()
            {
                drafts
                    .entry(key)
                    .or_insert_with(|| draft::make(node, routing, pulled, event, &Predecessor::None));
            }
        }
        Self(drafts)
    }

    pub(super) fn extend(&mut self, more: Self) {
        // Of two copies of one event the earlier is committed: its draft stays.
        for (key, draft) in more.0 {
            self.0.entry(key).or_insert(draft);
        }
    }

    /// The draft of this very message, if it was written under this registry.
    pub(super) fn take(&mut self, key: &Key, pulled: &Pulled, routing: &Routing) -> Option<Draft> {
        let draft = self.0.remove(key)?;
        let event = &draft.accepted.event;
        (event.digest == pulled.digest && event.registry_version == routing.registry.version).then_some(draft)
    }
}
