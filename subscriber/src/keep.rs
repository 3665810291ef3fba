//! Keeps batches: one transaction in the store, then the lines of the hand-over log, synced; only then are the receipts
//! given on. Record first, effect second, settle last: whatever dies in between is repeated and never lost.

use std::time::Instant;

use async_nats::jetstream;
use bytes::Bytes;
use sallyport_link::{clock, fault};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::{
    crash_points,
    log::{HandOverLog, LogError},
    metrics::Metrics,
    outbox::Outgoing,
    receipt::Maker,
    store::{Arrival, Counts, Place, Shared, SinkPlace, StoreError},
    verify::Judged,
};

/// Batches between pull and settle, each of at most `sallyport_link::pull::BATCH_MAX` (64) messages: together the
/// durable's max_ack_pending of 256. One is judged, one stored, two are on their way to the broker.
pub const IN_FLIGHT_MAX: usize = 4;

/// A batch that was pulled and judged.
pub struct Batch {
    /// What came, as it came.
    pub judged: Vec<(Judged, Bytes)>,
    /// To be settled once it is answered; none for what was judged again.
    pub messages: Vec<jetstream::Message>,
    /// Places of what was set apart and is judged again.
    pub apart: Vec<i64>,
    /// When it was pulled.
    pub pulled: Instant,
    /// Travels with what was pulled until it is settled.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// A batch that is stored and in the log.
pub struct Answered {
    /// To be published.
    pub answers: Vec<Outgoing>,
    /// To be settled then.
    pub messages: Vec<jetstream::Message>,
    /// When it was pulled.
    pub pulled: Instant,
    /// Given back once it is settled.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Why a batch could not be kept: the program cannot do its work without its disk.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The store.
    #[error("keeping a batch")]
    Store(#[from] StoreError),
    /// The log.
    #[error("handing a batch over")]
    Log(#[from] LogError),
}

/// The stage.
pub struct Keeper {
    /// Where.
    pub store: Shared,
    /// The hand-over log.
    pub log: HandOverLog,
    /// Signs the receipts.
    pub maker: Maker,
    /// Where new notices wait for the sink.
    pub sink: SinkPlace,
    /// Says that something waits for the sink.
    pub sink_hint: watch::Sender<()>,
    /// Counts.
    pub metrics: Metrics,
}

impl Keeper {
    /// Keeps one batch. Blocks on the disk.
    pub fn keep(&mut self, batch: Batch) -> Result<Answered, KeepError> {
        let Batch { judged, messages, apart, pulled, permit } = batch;
        let mut places = messages.iter().map(place);
        let arrivals: Vec<Arrival<'_>> = judged
            .iter()
            .map(|(judged, bytes)| Arrival { judged, bytes, place: places.next().flatten() })
            .collect();
        let (maker, sink) = (&self.maker, self.sink);
        let kept = self.store.now(|store| store.keep(&arrivals, maker, clock::now(), sink))?;
        fault::point(crash_points::AFTER_COMMIT);
        if !kept.handed_over.is_empty() {
            let bytes = self.log.append(&kept.handed_over, clock::now())?;
            fault::point(crash_points::AFTER_APPEND);
            self.store.now(|store| store.mark_logged(bytes, kept.through))?;
            self.sink_hint.send_replace(());
        }
        if !apart.is_empty() {
            self.store.now(|store| store.taken_up(&apart))?;
            tracing::info!(notices = apart.len(), "taken up what had been refused");
        }
        note(&kept.counts);
        self.metrics.kept(&kept.counts, pulled.elapsed());
        Ok(Answered { answers: kept.answers, messages, pulled, permit })
    }

    /// Runs until nothing comes any more.
    pub async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        answered: mpsc::Sender<Answered>,
    ) -> Result<(), KeepError> {
        while let Some(batch) = batches.recv().await {
            let kept = tokio::task::spawn_blocking(move || {
                let kept = self.keep(batch);
                (self, kept)
            });
            let (keeper, kept) = kept.await.map_err(StoreError::CutShort)?;
            self = keeper;
            if answered.send(kept?).await.is_err() {
                // The next stage is gone: what is stored is answered after the restart.
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Where it lies on the relay's stream.
fn place(message: &jetstream::Message) -> Option<Place> {
    let info = message.info().ok()?;
    let sequence = info.stream_sequence;
    Some(Place { sequence, stored: clock::broker_moment(info)?.at })
}

fn note(counts: &Counts) {
    if counts.unreadable > 0 {
        tracing::error!(messages = counts.unreadable, "unreadable messages came from the relay; set apart");
    }
    for (code, notices) in &counts.refused {
        tracing::error!(code, notices, "notices refused; set apart and not handed over");
    }
}
