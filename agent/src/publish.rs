//! Sends what is in the outbox: what the window chooses (`sallyport_agent_core::outbox::window`), again and again until
//! the relay has answered. A PubAck is recorded and retires nothing; `answers` does, and so makes room for the next.
//!
//! The store is the truth and every wake-up only a hint: a missed one costs at most a second. What is kept in memory is
//! bounded by the window, however deep the outbox is.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, connection::State, header::NATS_MESSAGE_ID, jetstream};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use rand::Rng;
use sallyport_agent_core::outbox::window::{Limits, Offer, Share, Unanswered, Window};
use sallyport_link::{clock, connect::LinkCounters, fault, publish::chain};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    faults,
    metrics::Metrics,
    store::{DueRow, Kind, Reader, Sent, SentRow, Store, StoreError, Unsent, due_at_once, record_sent},
};

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

/// What was sent and has no answer.
struct Flight {
    window: Window,
    rows: HashMap<i64, Handed>,
    acks: FuturesUnordered<Recorded>,
}

/// A row that was handed to the broker, maybe before this program started.
struct Handed {
    live: bool,
    in_flight: bool,
    /// For how long; none when it was not for the first time, which says nothing about the answer's.
    since: Option<Instant>,
}

impl Publisher {
    /// Record first, effect second: every event is in the store before it comes here. A crash at any point repeats an
    /// attempt and loses none.
    pub(crate) async fn run(self) -> Result<(), StoreError> {
        let reader = self.store.reader()?;
        let mut stored = self.store.stored();
        let mut connects = self.counters.connects.subscribe();
        let window = Window::new(Limits::default());
        let mut flight = Flight { window, rows: HashMap::new(), acks: FuturesUnordered::new() };
        self.unsent_are_due().await?;
        loop {
            // Before the look: what is stored after it raises the hint again.
            stored.mark_unchanged();
            let wait = self.fill(&reader, &mut flight).await?;
            // Every branch is cancel-safe: they only wait; work happens after the select.
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(n) = flight.acks.next(), if !flight.acks.is_empty() => {
                    flight.landed(n);
                    while let Some(Some(n)) = flight.acks.next().now_or_never() {
                        flight.landed(n);
                    }
                }
                changed = connects.changed() => if changed.is_ok() {
                    flight.window.handle_connected();
                    self.unsent_are_due().await?;
                },
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

    /// Sends what the window lets out; gives how long to wait when nothing else happens.
    async fn fill(&self, reader: &Reader, flight: &mut Flight) -> Result<Duration, StoreError> {
        if self.client.connection_state() != State::Connected {
            return Ok(LOOK_AGAIN);
        }
        let now = clock::now();
        let sent = reader.sent()?;
        flight.note_answers(&sent);
        for (n, share) in flight.choose(reader, &sent, now)? {
            let DueRow { n, row, ingest } = reader.row(n)?;
            let first = row.attempt == 0;
            let sending = self.send(DueRow { n, row, ingest });
            let acked = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(Duration::ZERO),
                acked = sending => acked,
            };
            if let Some(acked) = acked {
                let handed = flight.rows.entry(n).or_insert(Handed::before());
                handed.live |= share == Share::Live;
                handed.in_flight = true;
                handed.since = first.then(Instant::now);
                flight.acks.push(acked);
            }
        }
        // What is due and was not chosen waits for an answer or a PubAck.
        let next = sent.iter().filter(|row| !row.is_due(now)).map(|row| row.next_due).min();
        let wait = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        Ok(wait.unwrap_or(LOOK_AGAIN).clamp(MIN_WAIT, LOOK_AGAIN))
    }

    /// Hands one event to the broker; gives the future that records how it went.
    async fn send(&self, due: DueRow) -> Option<Recorded> {
        let DueRow { n, mut row, ingest } = due;
        let sent = clock::now();
        if row.attempt == 0 {
            // A clock that was ahead when it was stored is no reason to wait.
            row.handle_unsent(sent);
        }
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

impl Handed {
    fn before() -> Self {
        Self { live: false, in_flight: false, since: None }
    }
}

impl Flight {
    fn is_in_flight(&self, n: i64) -> bool {
        self.rows.get(&n).is_some_and(|handed| handed.in_flight)
    }

    /// Its attempt is recorded, however it went.
    fn landed(&mut self, n: i64) {
        if let Some(handed) = self.rows.get_mut(&n) {
            handed.in_flight = false;
        }
    }

    /// What the store no longer has as sent and open was answered: by a live answer, or by one that catch-up brought.
    fn note_answers(&mut self, sent: &[SentRow]) {
        let window = &mut self.window;
        self.rows.retain(|n, handed| {
            let open = handed.in_flight || sent.binary_search_by_key(n, |row| row.n).is_ok();
            if let (false, false, Some(since)) = (open, handed.live, handed.since) {
                window.handle_answered(since.elapsed());
            }
            open
        });
        for row in sent {
            self.rows.entry(row.n).or_insert(Handed::before());
        }
    }

    fn choose(
        &mut self,
        reader: &Reader,
        sent: &[SentRow],
        now: Timestamp,
    ) -> Result<Vec<(i64, Share)>, StoreError> {
        let again: Vec<i64> =
            sent.iter().filter(|row| row.is_due(now) && !self.is_in_flight(row.n)).map(|row| row.n).collect();
        let count = |wanted: fn(&Handed) -> bool| self.rows.values().filter(|handed| wanted(handed)).count();
        let unanswered = Unanswered {
            live: count(|handed| handed.live),
            backlog: count(|handed| !handed.live),
            due: again.len(),
            in_flight_live: count(|handed| handed.in_flight && handed.live),
            in_flight_rest: count(|handed| handed.in_flight && !handed.live),
        };
        let limit = Limits::default().in_flight - unanswered.in_flight_live - unanswered.in_flight_rest;
        let Unsent { fresh, backlog, backfill } = reader.unsent(now, limit, |n| self.is_in_flight(n))?;
        let offer = Offer { fresh, again, backlog, backfill };
        let Self { window, rows, .. } = self;
        let waits = |n: &i64| rows.get(n).is_none_or(|handed| !handed.in_flight);
        window.choose(&offer, unanswered, |n| Ok(reader.earlier(n)?.into_iter().filter(waits).collect()))
    }
}

/// A row that became due this moment is looked at again without a hot loop.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// For waiting on a change of the connection elsewhere.
pub(crate) type Connects = watch::Receiver<u64>;
