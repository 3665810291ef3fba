//! The read model on disk: SQLite, one writer, disposable. Facts and positions are written in one transaction, so that
//! after any crash the positions say exactly what the facts hold.
//!
//! Out of scope: what a record means (`relay_core::ledger`), reading streams (`reader`), figures (`lag`, `trace`).

mod held;
mod load;
mod put;
mod rows;
#[cfg(test)]
mod tests;
pub(crate) mod value;
mod waiting;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};
use sallyport_link::fault;
use sallyport_relay_core::{
    dense::Gap,
    ledger::{Change, Stream},
};

pub(crate) use held::{COMPARED, Folded, Span};
pub(crate) use load::Loaded;
use value::micros;
pub(crate) use waiting::Waiting;

/// Raised with every change of the schema or of what a record is folded into: another version on disk is rebuilt.
const SCHEMA_VERSION: i32 = 5;
const SCHEMA: &str = include_str!("schema.sql");
const FILE: &str = "read-model.sqlite";
/// Pages of a day's notices stay in memory, so that a rebuild does not go to the disk for each index entry.
const CACHE_KIB: i32 = 64 * 1024;
/// Pages of the log before it is copied into the file (32 MiB): while a model is built again, the same pages of its indexes
/// change in every transaction, and would be copied each time.
const CHECKPOINT_PAGES: u32 = 8 * 1024;
/// A reader of another process may hold the file for a moment while it checkpoints.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More statements than there are, so that none is prepared twice.
const STATEMENTS_CACHED: usize = 64;

/// Why the read model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its directory cannot be made, or its file cannot be removed.
    #[error("read model: {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite says no.
    #[error("read model: {doing}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// There is none: the relay has not run here.
    #[error("no read model in {0}: the relay has not run with this store")]
    Missing(PathBuf),
    /// Another build wrote it; the relay rebuilds it when it runs.
    #[error(
        "the read model has schema {found}, this build reads {expected}: run the relay of this build to rebuild it"
    )]
    OtherSchema {
        /// In the file.
        found: i32,
        /// Of this build.
        expected: i32,
    },
}

impl StoreError {
    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }

    /// The file is damaged: only building it again helps.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(self, Self::Sqlite { source, .. }
            if matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)))
    }
}

/// A model that was not known to be whole for so long is stale: what it says is UNKNOWN, never fine.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// How far one stream is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the stream was created, as the server states it.
    pub created: String,
    /// The last sequence folded.
    pub sequence: u64,
    /// When the broker stored that message.
    pub stored: Option<Timestamp>,
    /// When the model was last known to hold everything of the stream.
    pub whole_at: Option<Timestamp>,
}

impl Position {
    /// Whether the model is known to hold everything of the stream at `now`. What a clock that was ahead has found whole says
    /// nothing any more once that clock is right again.
    pub fn is_whole(&self, now: Timestamp) -> bool {
        self.whole_at.is_some_and(|at| now.duration_since(at).abs() <= STALE_AFTER)
    }
}

/// Positions by stream; a stream that was never read has none.
pub type Positions = BTreeMap<Stream, Position>;

