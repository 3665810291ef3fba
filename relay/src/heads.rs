//! Tells every subscriber once a minute how far its notices reach: a signed head with their dense number. A quiet minute
//! and a relay that is gone look different to it, and one that misses a notice sees that it does.
//!
//! The number goes on from the last head, so that what DELIVER no longer keeps stays counted; what came since is counted
//! in the read model, only while that is known to be whole. Any node writes it, and the expected sequence lets one
//! through: it is a statement, nothing hangs on it. What a subscriber makes of it: its own `reach`.

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
use sallyport_relay_core::ledger::Stream;
use tokio::time::MissedTickBehavior;

use crate::{
    http::STALE_AFTER,
    node::Node,
    track::store::{
        Loaded, StoreError,
        value::{Columns, number},
    },
};

/// Subscribers at once: two requests each.
const AT_ONCE: usize = 8;

/// What states the heads.
pub(crate) struct Heads {
    pub(crate) node: Arc<Node>,
    pub(crate) store_dir: PathBuf,
    /// How often.
    pub(crate) every: Duration,
}

/// The last head that HEARTBEATS holds of one subscriber.
struct Last {
    /// Of the message.
    sequence: u64,
    stored: Timestamp,
    /// None: signed with a key that the registry does not name any more. The number begins anew.
    head: Option<SubscriberHead>,
}

/// Where the model is on DELIVER.
#[derive(Debug, Clone)]
struct At {
    created: String,
    sequence: u64,
}

/// Why nothing was stated this time.
#[derive(Debug, thiserror::Error)]
enum NotStated {
    #[error("cannot read the last head: {0}")]
    Read(String),
    #[error("cannot count in the read model")]
    Model(#[from] StoreError),
    #[error("not stored: {0}")]
    Publish(String),
}

impl Heads {
    /// States them until shutdown.
    pub(crate) async fn run(self) -> Result<(), Infallible> {
        let this = Arc::new(self);
        let mut every = tokio::time::interval(this.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = this.node.shutdown.cancelled() => return Ok(()),
                _ = every.tick() => {}
            }
            match this.clone().model_at().await {
                Ok(Some(at)) => this.state_all(&at).await,
                Ok(None) => tracing::debug!("the read model is not whole; no heads are stated"),
                Err(error) => tracing::debug!(error = %chain(&error), "no heads are stated"),
            }
        }
    }

    /// Where the model is on DELIVER, while it holds all that is there.
    async fn model_at(self: Arc<Self>) -> Result<Option<At>, StoreError> {
        self.with_model(|loaded| {
            let positions = loaded.positions()?;
            let Some(position) = positions.get(&Stream::Deliver) else { return Ok(None) };
            let now = clock::now();
            let whole = position.whole_at.is_some_and(|at| now.duration_since(at) <= STALE_AFTER);
            Ok(whole.then(|| At { created: position.created.clone(), sequence: position.sequence }))
        })
        .await
    }

    async fn with_model<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Loaded) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let dir = self.store_dir.clone();
        let reading =
            tokio::task::spawn_blocking(move || Loaded::open(&dir).and_then(|loaded| read(&loaded)));
        reading.await.unwrap_or_else(|_| Err(StoreError::Missing(self.store_dir.clone())))
    }

    async fn state_all(self: &Arc<Self>, at: &At) {
        let subscribers: Vec<SubscriberId> = self.node.registry.load().subscribers.keys().cloned().collect();
        let stating = stream::iter(subscribers).for_each_concurrent(AT_ONCE, async |subscriber| {
            if let Err(error) = self.state(&subscriber, at).await {
                tracing::warn!(%subscriber, error = %chain(&error), "no head is stated");
            }
        });
        tokio::select! {
            biased;
            () = self.node.shutdown.cancelled() => {}
            () = stating => {}
        }
    }

    async fn state(&self, subscriber: &SubscriberId, at: &At) -> Result<(), NotStated> {
        let last = self.last(subscriber).await?;
        let due = Duration::try_from(
            clock::now().duration_since(last.as_ref().map_or(Timestamp::MIN, |l| l.stored)),
        );
        // Another node stated it, or this one's clock went back: the next turn is soon enough.
        if due.is_ok_and(|since| since < self.every / 2) {
            return Ok(());
        }
        let base = last
            .as_ref()
            .and_then(|last| last.head.as_ref())
            .filter(|head| head.stream_created == at.created);
        let (rank, from) = base.map_or((0, 0), |head| (head.rank, head.last_sequence));
        if from > at.sequence {
            // Another node's model is further.
            return Ok(());
        }
        let since = self.count(subscriber.clone(), from, at.sequence).await?;
        let head = SubscriberHead {
            provenance: self.node.provenance(),
            subscriber: subscriber.clone(),
            rank: rank + since,
            last_sequence: at.sequence,
            at: clock::moment(SourceClock::Relay),
            stream_created: at.created.clone(),
        };
        let mut headers = HeaderMap::new();
        let expected = last.map_or(0, |last| last.sequence);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        let bytes = head.seal(&self.node.signer);
        let failed = |error: &dyn std::error::Error| NotStated::Publish(chain(error));
        let ack = self.node.js.publish_with_headers(subject::hub_head(subscriber), headers, bytes.into());
        match ack.await.map_err(|error| failed(&error))?.await {
            Ok(_) => Ok(()),
            // Another node was first.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn last(&self, subscriber: &SubscriberId) -> Result<Option<Last>, NotStated> {
        let read = |error: &dyn std::error::Error| NotStated::Read(chain(error));
        let bound =
            self.node.js.get_stream_no_info(subject::HEARTBEATS).await.map_err(|error| read(&error))?;
        let message = match bound.get_last_raw_message_by_subject(&subject::hub_head(subscriber)).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(read(&error)),
        };
        let registry = self.node.registry.load();
        let head = SubscriberHead::open(&message.payload, registry.relay_keys()).ok();
        let stored = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default();
        Ok(Some(Last { sequence: message.sequence, stored, head }))
    }

    async fn count(&self, subscriber: SubscriberId, from: u64, to: u64) -> Result<u64, StoreError> {
        self.with_model(move |loaded| {
            let counted = loaded.rows(
                "SELECT count(*) AS notices FROM notice WHERE subscriber = ?1 AND sequence > ?2 AND sequence <= ?3",
                params![subscriber.as_str(), number(from), number(to)],
                |row| row.unsigned::<u64>("notices"),
            )?;
            Ok(counted.first().copied().unwrap_or_default())
        })
        .await
    }
}
