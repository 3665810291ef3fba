//! Tells every subscriber once a minute how far its notices reach: a signed head with their dense number. A quiet minute
//! and a relay that is gone look different to it, and one that misses a notice sees that it does.
//!
//! What a head may claim is `relay_core`'s (`heads`); what came since the last one is counted in the read model, only while
//! that is known to be whole. Any node writes it, and the expected sequence lets one through: it is a statement, nothing
//! hangs on it. (The broker hands the other one on all the same.) What a subscriber makes of it: its own `reach`.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{context::PublishErrorKind, stream::LastRawMessageErrorKind},
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use rusqlite::params;
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{ids::SubscriberId, operations::SubscriberHead, subject, vocabulary::SourceClock};
use sallyport_relay_core::{
    heads::{Base, is_cut, is_due},
    ledger::Stream,
};
use tokio::time::MissedTickBehavior;

use crate::{
    node::Node,
    sweep::{Extent, extent},
    track::store::{
        Loaded, Position, StoreError,
        value::{Columns, number},
    },
};

/// Subscribers at once, of each request.
const AT_ONCE: usize = 8;

/// What states the heads.
pub(crate) struct Heads {
    pub(crate) node: Arc<Node>,
    pub(crate) store_dir: PathBuf,
    /// How often.
    pub(crate) every: Duration,
}

/// A subscriber whose head is to be stated.
struct Due {
    subscriber: SubscriberId,
    /// Sequence of its last head on HEARTBEATS; 0: there is none.
    last: u64,
    /// That head. None: there is none, or it is signed with a key that the registry does not name any more. The number
    /// begins anew.
    head: Option<SubscriberHead>,
}

/// The numbers, as the model has them.
struct Counted {
    /// When DELIVER was created.
    created: String,
    /// Up to where they are counted.
    sequence: u64,
    ranks: Vec<(Due, u64)>,
}

/// Why nothing was stated this time.
#[derive(Debug, thiserror::Error)]
enum NotStated {
    #[error("cannot read the last head: {0}")]
    Read(String),
    #[error("not stored: {0}")]
    Publish(String),
}