/// The writer's side.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the model of a node, or makes an empty one where there is none, where its schema is another one, or where
    /// the file is damaged. Tells whether one was thrown away.
    pub fn open(dir: &Path) -> Result<(Self, bool), StoreError> {
        fs::create_dir_all(dir).map_err(|source| StoreError::File { path: dir.to_owned(), source })?;
        let path = dir.join(FILE);
        let existed = path.exists();
        match Self::open_file(&path) {
            Ok(Some(store)) => Ok((store, false)),
            Ok(None) => Self::anew(&path).map(|store| (store, existed)),
            Err(error) if error.is_damage() => Self::anew(&path).map(|store| (store, true)),
            Err(error) => Err(error),
        }
    }

    /// An empty model, whatever is there.
    pub fn make(dir: &Path) -> Result<Self, StoreError> {
        Self::anew(&dir.join(FILE))
    }

    /// Throws everything away.
    pub fn wipe(self) -> Result<Self, StoreError> {
        let Self { connection, path } = self;
        drop(connection);
        Self::anew(&path)
    }

    fn anew(path: &Path) -> Result<Self, StoreError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.as_os_str().to_owned();
            file.push(suffix);
            let file = PathBuf::from(file);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::File { path: file, source: error });
                }
                _ => {}
            }
        }
        let connection = connect(path)?;
        let schema = format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
        connection.execute_batch(&schema).map_err(StoreError::sqlite("making the schema"))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn open_file(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(path)?;
        if schema_version(&connection)? != SCHEMA_VERSION {
            return Ok(None);
        }
        // What was whole when another process ended may be of streams that are gone: nobody has looked since.
        connection
            .execute("UPDATE position SET whole_at = NULL", [])
            .map_err(StoreError::sqlite("forgetting that it was whole"))?;
        Ok(Some(Self { connection, path: path.to_owned() }))
    }

    /// How far each stream is folded.
    pub fn positions(&self) -> Result<Positions, StoreError> {
        load::positions(&self.connection)
    }

    /// Writes facts and positions in one transaction.
    #[cfg(test)]
    pub(crate) fn write(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        positions: &Positions,
    ) -> Result<(), StoreError> {
        let changes: Vec<Change> = changes.into_iter().collect();
        self.write_folded(&changes, positions, &Folded::default(), &[])
    }

    /// Writes facts, positions and what was folded in one transaction, and takes out what streams lost.
    pub(crate) fn write_folded<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        positions: &Positions,
        folded: &Folded,
        lost: &[(Stream, &[Gap], Timestamp)],
    ) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction().map_err(StoreError::sqlite("beginning a transaction"))?;
        for change in changes {
            put::apply(&transaction, change).map_err(StoreError::sqlite("writing a fact"))?;
        }
        for (stream, position) in positions {
            put_position(&transaction, *stream, position)
                .map_err(StoreError::sqlite("writing a position"))?;
        }
        folded.put(&transaction).map_err(StoreError::sqlite("noting what was folded"))?;
        for (stream, gaps, at) in lost {
            held::lose(&transaction, *stream, gaps, *at)
                .map_err(StoreError::sqlite("taking out what was lost"))?;
        }
        if let Some(room) = fault::room() {
            transaction.execute_batch(room).map_err(StoreError::sqlite("committing"))?;
        }
        transaction.commit().map_err(StoreError::sqlite("committing"))
    }

    /// Another connection that reads.
    pub(crate) fn reader(&self) -> Result<Loaded, StoreError> {
        Loaded::open_file(&self.path)
    }
}

fn put_position(connection: &Connection, stream: Stream, position: &Position) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO position (stream, created, sequence, whole_at, stored) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (stream) DO UPDATE SET created = ?2, sequence = ?3, whole_at = coalesce(?4, whole_at),
                stored = coalesce(?5, stored)",
        )?
        .execute(params![
            stream.name(),
            position.created,
            value::number(position.sequence),
            position.whole_at.map(micros),
            position.stored.map(micros)
        ])?;
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(StoreError::sqlite("opening"))?;
    prepare(&connection)?;
    // What a power cut takes from a disposable model is read again from the streams: no fsync per transaction.
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB}; \
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
        ))
        .map_err(StoreError::sqlite("setting up"))?;
    Ok(connection)
}

fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(StoreError::sqlite("opening to read"))?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Otherwise a new value bound beside a partial index has the statement prepared again, each time.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .and_then(|_| connection.busy_timeout(BUSY_TIMEOUT))
        .map_err(StoreError::sqlite("setting up"))
}

fn schema_version(connection: &Connection) -> Result<i32, StoreError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(StoreError::sqlite("reading the schema version"))
}
