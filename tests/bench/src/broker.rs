//! What the streams say, by the broker's own clock: how far they are, when a message was stored, and whether the relay
//! and the subscribers are done with what is on them.

use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, bail};
use async_nats::{
    ConnectOptions,
    jetstream::{self, message::StreamMessage},
};
use jiff::Timestamp;
use sallyport_ground::Instance;
use sallyport_proto::subject;
use tokio::time::{Instant, sleep};

use crate::stage::NODE;

/// Streams on the way of an event, in its order.
pub(crate) const WAY: [&str; 4] = [subject::INGEST, subject::DELIVER, subject::RECEIPTS, subject::ANSWERS];

/// Between two looks: the broker's clock measures, so a look only ends the waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So often in a row everybody must be done: a replicated durable learns of a new message a moment after its stream.
const DONE_LOOKS: u64 = 4;
/// No progress for this long: something is stuck.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Reads streams with the relay's permissions.
pub(crate) struct Broker {
    js: jetstream::Context,
}

/// Last sequences of the streams of `WAY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u64; 4]);

/// What was stored on one stream since a mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) stream: &'static str,
    pub(crate) messages: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Broker {
    /// Logs in as the relay: nobody else may read all of it.
    pub(crate) async fn connect(instance: &Instance) -> Result<Self> {
        let node = format!("relay-{NODE}");
        let seed = instance.keys().connect(&node)?.seed().context("the relay's seed")?;
        let client = ConnectOptions::with_nkey(seed)
            .custom_inbox_prefix(format!("_INBOX_{node}"))
            .connect(format!("nats://127.0.0.1:{}", instance.nats_port))
            .await
            .context("log in as the relay")?;
        Ok(Self { js: jetstream::new(client) })
    }

    /// Where the streams are now.
    pub(crate) async fn mark(&self) -> Result<Mark> {
        let mut mark = [0; 4];
        for (place, stream) in WAY.into_iter().enumerate() {
            mark[place] = self.last_sequence(stream).await?;
        }
        Ok(Mark(mark))
    }

    /// What was stored since: at least one message on each stream.
    pub(crate) async fn since(&self, mark: Mark) -> Result<[Stored; 4]> {
        let mut all = Vec::with_capacity(WAY.len());
        for (stream, before) in WAY.into_iter().zip(mark.0) {
            let last = self.last_sequence(stream).await?;
            let messages = last.saturating_sub(before);
            if messages == 0 {
                bail!("nothing was stored on {stream}");
            }
            let (first, last) =
                (self.stored_at(stream, before + 1).await?, self.stored_at(stream, last).await?);
            all.push(Stored { stream, messages, first, last });
        }
        all.try_into().map_err(|_| anyhow::anyhow!("four streams"))
    }

    /// When each event's notice was stored on DELIVER since.
    pub(crate) async fn notices_stored(&self, mark: Mark) -> Result<HashMap<String, Timestamp>> {
        let last = self.last_sequence(subject::DELIVER).await?;
        let mut stored = HashMap::new();
        for sequence in mark.0[1] + 1..=last {
            let message = self.message(subject::DELIVER, sequence).await?;
            // hub.v1.deliver.<sub>.<st>.<ori>.<event>.<n>; the `routed` records beside them are not of interest.
            let mut tokens = message.subject.split('.').skip(2);
            if tokens.next() == Some("deliver")
                && let Some(event) = tokens.nth(3)
            {
                stored.entry(event.to_owned()).or_insert(time(&message)?);
            }
        }
        Ok(stored)
    }

    /// Waits until `events` more than at `mark` are on INGEST and everybody is done with them: the relay with INGEST and
    /// RECEIPTS, these subscribers with DELIVER.
    pub(crate) async fn wait_until_done(
        &self,
        mark: Mark,
        events: u64,
        subscribers: &[String],
    ) -> Result<()> {
        let mut looks_done = 0;
        self.wait(async || {
            let come = self.last_sequence(subject::INGEST).await?.saturating_sub(mark.0[0]);
            if come < events {
                return Ok(ControlFlow::Continue(come));
            }
            // In the order of the way: what is behind an empty stage stays empty.
            let mut left = self.left(subject::INGEST, subject::RELAY_DURABLE).await?;
            for subscriber in subscribers {
                left += self.left(subject::DELIVER, subscriber).await?;
            }
            left += self.left(subject::RECEIPTS, subject::RELAY_DURABLE).await?;
            looks_done = if left == 0 { looks_done + 1 } else { 0 };
            Ok(match looks_done {
                DONE_LOOKS.. => ControlFlow::Break(()),
                _ => ControlFlow::Continue(u64::MAX - left),
            })
        })
        .await
    }

    /// Waits until the relay and these subscribers pull.
    pub(crate) async fn wait_until_pulled(&self, subscribers: &[String]) -> Result<()> {
        let subscribers = subscribers.iter().map(|id| (subject::DELIVER, id.as_str()));
        let relay = [subject::INGEST, subject::RECEIPTS].map(|stream| (stream, subject::RELAY_DURABLE));
        let durables: Vec<_> = relay.into_iter().chain(subscribers).collect();
        let pulled = self.wait(async || {
            let mut pulled = 0;
            for (stream, durable) in &durables {
                if self.durable(stream, durable).await?.num_waiting > 0 {
                    pulled += 1;
                }
            }
            Ok(if pulled == durables.len() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(pulled as u64)
            })
        });
        pulled.await.with_context(|| format!("not all of {} durables are pulled from", durables.len()))
    }

    async fn wait(&self, mut look: impl AsyncFnMut() -> Result<ControlFlow<(), u64>>) -> Result<()> {
        let (mut seen, mut moved) = (None, Instant::now());
        loop {
            let ControlFlow::Continue(now) = look().await? else { return Ok(()) };
            if seen != Some(now) {
                (seen, moved) = (Some(now), Instant::now());
            }
            if moved.elapsed() > STALLED_AFTER {
                bail!(
                    "no progress for {} s at {now}: {}",
                    STALLED_AFTER.as_secs(),
                    self.where_it_stands().await?
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn where_it_stands(&self) -> Result<String> {
        let mark = self.mark().await?;
        let stands = WAY.iter().zip(mark.0).map(|(stream, last)| format!("{stream} {last}"));
        Ok(stands.collect::<Vec<_>>().join(", "))
    }

    async fn last_sequence(&self, stream: &str) -> Result<u64> {
        let stream = self.js.get_stream(stream).await.with_context(|| format!("look at {stream}"))?;
        Ok(stream.cached_info().state.last_sequence)
    }

    async fn stored_at(&self, stream: &str, sequence: u64) -> Result<Timestamp> {
        time(&self.message(stream, sequence).await?)
    }

    async fn message(&self, stream: &str, sequence: u64) -> Result<StreamMessage> {
        let stream = self.js.get_stream_no_info(stream).await.context("name a stream")?;
        stream.get_raw_message(sequence).await.with_context(|| format!("read message {sequence}"))
    }

    /// Messages that a durable has not settled.
    async fn left(&self, stream: &str, durable: &str) -> Result<u64> {
        let info = self.durable(stream, durable).await?;
        Ok(info.num_pending + info.num_ack_pending as u64)
    }

    async fn durable(&self, stream: &str, durable: &str) -> Result<jetstream::consumer::Info> {
        let found: jetstream::consumer::PullConsumer = self
            .js
            .get_consumer_from_stream(durable, stream)
            .await
            .with_context(|| format!("look at durable {durable} on {stream}"))?;
        Ok(found.cached_info().clone())
    }
}

fn time(message: &StreamMessage) -> Result<Timestamp> {
    Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).context("the broker's time")
}

/// Zero when the second is the earlier one: two leaders' clocks on one machine differ by less than is measured here.
pub(crate) fn between(first: Timestamp, last: Timestamp) -> Duration {
    Duration::try_from(last.duration_since(first)).unwrap_or_default()
}
