//! Whose store it is, and the numbering of what leaves: an epoch, and within it a dense `seq` given in the transaction
//! that stores the event.
//!
//! A new epoch begins when (1) the store is new; (2) its file is not the one that was opened last (another device or
//! inode: a copy was put in its place); (3) the relay speaks of an event of ours, younger than what is pruned, that the
//! store does not hold: it was restored in place. Numbers given after the copy was made would otherwise be given twice.

use std::{os::unix::fs::MetadataExt, path::Path};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sallyport_proto::ids::{InstanceId, Ori};

use super::{StoreError, error::Doing, us};

/// The number that the next event gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextNumber {
    /// Of the store.
    pub epoch: String,
    /// One more than the last that was given.
    pub seq: u64,
}

const BIND: &str = "cannot read whose store this is";

/// Makes a new store this facility's, or checks that an old one is, and begins a new epoch where one is due.
pub(super) fn bind(
    connection: &mut Connection,
    path: &Path,
    instance: &InstanceId,
    ori: &Ori,
) -> Result<(), StoreError> {
    let mark = file_mark(path)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(BIND)?;
    let found = tx
        .query_row("SELECT instance, ori, file_mark FROM facility", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })
        .optional()
        .doing(BIND)?;
    match found {
        None => {
            tx.execute(
                "INSERT INTO facility (one, instance, ori, epoch, seq, epoch_since_us, epoch_why, file_mark) \
                 VALUES (1, ?1, ?2, '', 0, 0, '', ?3)",
                (instance.as_str(), ori.as_str(), &mark),
            )
            .doing(BIND)?;
            start_epoch(&tx, "new store")?;
        }
        Some((found_instance, found_ori, _))
            if (found_instance.as_str(), found_ori.as_str()) != (instance.as_str(), ori.as_str()) =>
        {
            return Err(StoreError::OtherFacility {
                found: format!("{found_instance}/{found_ori}"),
                configured: format!("{instance}/{ori}"),
            });
        }
        Some((_, _, found_mark)) if found_mark != mark => {
            tx.execute("UPDATE facility SET file_mark = ?1", [&mark]).doing(BIND)?;
            start_epoch(&tx, "another file than the one opened last: moved or restored")?;
        }
        Some(_) => {}
    }
    tx.commit().doing(BIND)
}

fn file_mark(path: &Path) -> Result<String, StoreError> {
    let meta = std::fs::metadata(path);
    let meta = meta.map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

/// Begins a new epoch: a random name, numbers from 1.
pub fn start_epoch(connection: &Connection, why: &'static str) -> Result<(), StoreError> {
    let epoch = uuid::Builder::from_random_bytes(rand::random()).into_uuid().hyphenated().to_string();
    tracing::warn!(epoch, why, "a new epoch begins");
    connection
        .execute(
            "UPDATE facility SET epoch = ?1, seq = 0, epoch_since_us = ?2, epoch_why = ?3",
            (&epoch, us(sallyport_link::clock::now()), why),
        )
        .doing("cannot begin an epoch")?;
    Ok(())
}

/// The number of the next event; given only by [`take_number`] in the same transaction.
pub fn next_number(connection: &Connection) -> Result<NextNumber, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT epoch, seq FROM facility").doing("cannot read the last number")?;
    let (epoch, seq): (String, i64) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).doing("cannot read the last number")?;
    let seq = u64::try_from(seq).map_err(|_| StoreError::Damaged { what: "the last number" })?;
    Ok(NextNumber { epoch, seq: seq + 1 })
}

/// Records that `number` was given.
pub fn take_number(connection: &Connection, number: &NextNumber) -> Result<(), StoreError> {
    let what = "cannot record a number as given";
    let seq = i64::try_from(number.seq).map_err(|_| StoreError::Damaged { what: "the last number" })?;
    let mut statement =
        connection.prepare_cached("UPDATE facility SET seq = ?1 WHERE epoch = ?2").doing(what)?;
    match statement.execute((seq, &number.epoch)).doing(what)? {
        1 => Ok(()),
        _ => Err(StoreError::Damaged { what: "the epoch" }),
    }
}
