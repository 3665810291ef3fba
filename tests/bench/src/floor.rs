//! The floors: what three durable hops over NATS cost on this very server, with the habits of the product and none of its
//! logic. Publisher -> A, a hop pulls A and publishes to B, a hop pulls B and publishes to C, a sink pulls C; 500-byte
//! payloads, 256 in flight per hop, pull batches of 64, plain acks. With signatures it is the signed floor. B may have a
//! durable and a connection for each of many agencies, as the product's DELIVER has.
//!
//! Little, and a change here is a commit of its own: every ratio of the bench stands on it.

mod hop;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, PullConsumer, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use sallyport_proto::key::{Signer, SigningKey};
use tokio::{task::JoinSet, time::Instant};

use self::hop::Hop;
use crate::signatures::{Shares, Work};

const STREAMS: [&str; 3] = ["FLOOR_A", "FLOOR_B", "FLOOR_C"];
/// Messages go to `<subject>.<agency>`.
const SUBJECTS: [&str; 3] = ["floor.a", "floor.b", "floor.c"];
/// The place of B.
const AGENCIES_AT: usize = 1;
const PAYLOAD: &[u8; 500] = &[b'x'; 500];
const IN_FLIGHT: usize = 256;
const PULL_BATCH: usize = 64;
/// As the product's streams and durables.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
const ACK_WAIT: Duration = Duration::from_secs(15);
/// Room for a burst beside what the product's streams reserve.
const STREAM_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Where a floor is run, and with which keys.
pub struct Floor {
    /// The server.
    pub url: String,
    /// The floor's own account on it.
    pub login: (&'static str, &'static str),
    /// Of each stream and durable.
    pub replicas: usize,
    /// Durables on B: message after message for another one.
    pub agencies: usize,
    /// Signs, and verifies.
    pub keys: (Signer, SigningKey),
}

/// How long it took.
pub struct Reached {
    /// From the first message stored on A to the last stored on C, by the broker's clock.
    pub whole: Duration,
    /// From publishing until the second hop, the subscriber's, has it.
    pub deliver_us: Histogram<u64>,
    /// From publishing until the sink has it.
    pub loop_us: Histogram<u64>,
}

impl Floor {
    /// Sends `n` messages through: one `every` so often, or all as fast as it goes. The streams are made anew.
    pub async fn run(&self, n: u64, every: Option<Duration>, shares: Shares) -> Result<Reached> {
        let setup = self.connect().await?;
        let began = Instant::now();
        let mut hops = JoinSet::new();
        for (place, share) in [shares.route, shares.receive, shares.back].into_iter().enumerate() {
            let from = self.make_stream(&setup, place).await?;
            let onward = SUBJECTS.get(place + 1).map(|subject| (*subject, self.durables_on(place + 1)));
            let js = self.connect().await?;
            let hop = Hop { from, js, onward, n, work: Work::new(&self.keys, share, PAYLOAD), began };
            hops.spawn(async move { Ok::<_, anyhow::Error>((place, hop.run().await?)) });
        }
        publish(self.connect().await?, n, every, began, Work::new(&self.keys, shares.publish, PAYLOAD))
            .await?;
        let mut waits = hops.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        waits.sort_by_key(|(place, _)| *place);
        let [_, (_, deliver_us), (_, loop_us)] =
            <[_; 3]>::try_from(waits).map_err(|_| anyhow!("three hops"))?;
        let first = setup.get_stream(STREAMS[0]).await?.get_info().await?.state.first_timestamp;
        let last = setup.get_stream(STREAMS[2]).await?.get_info().await?.state;
        ensure!(last.messages == n, "{} messages came through instead of {n}", last.messages);
        Ok(Reached { whole: (last.last_timestamp - first).try_into()?, deliver_us, loop_us })
    }

    async fn connect(&self) -> Result<Context> {
        let (user, password) = self.login;
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
        Ok(jetstream::new(options.connect(&self.url).await.context("log in as the floor's user")?))
    }

    fn durables_on(&self, place: usize) -> usize {
        if place == AGENCIES_AT { self.agencies } else { 1 }
    }

    /// The stream anew, and its durables, a connection each, as programs of their own have.
    async fn make_stream(&self, js: &Context, place: usize) -> Result<Vec<PullConsumer>> {
        let (name, subject) = (STREAMS[place], SUBJECTS[place]);
        // Absent the first time.
        let _ = js.delete_stream(name).await;
        let config = Config {
            name: name.into(),
            subjects: vec![format!("{subject}.*")],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: self.replicas,
            max_bytes: STREAM_BYTES_MAX,
            max_age: MAX_AGE,
            duplicate_window: DUPLICATE_WINDOW,
            deny_purge: true,
            ..Config::default()
        };
        let stream = js.create_stream(config).await.with_context(|| format!("create {name}"))?;
        let mut durables = Vec::new();
        for agency in 0..self.durables_on(place) {
            let durable = pull::Config {
                durable_name: Some(format!("floor-{agency}")),
                filter_subject: format!("{subject}.{agency}"),
                ack_policy: AckPolicy::Explicit,
                ack_wait: ACK_WAIT,
                max_ack_pending: IN_FLIGHT as i64,
                max_deliver: -1,
                num_replicas: self.replicas,
                ..pull::Config::default()
            };
            let made = stream.create_consumer(durable).await;
            let made = made.with_context(|| format!("a durable on {name}"))?;
            let own = self.connect().await?;
            durables.push(own.get_consumer_from_stream(&made.cached_info().name, name).await?);
        }
        Ok(durables)
    }
}

async fn publish(js: Context, n: u64, every: Option<Duration>, began: Instant, work: Work) -> Result<()> {
    // Without a pace the ticks are all due at once; a late tick is made up for.
    let first = Instant::now();
    let due = stream::iter(0..n).then(|number| async move {
        if let Some(every) = every {
            tokio::time::sleep_until(first + every * number as u32).await;
        }
        Ok(())
    });
    let sends = due.map_ok(|()| {
        let mut payload = *PAYLOAD;
        payload[..8].copy_from_slice(&micros_since(began).to_le_bytes());
        let worked = work.each();
        let js = &js;
        async move {
            worked?;
            send(js, format!("{}.0", SUBJECTS[0]), Bytes::copy_from_slice(&payload)).await
        }
    });
    sends.try_buffer_unordered(IN_FLIGHT).try_collect().await
}

async fn send(js: &Context, subject: String, payload: Bytes) -> Result<()> {
    js.publish(subject, payload).await?.await.map(drop).context("PubAck")
}

fn micros_since(began: Instant) -> u64 {
    began.elapsed().as_micros() as u64
}
