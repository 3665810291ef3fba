//! Pulls from A and publishes to B, from B to C, or only takes C; at B maybe for many agencies.

use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::{Context, Message, consumer::PullConsumer};
use futures_util::{
    StreamExt,
    stream::{FuturesUnordered, select_all},
};
use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::{IN_FLIGHT, PULL_BATCH, micros_since, send};
use crate::{percentiles, signatures::Work};

/// One durable hop, or one for each of many agencies.
pub(super) struct Hop {
    pub(super) from: Vec<PullConsumer>,
    pub(super) js: Context,
    pub(super) onward: Option<(&'static str, usize)>,
    pub(super) n: u64,
    pub(super) work: Work,
    pub(super) began: Instant,
}

impl Hop {
    /// Passes on `n` messages; gives how long after its publishing each was pulled here.
    pub(super) async fn run(self) -> Result<Histogram<u64>> {
        let mut pulls = Vec::new();
        for from in &self.from {
            pulls.push(from.stream().max_messages_per_batch(PULL_BATCH).messages().await?);
        }
        let mut batches = select_all(pulls).ready_chunks(PULL_BATCH);
        let mut waited_us = percentiles::histogram();
        let mut in_flight = FuturesUnordered::new();
        let (mut done, mut taken) = (0, 0);
        while done < self.n {
            // Both branches only receive.
            tokio::select! {
                biased;
                Some(passed) = in_flight.next() => { passed?; done += 1; }
                Some(batch) = batches.next(), if in_flight.len() + PULL_BATCH <= IN_FLIGHT => {
                    self.work.batch()?;
                    for message in batch {
                        let message = message?;
                        let published = message.payload.first_chunk().context("a stamp")?;
                        let waited = micros_since(self.began).saturating_sub(u64::from_le_bytes(*published));
                        waited_us.saturating_record(waited);
                        self.work.each()?;
                        in_flight.push(self.pass_on(message, taken));
                        taken += 1;
                    }
                }
            }
        }
        Ok(waited_us)
    }

    async fn pass_on(&self, message: Message, number: usize) -> Result<()> {
        if let Some((subject, agencies)) = self.onward {
            send(&self.js, format!("{subject}.{}", number % agencies), message.payload.clone()).await?;
        }
        message.ack().await.map_err(|error| anyhow!("ack: {error}"))
    }
}
