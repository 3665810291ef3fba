//! Hands notices over to the agency's application or desk, from the store, the urgent first, at least once, always under
//! the same notice id. Never in the way of a receipt: RECEIVED was published before, whatever the sink does.
//!
//! What is handed over: `shape`. The hand-over log, which an audit reads, was written before: `log`.

mod breaker;
mod command;
mod files;
mod lines;
mod shape;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use breaker::{Allowed, Breaker, Change, Failed};
use sallyport_link::{clock, publish::chain};
use sallyport_proto::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    receipt::Maker,
    store::{Due, Shared, SinkPlace, StoreError},
    trust::Current,
};

pub use command::Command;
pub use files::AsideError;
pub use shape::{Shape, ShapeError};

/// Where notices go.
#[derive(Debug, Clone)]
pub enum Sink {
    /// JSON lines on standard output: at least once.
    Lines,
    /// One file per notice in this folder: exactly once, also when the files are taken away by whoever reads them.
    Files(PathBuf),
    /// A command per notice, JSON on its standard input: at least once, and told when it is not the first time.
    Command(Command),
    /// Stored and logged only.
    None,
}

impl Sink {
    /// Where a new notice waits for this sink.
    pub fn first_place(&self) -> SinkPlace {
        match self {
            Self::Lines | Self::Files(_) | Self::Command(_) => SinkPlace::Pending,
            Self::None => SinkPlace::None,
        }
    }
}

/// Why the sink stage ended.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The store.
    #[error("handing over")]
    Store(#[from] StoreError),
    /// Standard output is gone.
    #[error("writing lines")]
    Lines(#[source] std::io::Error),
    /// The folder.
    #[error(transparent)]
    Files(#[from] AsideError),
    /// A stored notice that cannot be shown: it was verified before it was stored.
    #[error("showing a stored notice")]
    Shape(#[from] ShapeError),
}

/// What came of one round.
enum Outcome {
    /// The sink took all of it.
    Taken,
    /// It did not.
    Failed(Failed),
}

/// The stage.
pub struct HandOver {
    /// Where from.
    pub store: Shared,
    /// Where to.
    pub sink: Sink,
    /// Signs STAGED and STAGING_FAILED.
    pub maker: Maker,
    /// Names of facilities.
    pub registry: Current,
    /// Says that something was stored.
    pub hint: watch::Receiver<()>,
    /// Counts.
    pub metrics: Metrics,
}

impl HandOver {
    /// Runs until shutdown; what was begun is finished.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), HandOverError> {
        if matches!(self.sink, Sink::None) {
            return Ok(());
        }
        let mut breaker = Breaker::default();
        // One that ran before may have ended with its sink down.
        self.store.with(|store| store.set_breaker(None)).await?;
        loop {
            // Before the look: what is stored after it raises the hint again.
            self.hint.mark_unchanged();
            let (due, wait) = match breaker.allowed(Instant::now()) {
                Allowed::NothingFor(pause) => (Vec::new(), pause),
                allowed => {
                    let round = self.round(allowed);
                    let due = self.store.with(move |store| store.first_due(clock::now(), round)).await?;
                    let wait = if due.is_empty() { self.until_next_due().await? } else { Duration::ZERO };
                    (due, wait)
                }
            };
            if due.is_empty() {
                // Cancel-safe: a change that is not taken is kept.
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return Ok(()),
                    changed = self.hint.changed() => if changed.is_err() { return Ok(()) },
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            if shutdown.is_cancelled() {
                return Ok(());
            }
            let change = match self.hand_over(due).await? {
                Outcome::Taken => breaker.handle_success(),
                Outcome::Failed(failed) => breaker.handle_failure(failed, Instant::now()),
            };
            self.note(change).await?;
        }
    }

    /// A command takes one at a time, so that an urgent notice waits for one run at most.
    fn round(&self, allowed: Allowed) -> usize {
        match (&self.sink, allowed) {
            (Sink::Command(_), _) | (_, Allowed::One) => 1,
            (Sink::Lines | Sink::Files(_) | Sink::None, _) => usize::MAX,
        }
    }

    async fn hand_over(&self, due: Vec<Due>) -> Result<Outcome, HandOverError> {
        let registry: Arc<Registry> = self.registry.borrow().clone();
        match &self.sink {
            Sink::Lines => lines::hand_over(&self.store, due, &registry, &self.metrics).await?,
            Sink::Files(dir) => {
                match files::hand_over(&self.store, dir, due, registry, &self.metrics).await {
                    Err(HandOverError::Files(error)) => {
                        self.metrics.handed_over("failed", 1);
                        tracing::warn!(why = chain(&error), "the folder of notices did not take them");
                        return Ok(Outcome::Failed(Failed::Sink));
                    }
                    done => done?,
                }
            }
            Sink::Command(command) => {
                for due in due {
                    let seq = due.seq;
                    if !command.hand_over(&self.store, &self.maker, due, &registry, &self.metrics).await? {
                        return Ok(Outcome::Failed(Failed::Notice(seq)));
                    }
                }
            }
            Sink::None => {}
        }
        Ok(Outcome::Taken)
    }

    async fn note(&self, change: Option<Change>) -> Result<(), StoreError> {
        let since = match change {
            None => return Ok(()),
            Some(Change::Opened) => {
                self.metrics.sink_down();
                tracing::error!(
                    failures = breaker::FAILURES,
                    "the sink is down: notices are kept, and one is tried now and then until it takes it"
                );
                Some(clock::now())
            }
            Some(Change::Closed) => {
                tracing::info!("the sink takes notices again");
                None
            }
        };
        self.store.with(move |store| store.set_breaker(since)).await
    }

    async fn until_next_due(&self) -> Result<Duration, StoreError> {
        /// Nothing waits: the hint wakes us. A command that puts back what was given up is another process and does not.
        const LONG: Duration = Duration::from_secs(2);
        /// Something is due and held back by an earlier one of its custody that is being looked at just now.
        const SHORT: Duration = Duration::from_millis(10);
        let next = self.store.with(|store| store.next_due()).await?;
        let now = crate::store::micros(clock::now());
        Ok(next.map_or(LONG, |next| {
            Duration::from_micros(u64::try_from(next - now).unwrap_or_default()).clamp(SHORT, LONG)
        }))
    }
}
