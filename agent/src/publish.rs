//! Sends what is in the outbox: in the order of its numbers, at most 256 events without a PubAck, again and again until
//! the relay has answered. A PubAck is recorded and retires nothing; `answers` does.
//!
//! The store is the truth and every wake-up only a hint: a missed one costs at most a second.

use std::{collections::HashSet, pin::Pin, sync::Arc, time::Duration};

use async_nats::{HeaderMap, connection::State, header::NATS_MESSAGE_ID, jetstream};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use rand::Rng;
use sallyport_link::{clock, connect::LinkCounters, fault, publish::chain};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    faults,
    metrics::Metrics,
    store::{DueRow, Kind, Reader, Sent, Store, StoreError, due_at_once, record_sent},
};

/// Events without a PubAck: enough to fill the link over a slow line, few enough to hold in memory.
const IN_FLIGHT_MAX: usize = 256;
/// A hint that was missed costs no more than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// At shutdown PubAcks are awaited so long; what comes later is sent again at the next start.
const LAST_ACKS: Duration = Duration::from_secs(6);

/// Sends until shutdown.
pub(crate) struct Publisher {
    pub(crate) store: Store,
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    pub(crate) subject: String,
    pub(crate) counters: Arc<LinkCounters>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
}

type Recorded = Pin<Box<dyn Future<Output = i64> + Send>>;

/// What is on its way.
#[derive(Default)]
struct Flight {
    rows: HashSet<i64>,
    acks: FuturesUnordered<Recorded>,
}

impl Publisher {
    /// Record first, effect second: every event is in the store before it comes here. A crash at any point repeats an
    /// attempt and loses none.
    pub(crate) async fn run(self) -> Result<(), StoreError> {
        let reader = self.store.reader()?;
        let mut stored = self.store.stored();
        let mut connects = self.counters.connects.subscribe();
        let mut flight = Flight::default();
        self.unsent_are_due().await?;
        loop {
            let wait = self.fill(&reader, &mut flight).await?;
            // Every branch is cancel-safe: they only wait; work happens after the select.
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(n) = flight.acks.next(), if !flight.acks.is_empty() => {
                    flight.rows.remove(&n);
                    while let Some(Some(n)) = flight.acks.next().now_or_never() {
                        flight.rows.remove(&n);
                    }
                }
                changed = connects.changed() => if changed.is_ok() { self.unsent_are_due().await? },
                _ = stored.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.land(flight).await;
        Ok(())
    }

    /// After a start or a reconnect a backlog does not wait for its backoff.
    async fn unsent_are_due(&self) -> Result<(), StoreError> {
        let rows = self.store.write(Kind::Upkeep, |connection| due_at_once(connection, clock::now())).await?;
        if rows > 0 {
            tracing::info!(rows, "sending again what has no PubAck");
        }
        Ok(())
    }

    /// Sends what is due, in order, up to the limit; gives how long to wait when nothing else happens.
    async fn fill(&self, reader: &Reader, flight: &mut Flight) -> Result<Duration, StoreError> {
        if self.client.connection_state() != State::Connected {
            return Ok(LOOK_AGAIN);
        }
        let room = IN_FLIGHT_MAX.saturating_sub(flight.rows.len());
        if room == 0 {
            return Ok(LOOK_AGAIN);
        }
        let rows = reader.due(clock::now(), room, |n| flight.rows.contains(&n))?;
        for row in rows {
            let n = row.n;
            let sending = self.send(row);
            let acked = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(Duration::ZERO),
                acked = sending => acked,
            };
            if let Some(acked) = acked {
                flight.rows.insert(n);
                flight.acks.push(acked);
            }
        }
        if !flight.rows.is_empty() {
            return Ok(LOOK_AGAIN);
        }
        let next = reader.next_due(|_| false)?;
        let wait = next.map(|next| next.duration_since(clock::now()));
        Ok(wait
            .and_then(|wait| Duration::try_from(wait).ok())
            .unwrap_or(LOOK_AGAIN)
            .clamp(MIN_WAIT, LOOK_AGAIN))
    }

    /// Hands one event to the broker; gives the future that records how it went.
    async fn send(&self, due: DueRow) -> Option<Recorded> {
        let DueRow { n, mut row, ingest } = due;
        let sent = clock::now();
        let msg_id = row.handle_deadline(sent, rand::rng().random())?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, msg_id.as_str());
        let connects = *self.counters.connects.borrow();
        fault::point(faults::PUBLISH_BEFORE_SEND);
        let published = self.js.publish_with_headers(self.subject.clone(), headers, ingest.into()).await;
        fault::point(faults::PUBLISH_AFTER_SEND);
        let (store, metrics, counters) = (self.store.clone(), self.metrics.clone(), self.counters.clone());
        Some(Box::pin(async move {
            let acked = match published {
                Ok(ack) => ack.await.map(|_| ()),
                Err(error) => Err(error),
            };
            fault::point(faults::PUBLISH_AFTER_PUBACK);
            metrics.attempt(acked.is_ok());
            let acked = match acked {
                Ok(()) => Some(clock::now()),
                Err(error) => {
                    let event = row.event_id.as_str();
                    tracing::warn!(event, attempt = row.attempt, error = %chain(&error), "no PubAck; sent again later");
                    None
                }
            };
            // It was lost with a connection that is back already: its backoff would only delay it.
            if acked.is_none() && *counters.connects.borrow() != connects {
                row.handle_unsent(clock::now());
            }
            let record = Sent { n, row, sent, acked };
            if let Err(error) =
                store.write(Kind::Sent, move |connection| record_sent(connection, &record)).await
            {
                tracing::warn!(error = %chain(&error), "an attempt was not recorded; it is made again");
            }
            n
        }))
    }

    /// A dropped PubAck would lose its error: what is in flight is awaited, for a while.
    async fn land(&self, mut flight: Flight) {
        let landed = async { while flight.acks.next().await.is_some() {} };
        if tokio::time::timeout(LAST_ACKS, landed).await.is_err() {
            tracing::warn!(
                "some PubAcks did not come before the end; these events are sent again at the next start"
            );
        }
    }
}

/// A row that became due this moment is looked at again without a hot loop.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// For waiting on a change of the connection elsewhere.
pub(crate) type Connects = watch::Receiver<u64>;
