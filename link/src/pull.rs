//! Pulls from a durable that `provision` made: binds, never creates. Gives what is there, in batches, in order; bridges
//! missing heartbeats and lost leaders by binding again (docs/nats.md 21, 26).

use std::time::Duration;

use async_nats::jetstream::{self, consumer::PullConsumer};
use futures_util::{StreamExt, stream::ReadyChunks};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::seldom::Seldom;

/// Prefetched messages of a crashed instance wait a whole ack_wait: fetch no more than is in work at once.
pub const BATCH_MAX: usize = 64;
/// One pull request lives so long at the server. Below the shortest redelivery (8 s): a request that outlives its
/// connection swallows what is sent to it, and must not swallow it a second time, half a minute later.
const EXPIRES: Duration = Duration::from_secs(6);
/// Silence for twice this long means that the pull is lost.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Between tries to bind.
const REBIND_DELAY: Duration = Duration::from_secs(1);
/// A message that is given back at shutdown comes to another node, or to us again, this soon.
const GIVE_BACK_DELAY: Duration = Duration::from_millis(500);
/// At shutdown: what the server has sent already follows the message before it within this time.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
/// The pull asks for more as long as there is more: so long, and so many, it is listened to.
const LISTEN_MAX: Duration = Duration::from_secs(1);
const LISTEN_MESSAGES_MAX: usize = 4 * BATCH_MAX;
/// What an operator forgets most easily.
pub const NOT_PROVISIONED: &str =
    "Streams and durables that do not exist yet are made by `sallyport-relay provision`";
/// Transient errors in a row before the pull is rebuilt.
const ERRORS_IN_A_ROW_MAX: u32 = 3;

/// A bound durable.
pub struct Source {
    js: jetstream::Context,
    stream: &'static str,
    durable: String,
    messages: Option<ReadyChunks<jetstream::consumer::pull::Stream>>,
    errors_in_a_row: u32,
    unbound: Seldom,
}

impl Source {
    /// Binds lazily: the first `next` waits until stream and durable are there.
    pub fn new(js: jetstream::Context, stream: &'static str, durable: impl Into<String>) -> Self {
        Self {
            js,
            stream,
            durable: durable.into(),
            messages: None,
            errors_in_a_row: 0,
            unbound: Seldom::default(),
        }
    }

    /// What is there, at most `BATCH_MAX` messages, at least one. `None` at shutdown.
    pub async fn next(&mut self, shutdown: &CancellationToken) -> Option<Vec<jetstream::Message>> {
        loop {
            if self.messages.is_none() {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return None,
                    bound = self.bind() => self.messages = bound,
                }
                if self.messages.is_none() {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return None,
                        () = tokio::time::sleep(REBIND_DELAY) => continue,
                    }
                }
            }
            let Some(messages) = self.messages.as_mut() else { continue };
            // Cancel-safe: `ReadyChunks::next` takes nothing out before it is ready.
            let chunk = tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    self.give_back().await;
                    return None;
                }
                chunk = messages.next() => chunk,
            };
            let batch = self.sort(chunk);
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// What was fetched and not begun, and what is on its way to us, goes to whoever pulls next, instead of waiting a whole
    /// ack_wait for us.
    async fn give_back(&mut self) {
        let Some(mut messages) = self.messages.take() else { return };
        let (end, mut fetched) = (Instant::now() + LISTEN_MAX, Vec::new());
        while fetched.len() < LISTEN_MESSAGES_MAX && Instant::now() < end {
            match tokio::time::timeout(ON_ITS_WAY, messages.next()).await {
                Ok(Some(chunk)) => fetched.extend(chunk.into_iter().flatten()),
                Ok(None) | Err(_) => break,
            }
        }
        // Our own pull ends first, or the server would give them to it again.
        drop(messages);
        for message in fetched {
            crate::settle::nak_after(&message, GIVE_BACK_DELAY).await;
        }
    }

    fn sort(
        &mut self,
        chunk: Option<Vec<Result<jetstream::Message, jetstream::consumer::pull::MessagesError>>>,
    ) -> Vec<jetstream::Message> {
        let Some(chunk) = chunk else {
            self.messages = None;
            return Vec::new();
        };
        let mut batch = Vec::with_capacity(chunk.len());
        for item in chunk {
            match item {
                Ok(message) => {
                    self.errors_in_a_row = 0;
                    batch.push(message);
                }
                Err(error) => self.failed(&error),
            }
        }
        batch
    }

    fn failed(&mut self, error: &jetstream::consumer::pull::MessagesError) {
        use jetstream::consumer::pull::MessagesErrorKind as Kind;
        self.errors_in_a_row += 1;
        let (stream, durable) = (self.stream, &self.durable);
        if error.kind() == Kind::ConsumerDeleted {
            tracing::error!(
                stream,
                durable,
                "the durable was deleted; `sallyport-relay provision` makes it again"
            );
            self.messages = None;
        } else if self.errors_in_a_row >= ERRORS_IN_A_ROW_MAX {
            tracing::warn!(stream, durable, %error, "pull failed repeatedly; binding again");
            self.errors_in_a_row = 0;
            self.messages = None;
        } else {
            tracing::debug!(stream, durable, %error, "pull error");
        }
    }

    async fn bind(&mut self) -> Option<ReadyChunks<jetstream::consumer::pull::Stream>> {
        let (stream, durable) = (self.stream, &self.durable);
        let consumer: PullConsumer = match self.js.get_consumer_from_stream(durable, stream).await {
            Ok(consumer) => consumer,
            Err(error) => {
                if self.unbound.is_due(Instant::now()) {
                    let error = crate::publish::chain(&error);
                    tracing::warn!(
                        stream,
                        durable,
                        error,
                        "cannot bind yet; trying again. {}",
                        NOT_PROVISIONED
                    );
                }
                return None;
            }
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH_MAX)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        match messages {
            Ok(messages) => {
                tracing::debug!(stream, durable, "bound");
                self.unbound.over();
                Some(messages.ready_chunks(BATCH_MAX))
            }
            Err(error) => {
                tracing::warn!(stream, durable, %error, "cannot pull yet");
                None
            }
        }
    }
}
