//! What the relay answers: live by subscription, and what was missed by catch-up. Only what a relay node of the registry
//! signed for this facility counts; anything else is counted, logged and dropped.
//!
//! What an answer does to a row is the outbox machine's; keeping it is the store's.

mod apply;
mod catchup;
mod verify;

use std::sync::Arc;

use futures_util::StreamExt;
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{ids::Ori, registry::Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    store::{Reader, Store, StoreError},
};

pub(crate) use catchup::CatchUp;

/// Answers that arrived together and are stored together.
const CHUNK_MAX: usize = 64;

/// Verifies and stores answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) ori: Ori,
    pub(crate) store: Store,
    /// Looks up what was applied before.
    pub(crate) known: Arc<Reader>,
    pub(crate) registry: watch::Receiver<Arc<Registry>>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why answers are no longer heard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswersError {
    /// The store.
    #[error("answers cannot be stored")]
    Store(#[from] StoreError),
    /// The client ended the subscription.
    #[error("the subscription ended")]
    Ended,
}

impl Answers {
    /// Takes what comes on `live` until shutdown. What is lost here (a core subscription loses messages) comes by
    /// catch-up.
    pub(crate) async fn run(
        self,
        live: async_nats::Subscriber,
        shutdown: CancellationToken,
    ) -> Result<(), AnswersError> {
        let mut live = live.ready_chunks(CHUNK_MAX);
        loop {
            // Cancel-safe: a chunk is taken out only when it is ready.
            let chunk = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                chunk = live.next() => chunk.ok_or(AnswersError::Ended)?,
            };
            let arrived = clock::now();
            let messages = chunk.into_iter().map(|message| message.payload.to_vec()).collect();
            // Not stored is not lost: the row stays open, and catch-up brings the answer again.
            match self.take(messages, arrived, None).await {
                Ok(_) => {}
                Err(StoreError::WriterGone) => return Err(StoreError::WriterGone.into()),
                Err(error) => tracing::error!(error = %chain(&error), "an answer was not stored"),
            }
        }
    }
}
