//! What the subscriber keeps: SQLite in WAL mode, every commit that something outside relies on synced to disk.
//!
//! One program writes at a time per role: the bridge holds the lock of the folder; the CLI only adds what people say.
//! When it is kept and what follows from it is decided by the stages that call.

mod apart;
mod batch;
mod custody;
mod logged;
mod notice;
mod order;
mod outbox;
mod rank;
mod reach;
mod read;
mod sink;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sallyport_link::{
    fault,
    lock::{Lock, LockError},
};
use sallyport_proto::ids::SubscriberId;

pub use apart::Again;
pub use batch::{Arrival, Counts, Kept};
pub use order::Standing;
pub use outbox::{Said, Saying};
pub use reach::Place;
pub use read::{Detail, OUTCOME_WORD, ROWS_MAX, Spoken, Status, StatusRow};
pub use sallyport_subscriber_core::reach::{Heard, Reach, SILENT_AFTER};
pub use sink::{Due, SinkPlace};

/// The CLI writes one short transaction; a bridge one batch. Nobody waits longer than a slow disk needs for a few.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements of a batch, so that none is prepared twice.
const STATEMENTS_CACHED: usize = 64;
/// Step n makes form n + 1 out of form n.
const STEPS: [&str; 4] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];
/// The form that this build reads.
const SCHEMA: i64 = STEPS.len() as i64;

/// The store of one subscriber.
pub struct Store {
    db: Connection,
    dir: PathBuf,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database said no.
    #[error("cannot {what}")]
    Sql {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer build.
    #[error("the store has schema {found}; this build reads {SCHEMA}")]
    NewerSchema {
        /// What it says.
        found: i64,
    },
    /// The folder is somebody else's.
    #[error("the store belongs to subscriber {owner}")]
    OtherOwner {
        /// Whose.
        owner: String,
    },
    /// A bridge runs on this folder.
    #[error("a bridge runs on {}", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// A row that this build did not write so.
    #[error("the store holds a {0} that cannot be read")]
    Corrupt(&'static str),
    /// The work on the store was not finished.
    #[error("work on the store was cut short")]
    CutShort(#[source] tokio::task::JoinError),
}

/// Names the statement in an error.
trait What<T> {
    fn what(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> What<T> for rusqlite::Result<T> {
    fn what(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Sql { what, source })
    }
}

impl Store {
    /// Opens the store in `dir`, or makes it.
    pub fn open(dir: &Path, me: &SubscriberId) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|source| StoreError::File { path: dir.to_owned(), source })?;
        let db = Connection::open(dir.join("subscriber.db")).what("open the store")?;
        db.busy_timeout(BUSY_TIMEOUT).what("set the busy timeout")?;
        db.pragma_update(None, "journal_mode", "WAL").what("set the journal mode")?;
        db.pragma_update(None, "synchronous", "FULL").what("set the sync mode")?;
        db.pragma_update(None, "foreign_keys", true).what("set foreign keys")?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        let mut store = Self { db, dir: dir.to_owned() };
        store.prepare(me)?;
        Ok(store)
    }

    /// Takes the folder for the one bridge that may run on it.
    pub fn lock(dir: &Path) -> Result<Lock, StoreError> {
        Lock::take(&dir.join("bridge.lock")).map_err(|error| match error {
            LockError::Taken { .. } => StoreError::Busy { dir: dir.to_owned() },
            LockError::Io { path, source } => StoreError::File { path, source },
        })
    }

    /// Where the audit reads what was handed over.
    pub fn hand_over_log(&self) -> PathBuf {
        self.dir.join("hand-over.log")
    }

    fn prepare(&mut self, me: &SubscriberId) -> Result<(), StoreError> {
        let tx = self.begin()?;
        let found: i64 =
            tx.pragma_query_value(None, "user_version", |row| row.get(0)).what("read the schema version")?;
        let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len());
        let done = done.ok_or(StoreError::NewerSchema { found })?;
        for step in &STEPS[done..] {
            tx.execute_batch(step).what("bring the tables to this build's form")?;
        }
        let owner: Option<String> = meta(&tx, "subscriber")?;
        match owner {
            None => set_meta(&tx, "subscriber", me.as_str())?,
            Some(owner) if owner == me.as_str() => {}
            Some(owner) => return Err(StoreError::OtherOwner { owner }),
        }
        tx.commit().what("commit the tables")
    }

    /// A transaction that is on disk once committed. Immediate: it never fails half-way for another writer.
    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).what("begin")?;
        if let Some(room) = fault::room() {
            tx.execute_batch(room).what("begin")?;
        }
        Ok(tx)
    }

    /// A transaction whose loss is harmless, because it only spares a repetition: not synced by itself.
    fn lazily<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.pragma_update(None, "synchronous", "NORMAL").what("relax the sync mode")?;
        let result = self.begin().and_then(|tx| {
            let value = write(&tx)?;
            tx.commit().what("commit a mark")?;
            Ok(value)
        });
        self.db.pragma_update(None, "synchronous", "FULL").what("restore the sync mode")?;
        result
    }
}

fn meta<T: rusqlite::types::FromSql>(db: &Connection, name: &str) -> Result<Option<T>, StoreError> {
    let mut read = db.prepare_cached("SELECT value FROM meta WHERE name = ?1").what("read a mark")?;
    read.query_row([name], |row| row.get(0)).optional().what("read a mark")
}

fn set_meta(db: &Connection, name: &str, value: impl rusqlite::ToSql) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    let mut write = db.prepare_cached(sql).what("write a mark")?;
    write.execute(rusqlite::params![name, value]).map(drop).what("write a mark")
}

/// A time as the store keeps it.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A time from the store.
pub(crate) fn from_micros(at: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(at).map_err(|_| StoreError::Corrupt("time"))
}

/// The store for several tasks of one program. Work on it blocks and runs aside from the reactor.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Store>>);

impl Shared {
    /// Shares it.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Does `work` with the store, aside.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.now(work)).await.map_err(StoreError::CutShort)?
    }

    /// Does `work` with the store, here: only where blocking is permitted.
    pub fn now<T>(&self, work: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A panic inside left its transaction rolled back: the store itself is sound.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
