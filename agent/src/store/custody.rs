//! What was told of each custody, kept by its key; and which custodies nobody may be told of. No person data.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::{custody::FloorKind, revise::Memory};
use sallyport_proto::ids::{CustodyKey, EventId};

use super::{StoreError, error::Doing, from_us, us};

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

/// What is kept of the newest record of a custody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastReading {
    /// The moment it spoke of; none before the first.
    pub as_of: Option<Timestamp>,
    /// The floor that it, or one before it, was under.
    pub floor: Option<FloorKind>,
}

/// What is kept of the newest record of it.
pub fn last_reading(connection: &Connection, key: &CustodyKey) -> Result<LastReading, StoreError> {
    let what = "cannot read what the last record of a custody was";
    let mut statement = connection
        .prepare_cached("SELECT as_of_us, floor FROM reading WHERE custody_key = ?1")
        .doing(what)?;
    let found: Option<(i64, Option<String>)> =
        statement.query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional().doing(what)?;
    let Some((as_of, floor)) = found else { return Ok(LastReading::default()) };
    let damaged = StoreError::Damaged { what: "the floor of a custody" };
    let floor = floor.map(|word| word.parse()).transpose().map_err(|_| damaged)?;
    Ok(LastReading { as_of: Some(from_us(as_of)?), floor })
}

/// Keeps the record that it is read from now.
pub fn note_reading(
    connection: &Connection,
    key: &CustodyKey,
    as_of: Timestamp,
    floor: Option<FloorKind>,
) -> Result<(), StoreError> {
    let what = "cannot keep what the record of a custody is";
    connection
        .prepare_cached("INSERT OR REPLACE INTO reading (custody_key, as_of_us, floor) VALUES (?1, ?2, ?3)")
        .doing(what)?
        .execute((key.as_str(), us(as_of), floor.map(FloorKind::as_str)))
        .doing(what)?;
    Ok(())
}

/// The relay refused the event in row `n` for good: nobody was told by it. What its recipients held before is what they
/// hold, so that the next reading of the custody tells them again.
pub(super) fn forget_refused(connection: &Connection, n: i64) -> Result<(), StoreError> {
    let what = "cannot forget what was never told";
    let (key, event): (String, String) = connection
        .prepare_cached("SELECT custody_key, event_id FROM outbox WHERE n = ?1")
        .doing(what)?
        .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))
        .doing(what)?;
    let damaged = || StoreError::Damaged { what: "an event of the outbox" };
    let key: CustodyKey = key.parse().map_err(|_| damaged())?;
    let event: EventId = event.parse().map_err(|_| damaged())?;
    let mut memory = load_memory(connection, &key)?;
    if memory.is_empty() {
        return Ok(());
    }
    let earlier = |sql: &'static str, subscriber: Option<&str>| -> Result<Option<EventId>, StoreError> {
        let mut find = connection.prepare_cached(sql).doing(what)?;
        let found: Option<String> =
            find.query_row((key.as_str(), n, subscriber), |row| row.get(0)).optional().doing(what)?;
        found.map(|id| id.parse()).transpose().map_err(|_| damaged())
    };
    let told_before = memory
        .told_by(&event)
        .map(|subscriber| {
            let sql = "SELECT o.event_id FROM outbox o JOIN told t ON t.n = o.n WHERE o.custody_key = ?1 AND o.n < ?2 \
                       AND o.status <> 'refused' AND t.subscriber = ?3 ORDER BY o.n DESC LIMIT 1";
            Ok((subscriber.clone(), earlier(sql, Some(subscriber.as_str()))?))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let sql = "SELECT event_id FROM outbox WHERE custody_key = ?1 AND n < ?2 AND ?3 IS NULL AND status <> 'refused' \
               AND release_state <> 'CLOSED' ORDER BY n DESC LIMIT 1";
    let main_before = earlier(sql, None)?;
    memory.forget(&event, told_before, main_before);
    save_memory(connection, &key, &memory)
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

/// It is no longer one: somebody was told, or it came under the floor and is counted nowhere.
pub fn clear_withheld(connection: &Connection, key: &CustodyKey) -> Result<(), StoreError> {
    let what = "cannot clear a custody as withheld";
    connection
        .prepare_cached("DELETE FROM withheld WHERE custody_key = ?1")
        .doing(what)?
        .execute([key.as_str()])
        .doing(what)?;
    Ok(())
}