impl Heads {
    /// States them until shutdown.
    pub(crate) async fn run(self) -> Result<(), Infallible> {
        let mut every = tokio::time::interval(self.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.node.shutdown.cancelled() => return Ok(()),
                _ = every.tick() => {}
            }
            tokio::select! {
                biased;
                () = self.node.shutdown.cancelled() => return Ok(()),
                () = self.turn() => {}
            }
        }
    }

    /// All that are due, counted on one state of the model.
    async fn turn(&self) {
        let subscribers: Vec<SubscriberId> = self.node.registry.load().subscribers.keys().cloned().collect();
        let looked = stream::iter(subscribers).map(|subscriber| self.due(subscriber));
        let looked: Vec<_> = looked.buffer_unordered(AT_ONCE).collect().await;
        let due = looked.into_iter().filter_map(|(subscriber, due)| {
            due.unwrap_or_else(|error| {
                tracing::warn!(%subscriber, error = %chain(&error), "no head is stated");
                None
            })
        });
        let (dir, due) = (self.store_dir.clone(), due.collect());
        // After the last heads: what they name was there when they were stated.
        let extent = match extent(&self.node.js, subject::DELIVER).await {
            Ok(extent) => extent,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "no heads are stated");
                return;
            }
        };
        let counting = tokio::task::spawn_blocking(move || {
            Loaded::open(&dir).and_then(|loaded| loaded.at_one_time(|loaded| count(loaded, due, &extent)))
        });
        match counting.await {
            Ok(Ok(Some(counted))) => {
                let stating = stream::iter(&counted.ranks).for_each_concurrent(AT_ONCE, async |(due, rank)| {
                    if let Err(error) = self.state(due, *rank, &counted).await {
                        tracing::warn!(subscriber = %due.subscriber, error = %chain(&error), "no head is stated");
                    }
                });
                stating.await;
            }
            Ok(Ok(None)) => tracing::debug!("the read model is not whole; no heads are stated"),
            Ok(Err(error)) => tracing::debug!(error = %chain(&error), "no heads are stated"),
            Err(panic) => tracing::error!(%panic, "counting notices"),
        }
    }

    /// Its last head, if another one is due.
    async fn due(&self, subscriber: SubscriberId) -> (SubscriberId, Result<Option<Due>, NotStated>) {
        let due = self.last(&subscriber).await.map(|last| {
            let stored = last.as_ref().map(|(_, stored, _)| *stored);
            let (last, head) = last.map_or((0, None), |(last, _, head)| (last, head));
            is_due(stored, clock::now(), self.every).then(|| Due {
                subscriber: subscriber.clone(),
                last,
                head,
            })
        });
        (subscriber, due)
    }

    /// Sequence, broker's time and content.
    async fn last(
        &self,
        subscriber: &SubscriberId,
    ) -> Result<Option<(u64, Timestamp, Option<SubscriberHead>)>, NotStated> {
        let read = |error: &dyn std::error::Error| NotStated::Read(chain(error));
        let bound =
            self.node.js.get_stream_no_info(subject::HEARTBEATS).await.map_err(|error| read(&error))?;
        let message = match bound.get_last_raw_message_by_subject(&subject::hub_head(subscriber)).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(read(&error)),
        };
        let head = SubscriberHead::open(&message.payload, self.node.registry.load().relay_keys()).ok();
        let stored = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default();
        Ok(Some((message.sequence, stored, head)))
    }

    async fn state(&self, due: &Due, rank: u64, counted: &Counted) -> Result<(), NotStated> {
        let head = SubscriberHead {
            provenance: self.node.provenance(),
            subscriber: due.subscriber.clone(),
            rank,
            last_sequence: counted.sequence,
            at: clock::moment(SourceClock::Relay),
            stream_created: counted.created.clone(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, due.last.to_string());
        let bytes = head.seal(&self.node.signer);
        let failed = |error: &dyn std::error::Error| NotStated::Publish(chain(error));
        let subject = subject::hub_head(&due.subscriber);
        let ack = self.node.js.publish_with_headers(subject, headers, bytes.into());
        match ack.await.map_err(|error| failed(&error))?.await {
            Ok(_) => Ok(()),
            // Another node was first.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The number of each, and up to where it is counted; none while the model does not hold all that is there, or is of
/// another DELIVER than the one of now. Left out: whose last head is of another node's model that is further.
fn count(loaded: &Loaded, due: Vec<Due>, extent: &Extent) -> Result<Option<Counted>, StoreError> {
    let positions = loaded.positions()?;
    let now = clock::now();
    let of_now = |position: &&Position| {
        position.created == extent.created.to_string() && position.sequence <= extent.last
    };
    let position = positions.get(&Stream::Deliver).filter(|position| position.is_whole(now)).filter(of_now);
    let Some(position) = position else { return Ok(None) };
    let (created, sequence) = (position.created.clone(), position.sequence);
    let mut ranks = Vec::with_capacity(due.len());
    for due in due {
        let last = due.head.as_ref().filter(|head| !is_cut(head, &created, extent.last));
        if let Some(base) = Base::of(last, &created, sequence) {
            let since = since(loaded, &due.subscriber, base.sequence, sequence)?;
            ranks.push((due, base.rank + since));
        }
    }
    Ok(Some(Counted { created, sequence, ranks }))
}

/// Notices that DELIVER was given for a subscriber, behind one sequence and not behind another.
pub(crate) fn since(
    loaded: &Loaded,
    subscriber: &SubscriberId,
    from: u64,
    to: u64,
) -> Result<u64, StoreError> {
    let counted = loaded.rows(
        // As `Model::given`: one that was lost and put back counts where it stood first, before its `routed` record.
        "SELECT count(*) AS notices FROM notice n WHERE subscriber = ?1 AND sequence > ?2 AND sequence <= ?3
         AND (attempt > 0 OR NOT EXISTS
             (SELECT 1 FROM routed r WHERE r.event_id = n.event_id AND r.ori = n.ori AND r.sequence < n.sequence))",
        params![subscriber.as_str(), number(from), number(to)],
        |row| row.unsigned::<u64>("notices"),
    )?;
    Ok(counted.first().copied().unwrap_or_default())
}
