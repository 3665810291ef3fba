//! Idempotency of callers: the same key with the same content is the same event, whose result is given again.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, error::Doing, us};

/// What is known of a caller's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Never used.
    No,
    /// Used for the same content: its result, as JSON.
    Same(String),
    /// Used for something else.
    Other,
}

/// Looks a key up. `key` and `content` are HMACs: a key may hold a booking number.
pub fn known_caller_key(connection: &Connection, key: &str, content: &str) -> Result<Known, StoreError> {
    let what = "cannot look up a caller's key";
    let mut statement =
        connection.prepare_cached("SELECT content, result FROM caller_key WHERE key = ?1").doing(what)?;
    let found: Option<(String, String)> =
        statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional().doing(what)?;
    Ok(match found {
        None => Known::No,
        Some((kept, result)) if kept == content => Known::Same(result),
        Some(_) => Known::Other,
    })
}

/// Keeps a key with its result.
pub fn remember_caller_key(
    connection: &Connection,
    key: &str,
    content: &str,
    result: &str,
) -> Result<(), StoreError> {
    let what = "cannot keep a caller's key";
    connection
        .prepare_cached("INSERT INTO caller_key (key, content, result, at_us) VALUES (?1, ?2, ?3, ?4)")
        .doing(what)?
        .execute((key, content, result, us(sallyport_link::clock::now())))
        .doing(what)?;
    Ok(())
}
