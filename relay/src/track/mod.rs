//! Folds the streams into this node's read model: one reader per stream, one writer, facts and positions in one
//! transaction. **A fold has no effects**: nothing is decided, sent or answered here, and whatever is lost with the model
//! is read again from the streams. Beside it, the streams are compared with what was folded of them (`shelf`).
//!
//! Out of scope: what a record means (`relay_core::ledger`), figures for people (`lag`, `trace`).

mod reader;
mod shelf;
pub mod store;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use async_nats::jetstream;
use futures_util::future;
use sallyport_link::publish::chain;
use sallyport_proto::{ids::NodeId, registry::Registry};
use sallyport_relay_core::ledger::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{http::Health, metrics::Metrics};
use reader::{Reader, Rewound};
use store::{Store, StoreError};
use writer::ToWriter;

/// Records between the readers and the writer: one transaction's worth, which fills while another is written.
const RECORDS_WAITING_MAX: usize = writer::RECORDS_PER_TRANSACTION_MAX;

/// What folding needs of its node.
pub struct Fold {
    /// JetStream, as this node's user: its permissions name its readers.
    pub js: jetstream::Context,
    /// The node: readers are called `track-<node>`.
    pub node: NodeId,
    /// Which subscribers and facilities metrics may name.
    pub registry: Arc<ArcSwap<Registry>>,
    /// Where the read model lies.
    pub store_dir: PathBuf,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Where `/healthz` looks.
    pub health: Arc<Health>,
}

/// Why the fold cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The read model.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer fell.
    #[error("the writer of the read model fell")]
    Writer(#[source] tokio::task::JoinError),
}

/// Folds until shutdown. Losing the model, or finding that a stream is another one, means building it again.
pub async fn run(fold: Fold, shutdown: CancellationToken) -> Result<(), Error> {
    let (mut store, mut thrown_away) = Store::open(&fold.store_dir)?;
    loop {
        if thrown_away {
            fold.metrics.rebuilt();
            tracing::warn!(dir = %fold.store_dir.display(), "the read model is built again from the streams");
        }
        store = match once(&fold, store, &shutdown).await {
            Ok(Ended::Shutdown) => return Ok(()),
            Ok(Ended::Rebuild(old)) => old.wipe()?,
            Err(Error::Store(error)) if error.is_damage() => {
                tracing::error!(error = %chain(&error), "the read model is damaged");
                Store::make(&fold.store_dir)?
            }
            Err(error) => return Err(error),
        };
        thrown_away = true;
    }
}

enum Ended {
    Shutdown,
    Rebuild(Store),
}

/// Folds until shutdown, or until the model turns out to be of other streams.
async fn once(fold: &Fold, store: Store, shutdown: &CancellationToken) -> Result<Ended, Error> {
    let positions = store.positions()?;
    let (loaded, beside) = (store.reader()?, store.reader()?);
    let (to_writer, from_readers) = mpsc::channel::<ToWriter>(RECORDS_WAITING_MAX);
    let readers = Stream::ALL.iter().map(|&stream| {
        let position = positions.get(&stream).cloned();
        Reader::new(fold.js.clone(), stream, &fold.node, position, to_writer.clone()).run()
    });
    let readers = future::try_join_all(readers);
    let compared = shelf::run(fold, beside, to_writer);
    let read = async {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            ended = readers => ended.err(),
            rewound = compared => Some(rewound),
            () = watch::run(fold, loaded) => None,
        }
        // Readers are dropped here, and with them the channel: the writer finishes what it has and ends.
    };
    let (rewound, written) = tokio::join!(read, writer::run(store, from_readers, &fold.metrics));
    let store = written?;
    Ok(match rewound {
        None => Ended::Shutdown,
        Some(Rewound { stream, why }) => {
            tracing::warn!(stream = stream.name(), why, "this is not the stream that was folded");
            Ended::Rebuild(store)
        }
    })
}
