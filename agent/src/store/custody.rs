//! What was told of each custody, kept by its key; and which custodies nobody may be told of. No person data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sallyport_agent_core::{
    custody::FloorKind,
    revise::{DraftKind, Left, Memory, Standing, Told},
};
use sallyport_proto::{
    ids::{CustodyKey, EventId, SubscriberId},
    provenance::AgreementId,
};

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

/// The relay refused the event in row `n` for good, or accepted it after a refusal: what is remembered of its custody
/// follows, so that the next reading tells again whoever was told by nothing that stands.
pub(super) fn recall(connection: &Connection, n: i64) -> Result<(), StoreError> {
    let key: String = connection
        .prepare_cached("SELECT custody_key FROM outbox WHERE n = ?1")
        .doing(RECALL)?
        .query_row([n], |row| row.get(0))
        .doing(RECALL)?;
    let key: CustodyKey = key.parse().map_err(|_| damaged())?;
    let mut memory = load_memory(connection, &key)?;
    if memory.is_empty() {
        return Ok(());
    }
    memory.recall(&left(connection, &key)?);
    save_memory(connection, &key, &memory)
}

const RECALL: &str = "cannot recall what was told of a custody";

fn damaged() -> StoreError {
    StoreError::Damaged { what: "an event of the outbox" }
}

/// Everything of a custody that left and is still kept, in order.
fn left(connection: &Connection, key: &CustodyKey) -> Result<Vec<Left>, StoreError> {
    let sql =
        "SELECT n, event_id, release_state, status = 'refused' FROM outbox WHERE custody_key = ?1 ORDER BY n";
    let mut find = connection.prepare_cached(sql).doing(RECALL)?;
    let rows = find
        .query_map([key.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })
        .doing(RECALL)?;
    let mut left = Vec::new();
    for row in rows {
        let (n, event, state, refused) = row.doing(RECALL)?;
        let event: EventId = event.parse().map_err(|_| damaged())?;
        let kind = DraftKind::of(state.parse().map_err(|_| damaged())?);
        let told = told(connection, n, &event, kind.standing())?;
        left.push(Left { event, kind, refused, told });
    }
    Ok(left)
}

type ToldRow = (String, Option<String>, String, String, String, String);

/// Whom the event in row `n` tells. What each saw of it is not kept there: it counts as something else.
fn told(
    connection: &Connection,
    n: i64,
    event: &EventId,
    standing: Standing,
) -> Result<BTreeMap<SubscriberId, Told>, StoreError> {
    let sql =
        "SELECT subscriber, request_id, agreement, purpose, rule_id, pack_version FROM told WHERE n = ?1";
    let mut find = connection.prepare_cached(sql).doing(RECALL)?;
    let rows = find
        .query_map([n], |row| -> rusqlite::Result<ToldRow> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .doing(RECALL)?;
    rows.map(|row| {
        let (subscriber, request_id, agreement, purpose, rule_id, pack_version) = row.doing(RECALL)?;
        let (id, version) = agreement.rsplit_once('/').ok_or_else(damaged)?;
        let told = Told {
            event: event.clone(),
            standing,
            digest: String::new(),
            request_id: request_id.map(|id| id.parse()).transpose().map_err(|_| damaged())?,
            agreement: AgreementId {
                id: id.parse().map_err(|_| damaged())?,
                version: version.parse().map_err(|_| damaged())?,
            },
            purpose: purpose.parse().map_err(|_| damaged())?,
            rule_id,
            pack_version,
        };
        Ok((subscriber.parse().map_err(|_| damaged())?, told))
    })
    .collect()
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
