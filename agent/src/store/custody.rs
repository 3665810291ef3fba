//! What was told of each custody, kept by its key; and which custodies nobody may be told of. No person data.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::revise::Memory;
use sallyport_proto::ids::CustodyKey;

use super::{StoreError, error::Doing, from_us, us};

/// Why a custody with a release has no event. Never leaves the jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The rules allow nobody.
    Nobody,
    /// The floor: not even kept here.
    Floor,
}

/// What was told of it; empty when nothing was.
pub fn load_memory(connection: &Connection, key: &CustodyKey) -> Result<Memory, StoreError> {
    let what = "cannot read what was told of a custody";
    let mut statement =
        connection.prepare_cached("SELECT memory FROM custody WHERE custody_key = ?1").doing(what)?;
    let text: Option<String> =
        statement.query_row([key.as_str()], |row| row.get(0)).optional().doing(what)?;
    let Some(text) = text else { return Ok(Memory::default()) };
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged { what: "the memory of a custody" })
}

/// Keeps what has been told of it now.
pub fn save_memory(connection: &Connection, key: &CustodyKey, memory: &Memory) -> Result<(), StoreError> {
    let what = "cannot keep what was told of a custody";
    let text =
        serde_json::to_string(memory).map_err(|_| StoreError::Damaged { what: "the memory of a custody" })?;
    connection
        .prepare_cached(
            "INSERT INTO custody (custody_key, memory, changed_us) VALUES (?1, ?2, ?3) \
             ON CONFLICT (custody_key) DO UPDATE SET memory = ?2, changed_us = ?3",
        )
        .doing(what)?
        .execute((key.as_str(), text, us(sallyport_link::clock::now())))
        .doing(what)?;
    Ok(())
}

/// The moment that the newest record of it spoke of.
pub fn newest_reading(connection: &Connection, key: &CustodyKey) -> Result<Option<Timestamp>, StoreError> {
    let what = "cannot read how new the last record of a custody was";
    let mut statement =
        connection.prepare_cached("SELECT as_of_us FROM reading WHERE custody_key = ?1").doing(what)?;
    let found: Option<i64> = statement.query_row([key.as_str()], |row| row.get(0)).optional().doing(what)?;
    found.map(from_us).transpose()
}

/// Notes the moment that the record spoke of which it is read from now.
pub fn note_reading(connection: &Connection, key: &CustodyKey, as_of: Timestamp) -> Result<(), StoreError> {
    let what = "cannot note how new the record of a custody is";
    connection
        .prepare_cached("INSERT OR REPLACE INTO reading (custody_key, as_of_us) VALUES (?1, ?2)")
        .doing(what)?
        .execute((key.as_str(), us(as_of)))
        .doing(what)?;
    Ok(())
}

/// Counts a custody as one that nobody may be told of.
pub fn note_withheld(connection: &Connection, key: &CustodyKey) -> Result<(), StoreError> {
    let what = "cannot note a custody as withheld";
    connection
        .prepare_cached("INSERT OR IGNORE INTO withheld (custody_key, since_us) VALUES (?1, ?2)")
        .doing(what)?
        .execute((key.as_str(), us(sallyport_link::clock::now())))
        .doing(what)?;
    Ok(())
}

/// It is no longer one: somebody was told, or it came under the floor and leaves no count.
pub fn clear_withheld(connection: &Connection, key: &CustodyKey) -> Result<(), StoreError> {
    let what = "cannot clear a custody as withheld";
    connection
        .prepare_cached("DELETE FROM withheld WHERE custody_key = ?1")
        .doing(what)?
        .execute([key.as_str()])
        .doing(what)?;
    Ok(())
}
