//! The tables, and how a connection is opened. A change of the tables is a new step at the end of `STEPS`; a step that
//! has been released is never edited.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{StoreError, error::Doing};

/// Step n makes version n + 1 out of version n.
const STEPS: [&str; 3] =
    [include_str!("schema-1.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];
/// A reader waits so long for the moment in which the writer checkpoints.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// Pages of 4 KiB kept in memory per connection: the agent is to stay under 20 MiB.
const CACHE_KIB_WRITER: i64 = 2048;
const CACHE_KIB_READER: i64 = 512;
/// The log is folded back after so many pages (1 MiB), so that it stays small beside the database.
const CHECKPOINT_PAGES: i64 = 256;
/// Statements that stay prepared: all of them.
const STATEMENTS_CACHED: usize = 64;

/// Opens the one connection that writes.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(open)?;
    connection.busy_timeout(BUSY_FOR).map_err(open)?;
    // WAL: readers never wait for the writer. FULL: a commit is on disk when it returns.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(open)?;
    connection.pragma_update(None, "secure_delete", true).map_err(open)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB_WRITER).map_err(open)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(open)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(BUSY_FOR).map_err(open)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB_READER).map_err(open)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
    let known = known_version();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(connection)
}

/// Makes or completes the tables.
pub(super) fn make(connection: &mut Connection) -> Result<(), StoreError> {
    let what = "cannot make the tables";
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).doing(what)?;
    let known = known_version();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, step) in (1i64..).zip(STEPS) {
        if version > found {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(what)?;
            tx.execute_batch(step).doing(what)?;
            tx.pragma_update(None, "user_version", version).doing(what)?;
            tx.commit().doing(what)?;
        }
    }
    Ok(())
}

fn known_version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_store_of_a_newer_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sqlite");
        let mut connection = open_for_writing(&path).unwrap();
        make(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(make(&mut connection), Err(StoreError::Newer { found: 99, .. })));
        assert!(matches!(open_for_reading(&path), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_commit_is_synced_and_tables_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open_for_writing(&dir.path().join("s.sqlite")).unwrap();
        make(&mut connection).unwrap();
        make(&mut connection).unwrap();
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }
}
