//! Publishes receipts that no batch waits for: what the sink and people say, in order, and at start whatever an earlier
//! run left open. Kept until the PubAck; always the same bytes.

use std::time::Duration;

use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use sallyport_link::{
    clock, fault,
    publish::{self, PublishError},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    crash_points,
    metrics::Metrics,
    receipt::Made,
    store::{Shared, StoreError},
};

/// Another process (the CLI) adds to the outbox without telling us. A person does not notice this delay.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A stored receipt on its way to the broker.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its place in the store.
    pub id: i64,
    /// Where to.
    pub subject: String,
    /// The signed bytes.
    pub bytes: Bytes,
}

impl Outgoing {
    /// A receipt that was just made and stored.
    pub fn new(id: i64, made: Made) -> Self {
        Self { id, subject: made.subject, bytes: made.bytes.into() }
    }
}

/// Publishes one and awaits the PubAck. No Msg-Id: a repetition must reach the relay as well.
pub async fn publish(
    js: &jetstream::Context,
    receipt: &Outgoing,
    shutdown: &CancellationToken,
) -> Result<(), PublishError> {
    let bytes = receipt.bytes.clone();
    publish::until_stored(js, &receipt.subject, HeaderMap::new(), bytes, shutdown).await.map(drop)
}

/// Says loudly that a receipt can never be stored, and notes it.
pub async fn set_unstorable(store: &Shared, id: i64, why: String) -> Result<(), StoreError> {
    tracing::error!(receipt = id, why, "the broker can never store this receipt; kept and not tried again");
    store.with(move |store| store.unstorable(id, &why)).await
}

/// The stage.
pub struct Outbox {
    /// For publishing.
    pub js: jetstream::Context,
    /// Where the receipts are.
    pub store: Shared,
    /// Counts.
    pub metrics: Metrics,
}

impl Outbox {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let before_us = self.store.with(|store| store.last_receipt()).await?;
        if !self.drain(Some(before_us), &shutdown).await? {
            return Ok(());
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that is not taken is kept.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = looks.tick() => {}
            }
            if !self.drain(None, &shutdown).await? {
                return Ok(());
            }
        }
    }

    /// Publishes what waits: of every kind up to a place of the store, or what is the outbox's alone. Gives whether all
    /// of it is done; not so at shutdown.
    pub async fn drain(
        &self,
        all_up_to: Option<i64>,
        shutdown: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let mut after = 0;
        loop {
            let round = self.store.with(move |store| store.unpublished(after, all_up_to.is_some())).await?;
            let Some(last) = round.last() else { return Ok(true) };
            after = last.id;
            for receipt in round.iter().filter(|receipt| all_up_to.is_none_or(|last| receipt.id <= last)) {
                let id = receipt.id;
                fault::point(crash_points::OUTBOX_BEFORE_PUBLISH);
                match publish(&self.js, receipt, shutdown).await {
                    Ok(()) => {
                        fault::point(crash_points::OUTBOX_AFTER_PUBACK);
                        self.store.with(move |store| store.published(&[id], clock::now())).await?;
                        self.metrics.sent_later();
                    }
                    Err(PublishError::ShuttingDown) => return Ok(false),
                    Err(PublishError::Refused(error)) => {
                        set_unstorable(&self.store, id, publish::chain(&error)).await?;
                    }
                }
            }
            if all_up_to.is_some_and(|last| after >= last) {
                return Ok(true);
            }
        }
    }
}
