//! Pulls batches of our own durable on DELIVER and judges them, aside from the reactor. Binds, never creates: the durable
//! is `provision`'s. What was refused for want of a key is judged again when the registry changes.

use std::{sync::Arc, time::Instant};

use async_nats::jetstream;
use bytes::Bytes;
use sallyport_link::{fault, pull::Source};
use sallyport_proto::{ids::SubscriberId, registry::Registry, subject};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    crash_points,
    keep::{Batch, IN_FLIGHT_MAX},
    store::{Shared, StoreError},
    trust::Current,
    verify::{Judged, judge},
};

/// The stage.
pub struct Receiver {
    /// JetStream, as our own account sees it.
    pub js: jetstream::Context,
    /// Whose notices.
    pub me: SubscriberId,
    /// Whose signatures count.
    pub registry: Current,
}

impl Receiver {
    /// Runs until shutdown; what was pulled by then goes on.
    pub async fn run(
        self,
        batches: mpsc::Sender<Batch>,
        shutdown: CancellationToken,
    ) -> Result<(), tokio::task::JoinError> {
        let mut source = Source::new(self.js, subject::DELIVER, self.me.as_str());
        let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        // Nobody closes the semaphore.
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let Some(messages) = source.next(&shutdown).await else { break };
            let pulled = Instant::now();
            fault::point(crash_points::AFTER_PULL);
            let payloads = messages.iter().map(|message| message.payload.clone()).collect();
            let registry = self.registry.borrow().clone();
            let judged = judge_aside(payloads, registry, self.me.clone()).await?;
            let permit = Some(permit);
            if batches.send(Batch { judged, messages, apart: Vec::new(), pulled, permit }).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

async fn judge_aside(
    payloads: Vec<Bytes>,
    registry: Arc<Registry>,
    me: SubscriberId,
) -> Result<Vec<(Judged, Bytes)>, tokio::task::JoinError> {
    let judge_all =
        move || payloads.into_iter().map(|bytes| (judge(&bytes, &registry, &me), bytes)).collect();
    tokio::task::spawn_blocking(judge_all).await
}

/// Judges again what was set apart, at start and whenever the registry changes.
pub struct SecondLook {
    /// What is set apart.
    pub store: Shared,
    /// Whose notices.
    pub me: SubscriberId,
    /// Whose signatures count now.
    pub registry: Current,
}

impl SecondLook {
    /// Runs until shutdown.
    pub async fn run(
        mut self,
        batches: mpsc::Sender<Batch>,
        shutdown: CancellationToken,
    ) -> Result<(), StoreError> {
        // At start the build may be another one, too.
        let mut by_build = true;
        loop {
            self.registry.mark_unchanged();
            self.look(&batches, by_build).await?;
            by_build = false;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                changed = self.registry.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    async fn look(&self, batches: &mpsc::Sender<Batch>, by_build: bool) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let apart = self.store.with(move |store| store.to_judge_again(after, by_build)).await?;
            let Some(last) = apart.last() else { return Ok(()) };
            after = last.id;
            let (places, payloads): (Vec<i64>, Vec<Bytes>) =
                apart.into_iter().map(|again| (again.id, Bytes::from(again.bytes))).unzip();
            let registry = self.registry.borrow().clone();
            let judged =
                judge_aside(payloads, registry, self.me.clone()).await.map_err(StoreError::CutShort)?;
            let (apart, judged): (Vec<i64>, Vec<(Judged, Bytes)>) = places
                .into_iter()
                .zip(judged)
                .filter(|(_, (judged, _))| matches!(judged, Judged::Notice(_)))
                .unzip();
            if !judged.is_empty() {
                let batch =
                    Batch { judged, messages: Vec::new(), apart, pulled: Instant::now(), permit: None };
                if batches.send(batch).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
