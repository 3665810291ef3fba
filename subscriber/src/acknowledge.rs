//! Publishes the receipts of a stored batch, waits for their PubAcks, and settles its messages at once: by the machine,
//! never waiting for a person or for the application. Several batches are on their way at a time.

use std::time::Instant;

use async_nats::{Client, jetstream};
use futures_util::future::join_all;
use sallyport_link::{clock, fault, publish, settle};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    crash_points,
    keep::Answered,
    metrics::Metrics,
    outbox::{self, Outgoing},
    store::{Shared, StoreError},
};

/// The stage.
#[derive(Clone)]
pub struct Acknowledger {
    /// For settling.
    pub client: Client,
    /// For publishing.
    pub js: jetstream::Context,
    /// For the marks.
    pub store: Shared,
    /// Counts.
    pub metrics: Metrics,
    /// Ends the waiting for a broker that is not there.
    pub shutdown: CancellationToken,
}

impl Acknowledger {
    /// Runs until nothing comes any more, and what is on its way has arrived.
    pub async fn run(self, mut answered: mpsc::Receiver<Answered>) -> Result<(), StoreError> {
        let mut on_their_way: JoinSet<Result<(), StoreError>> = JoinSet::new();
        while let Some(batch) = answered.recv().await {
            while let Some(done) = on_their_way.try_join_next() {
                ended(done)?;
            }
            // Bounded by the permits that travel with the batches.
            let stage = self.clone();
            on_their_way.spawn(async move { stage.acknowledge(batch).await });
        }
        while let Some(done) = on_their_way.join_next().await {
            ended(done)?;
        }
        Ok(())
    }

    async fn acknowledge(&self, batch: Answered) -> Result<(), StoreError> {
        fault::point(crash_points::BEFORE_PUBLISH);
        let published = join_all(batch.answers.iter().map(|receipt| self.publish(receipt))).await;
        if published.iter().any(|outcome| matches!(outcome, Published::NotYet)) {
            // Shutting down: stored, so it is published after the restart; not settled, so it comes again.
            return Ok(());
        }
        fault::point(crash_points::AFTER_PUBACK);
        self.metrics.answered(batch.answers.len(), batch.pulled.elapsed());
        self.settle(&batch.messages).await;
        drop(batch.permit);
        fault::point(crash_points::AFTER_SETTLE);
        let stored: Vec<i64> = batch
            .answers
            .iter()
            .zip(published)
            .filter_map(|(receipt, outcome)| matches!(outcome, Published::Stored).then_some(receipt.id))
            .collect();
        self.store.with(move |store| store.published(&stored, clock::now())).await
    }

    async fn publish(&self, receipt: &Outgoing) -> Published {
        match outbox::publish(&self.js, receipt, &self.shutdown).await {
            Ok(()) => Published::Stored,
            Err(publish::PublishError::ShuttingDown) => Published::NotYet,
            Err(publish::PublishError::Refused(error)) => {
                let why = publish::chain(&error);
                if let Err(error) = outbox::set_unstorable(&self.store, receipt.id, why).await {
                    tracing::error!(error = %publish::chain(&error), "marking a receipt");
                }
                Published::Never
            }
        }
    }

    async fn settle(&self, messages: &[jetstream::Message]) {
        let started = Instant::now();
        let settled = join_all(messages.iter().map(|message| settle::settle(&self.client, message))).await;
        let failed: Vec<_> = settled.into_iter().filter_map(Result::err).collect();
        if let Some(error) = failed.first() {
            let (messages, error) = (failed.len(), publish::chain(error));
            tracing::warn!(messages, error, "not settled; they come again and get the same receipts");
        }
        self.metrics.settled(messages.len() - failed.len(), failed.len(), started.elapsed());
    }
}

enum Published {
    Stored,
    /// Shutting down.
    NotYet,
    /// The broker can never store it: marked, shown, and no reason to get the batch again for ever.
    Never,
}

fn ended(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    done.map_err(StoreError::CutShort)?
}
