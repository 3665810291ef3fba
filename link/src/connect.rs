//! Logs in to NATS the way every program must: own inbox prefix, nkey, patient reconnects with a floor, and every
//! asynchronous server error made visible (docs/nats.md 11, 14, 16, 28).

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, jetstream};
use rand::Rng;
use tokio::sync::watch;

use crate::config::ConnectSeed;

/// Hot reconnect loops were measured with hundreds of tries in 2 s: never faster than this.
const RECONNECT_DELAY_FLOOR: Duration = Duration::from_secs(1);
/// A server that was away for long is tried at least this often: its return should be noticed within seconds.
const RECONNECT_DELAY_CEILING: Duration = Duration::from_secs(4);
/// JetStream requests: a leader change takes up to 9 s; a caller that times out before it retries needlessly.
pub const JETSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection whose other end is gone without a word is noticed within three of these. async-nats takes a minute each
/// unless told otherwise: three minutes without a notice, and nothing would say why.
const PING_EVERY: Duration = Duration::from_secs(5);

/// A program whose server never came must still end when it is asked to.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// What goes wrong on a connection without any call failing.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Publish or subscribe refused by the server's permissions.
    pub permission_violations: AtomicU64,
    /// Times the connection was lost.
    pub disconnects: AtomicU64,
    /// Messages dropped because we read too slowly.
    pub slow_consumers: AtomicU64,
    /// Times a connection was made: whoever has to catch up after each one waits for a change.
    pub connects: watch::Sender<u64>,
}

/// How to log in.
pub struct Login<'a> {
    /// `nats://host:port`, or several, comma-separated: whichever node of a cluster answers.
    pub url: &'a str,
    /// Shown by the server.
    pub name: String,
    /// Who.
    pub seed: &'a ConnectSeed,
    /// Own inbox: `_INBOX_<id>`; nobody may read another's.
    pub inbox_prefix: String,
    /// Where this account reaches JetStream's API, when not at `$JS.API`.
    pub js_api: Option<&'static str>,
}

/// Connects, or keeps trying in the background when the server is not there yet.
pub async fn connect(
    login: Login<'_>,
    counters: Arc<LinkCounters>,
) -> Result<(Client, jetstream::Context), async_nats::ConnectError> {
    let client = ConnectOptions::with_nkey(login.seed.expose().to_owned())
        .name(login.name)
        .custom_inbox_prefix(login.inbox_prefix)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback({
            let first = AtomicBool::new(true);
            // The very first try waits for nothing; whatever follows keeps the floor.
            move |attempts| {
                if first.swap(false, Ordering::Relaxed) { Duration::ZERO } else { reconnect_delay(attempts) }
            }
        })
        .event_callback(move |event| {
            let counters = counters.clone();
            async move { note(&counters, event) }
        })
        .connect(login.url.split(',').map(str::trim).collect::<Vec<_>>())
        .await?;
    let mut context = match login.js_api {
        Some(prefix) => jetstream::with_prefix(client.clone(), prefix),
        None => jetstream::new(client.clone()),
    };
    context.set_timeout(JETSTREAM_TIMEOUT);
    Ok((client, context))
}

fn reconnect_delay(attempts: usize) -> Duration {
    let doubled = RECONNECT_DELAY_FLOOR.saturating_mul(1 << attempts.min(2));
    let jitter = rand::rng().random_range(0..500);
    doubled.min(RECONNECT_DELAY_CEILING) + Duration::from_millis(jitter)
}

fn note(counters: &LinkCounters, event: Event) {
    match event {
        Event::Connected => {
            counters.connects.send_modify(|times| *times += 1);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => {
            counters.disconnects.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("connection to NATS lost; reconnecting");
        }
        Event::SlowConsumer(_) => {
            counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("the client dropped messages: read too slowly");
        }
        Event::ServerError(error) => {
            let text = error.to_string();
            if text.to_ascii_lowercase().contains("permissions violation") {
                counters.permission_violations.fetch_add(1, Ordering::Relaxed);
                tracing::error!(error = text, "NATS refused a publish or subscribe of ours");
            } else {
                tracing::warn!(error = text, "server error");
            }
        }
        other => tracing::debug!(event = %other, "NATS"),
    }
}

/// Ends a connection on which nothing was handed over.
pub async fn abandon(client: &Client) {
    if let Ok(Err(error)) = tokio::time::timeout(CLOSING_MAX, client.drain()).await {
        tracing::debug!(%error, "drain before closing");
    }
}

/// Ends a connection: everything handed over is flushed before the connection closes (docs/nats.md 27).
pub async fn close(client: &Client) {
    match tokio::time::timeout(CLOSING_MAX, client.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "flush before closing"),
        Err(_) => tracing::warn!("not connected: what was handed over last is sent again at the next start"),
    }
    match tokio::time::timeout(CLOSING_MAX, client.drain()).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::warn!(%error, "drain before closing"),
    }
}
