//! The one thread that writes. It takes every job that waits, runs each in a savepoint of its own, commits them in one
//! transaction, and only then tells their callers.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};
use sallyport_link::fault;
use tokio::sync::{oneshot, watch};

use super::{Kind, StoreError, error::Doing};
use crate::faults;

/// Jobs of one transaction at most: the first of them waits for the last.
const GROUP_MAX: usize = 256;
/// Between tries to enter a full queue: about one commit.
pub(super) const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(2);

/// A job with its result and whoever waits for it.
pub(super) trait Job: Send {
    fn kind(&self) -> Kind;
    /// Runs it inside the open transaction.
    fn apply(&mut self, tx: &mut rusqlite::Transaction<'_>);
    /// Tells its caller.
    fn done(self: Box<Self>, committed: Result<(), Arc<rusqlite::Error>>);
}

pub(super) type BoxedJob = Box<dyn Job>;

/// What the writer is sent.
pub(super) enum Message {
    /// To be committed with whatever waits beside it.
    Job(BoxedJob),
    /// Nothing more.
    Stop,
}

struct Typed<T, F> {
    kind: Kind,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

pub(super) fn boxed<T, F>(kind: Kind, work: F, reply: oneshot::Sender<Result<T, StoreError>>) -> BoxedJob
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    Box::new(Typed { kind, work: Some(work), result: None, reply })
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn apply(&mut self, tx: &mut rusqlite::Transaction<'_>) {
        let Some(work) = self.work.take() else { return };
        self.result = Some(in_savepoint(tx, work));
    }

    fn done(self: Box<Self>, committed: Result<(), Arc<rusqlite::Error>>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::WriterGone),
            (Err(error), _) => Err(StoreError::NotCommitted(error)),
        };
        // A caller that went away is told nothing; what it asked for is stored all the same.
        let _ = self.reply.send(result);
    }
}

fn in_savepoint<T>(
    tx: &mut rusqlite::Transaction<'_>,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Dropped without a commit, a savepoint is rolled back.
    let savepoint = tx.savepoint().doing("cannot begin")?;
    let result = work(&savepoint)?;
    savepoint.commit().doing("cannot keep the work of a job")?;
    Ok(result)
}

pub(super) fn start(
    mut connection: Connection,
    waiting: mpsc::Receiver<Message>,
    stored: Arc<watch::Sender<u64>>,
) -> Result<JoinHandle<()>, StoreError> {
    let run = move || {
        let mut go_on = true;
        while go_on && let Ok(first) = waiting.recv() {
            let mut group = Vec::new();
            for message in std::iter::once(first).chain(waiting.try_iter()).take(GROUP_MAX) {
                match message {
                    Message::Job(job) => group.push(job),
                    Message::Stop => {
                        go_on = false;
                        break;
                    }
                }
            }
            if !group.is_empty() {
                work(&mut connection, group, &stored);
            }
        }
        close(&connection);
    };
    std::thread::Builder::new()
        .name("store-writer".into())
        .stack_size(WRITER_STACK_BYTES)
        .spawn(run)
        .map_err(StoreError::Thread)
}

/// SQLite needs little, signing less; the default of 2 MiB would be a tenth of the agent's memory if touched.
const WRITER_STACK_BYTES: usize = 512 * 1024;

fn work(connection: &mut Connection, mut group: Vec<BoxedJob>, stored: &watch::Sender<u64>) {
    // An answer makes room for the next events.
    let wakes = group.iter().any(|job| matches!(job.kind(), Kind::Intake | Kind::Answer));
    let committed = commit(connection, &mut group).map_err(Arc::new);
    if let Err(error) = &committed {
        tracing::error!(%error, jobs = group.len(), "the store could not commit");
    }
    if wakes && committed.is_ok() {
        stored.send_modify(|times| *times += 1);
    }
    for job in group {
        job.done(committed.clone());
    }
}

fn commit(connection: &mut Connection, group: &mut [BoxedJob]) -> Result<(), rusqlite::Error> {
    let mut tx: rusqlite::Transaction<'_> =
        connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in group.iter_mut() {
        job.apply(&mut tx);
    }
    if let Some(room) = fault::room() {
        tx.execute_batch(room)?;
    }
    // Crash points around the one commit: before it nothing existed, after it everything does.
    for job in group.iter() {
        if let Some(name) = before(job.kind()) {
            fault::point(name);
        }
    }
    tx.commit()?;
    for job in group.iter() {
        if let Some(name) = after(job.kind()) {
            fault::point(name);
        }
    }
    Ok(())
}

fn before(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Intake => Some(faults::INTAKE_BEFORE_COMMIT),
        Kind::Answer => Some(faults::ANSWER_BEFORE_STORE),
        Kind::Sent | Kind::Upkeep => None,
    }
}

fn after(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Intake => Some(faults::INTAKE_AFTER_COMMIT),
        Kind::Answer => Some(faults::ANSWER_AFTER_STORE),
        Kind::Sent | Kind::Upkeep => None,
    }
}

/// Folds the log back, so that a store that is copied while nothing runs is one file.
fn close(connection: &Connection) {
    if let Err(error) = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
        tracing::debug!(%error, "the log was not folded back; the next start does it");
    }
}
