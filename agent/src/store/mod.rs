//! The agent's store: what was told of each custody, the outbox, receipts, and how far answers were read. One SQLite
//! file, one writer (a lock decides which process, one thread within it), any number of readers.
//!
//! Durable before anything is said: a job counts as done when the transaction that holds it is on disk. Jobs that wait
//! together are committed together.
//!
//! Person data lies in one place only, the signed bytes of the outbox, and leaves it 30 days after the row was closed.
//! What an event says and to whom is decided elsewhere (`intake`); so is what is sent when (`publish`).

mod answers;
mod caller;
mod custody;
mod error;
mod facility;
mod lock;
mod numbered;
mod outbox;
mod prune;
mod reader;
mod receipts;
mod refused;
mod schema;
mod stamp;
mod waiting;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use lock::Lock;
use rusqlite::Connection;
use sallyport_link::lock::LockError;
use sallyport_proto::ids::{InstanceId, Ori};
use tokio::sync::{oneshot, watch};

pub use answers::{Applied, Position, apply_acceptance, apply_refusal, keep_answer, set_position};
pub use caller::{Known, known_caller_key, remember_caller_key};
pub use custody::{
    LastReading, clear_withheld, last_reading, load_memory, note_reading, note_withheld, save_memory,
};
pub use error::StoreError;
pub use facility::{NextNumber, next_number, start_epoch, take_number};
pub use lock::holder;
pub use numbered::{Numbered, Reopened, reopen};
pub use outbox::{NewRow, Sent, due_at_once, insert as insert_row, record_sent};
pub use prune::{KEEP_CLOSED, prune};
pub use reader::{Counts, Depth, DueRow, FacilityRow, Reader};
pub use receipts::{Credit, credit, keep_receipt, stray};
pub use refused::{clear_refused, note_refused};
pub use stamp::{from_us, us};
pub use waiting::{SentRow, Unsent};

/// What a job is for: decides its crash points and whether the publisher is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Events of the jail.
    Intake,
    /// An answer of the relay.
    Answer,
    /// What was sent when.
    Sent,
    /// Everything else.
    Upkeep,
}

/// Jobs that may wait for the writer. More callers than this wait their turn outside of it.
const WAITING_MAX: usize = 512;
/// Where the database lies in the store's folder.
const FILE: &str = "agent.sqlite";

/// A handle to the store's writer. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::SyncSender<writer::Message>,
    stored: Arc<watch::Sender<u64>>,
    path: Arc<Path>,
}

/// The writer's thread and the lock that makes it the only one.
pub struct WriterThread {
    jobs: mpsc::SyncSender<writer::Message>,
    thread: Option<std::thread::JoinHandle<()>>,
    lock: Lock,
}

impl WriterThread {
    /// Says in the lock file where the running agent listens, for commands that hand over to it.
    pub fn publish_address(&mut self, address: std::net::SocketAddr) -> Result<(), LockError> {
        self.lock.publish_address(address)
    }

    /// Lets the writer finish what waits, and waits for its last commit. Later jobs are refused.
    pub fn close(mut self) {
        // A writer that is gone needs no word.
        let _ = self.jobs.send(writer::Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

/// The database file of a store folder.
pub fn database(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Takes the lock, opens or makes the store of this facility, and starts its writer.
pub fn open(dir: &Path, instance: &InstanceId, ori: &Ori) -> Result<(Store, WriterThread), StoreError> {
    std::fs::create_dir_all(dir).map_err(|source| StoreError::Folder { path: dir.to_owned(), source })?;
    let lock = Lock::take(dir)?;
    let path = database(dir);
    let mut connection = schema::open_for_writing(&path)?;
    schema::make(&mut connection)?;
    facility::bind(&mut connection, &path, instance, ori)?;
    let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
    let stored = Arc::new(watch::Sender::new(0));
    let thread = writer::start(connection, waiting, stored.clone())?;
    let store = Store { jobs: jobs.clone(), stored, path: path.into() };
    Ok((store, WriterThread { jobs, thread: Some(thread), lock }))
}

impl Store {
    /// Runs `job` in the writer's next transaction and gives its result once that is on disk. A job that fails leaves
    /// nothing; its neighbours in the same transaction are not touched.
    pub async fn write<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let mut boxed = writer::Message::Job(writer::boxed(kind, job, reply));
        // The queue is a plain thread's; a full one is rare (512 jobs) and is waited out in small steps.
        loop {
            match self.jobs.try_send(boxed) {
                Ok(()) => break,
                Err(mpsc::TrySendError::Full(back)) => {
                    boxed = back;
                    tokio::time::sleep(writer::FULL_QUEUE_PAUSE).await;
                }
                Err(mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::WriterGone),
            }
        }
        answer.await.unwrap_or(Err(StoreError::WriterGone))
    }

    /// Changes whenever events or answers were stored: whoever sends events looks again.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.stored.subscribe()
    }

    /// A read-only connection of its own.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }
}

#[cfg(test)]
mod tests;
