//! The whole outbox at a glance.

use jiff::Timestamp;
use serde::Serialize;

use super::{Vitals, us_between};
use crate::{
    intake::Place,
    store::{Reader, StoreError, from_us},
};

/// The last events that are listed; older ones are asked for by their id.
const LAST_EVENTS: u32 = 10;
/// Refused events and kept-aside custodies that are listed; the count says how many there are.
const LISTED_MAX: u32 = 100;

/// Everything `status` shows without an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Whose store it is.
    pub ori: String,
    /// The numbering in force.
    pub epoch: String,
    /// The last number given in it.
    pub seq: u64,
    /// Since when, and why.
    pub epoch_since: Timestamp,
    /// Why it began.
    pub epoch_why: String,
    /// The figures.
    #[serde(flatten)]
    pub vitals: Vitals,
    /// The last events, newest first.
    pub last_events: Vec<EventLine>,
    /// What a person has to look at: refused by the relay.
    pub refused: Vec<RefusedEvent>,
    /// What a person has to look at: kept aside at intake.
    pub kept_aside_custodies: Vec<KeptAside>,
    /// Receipts that are nobody's here.
    pub stray_receipts: u64,
}

/// One event in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventLine {
    /// Its id.
    pub event_id: String,
    /// `open`, `accepted`, `refused`.
    pub status: String,
    /// Where the release stands.
    pub release_state: String,
    /// Which revision of its custody.
    pub revision: u32,
    /// Real or not.
    pub traffic: String,
    /// When it was stored.
    pub stored: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// From the disk to the signed Acceptance at the jail, microseconds.
    pub acceptance_us: Option<i64>,
    /// Subscribers that were told; until the relay has answered, those that may be.
    pub told: u32,
    /// Of these, whose machine has received it.
    pub received: u32,
    /// Of these, where a person has seen it.
    pub seen: u32,
    /// The last receipt.
    pub last_receipt: Option<Timestamp>,
}

/// An event that the relay will never take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RefusedEvent {
    /// Its id.
    pub event_id: String,
    /// When the refusal came.
    pub refused: Timestamp,
    /// Why.
    pub code: String,
    /// In words.
    pub text: String,
}

/// A custody that waits for a good reading.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeptAside {
    /// Its key, or that of the row.
    pub id: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong.
    pub problems: Vec<Place>,
}

/// Reads it.
pub fn overview(reader: &Reader, now: Timestamp) -> Result<Overview, StoreError> {
    let facility = reader.facility()?;
    Ok(Overview {
        ori: facility.ori,
        epoch: facility.epoch,
        seq: facility.seq,
        epoch_since: from_us(facility.epoch_since_us)?,
        epoch_why: facility.epoch_why,
        vitals: super::vitals(reader, now)?,
        last_events: last_events(reader)?,
        refused: refused(reader)?,
        kept_aside_custodies: kept_aside(reader)?,
        stray_receipts: reader.counts()?.strays,
    })
}

fn last_events(reader: &Reader) -> Result<Vec<EventLine>, StoreError> {
    let rows = reader.rows(
        "SELECT event_id, status, release_state, revision, traffic, stored_us, attempt, \
         CASE WHEN status = 'accepted' THEN closed_us END, \
         CASE WHEN status = 'accepted' THEN length(recipients) - length(replace(recipients, ' ', '')) \
              + (recipients <> '') ELSE (SELECT count(*) FROM told WHERE told.n = outbox.n) END, \
         (SELECT count(DISTINCT subscriber) FROM receipt WHERE receipt.n = outbox.n AND statement <> 'refusal'), \
         (SELECT count(DISTINCT subscriber) FROM receipt WHERE receipt.n = outbox.n \
          AND (word = 'SEEN' OR statement = 'response')), \
         (SELECT max(arrived_us) FROM receipt WHERE receipt.n = outbox.n) \
         FROM outbox ORDER BY n DESC LIMIT ?1",
        [LAST_EVENTS],
        |row| {
            let (stored, accepted, receipt): (i64, Option<i64>, Option<i64>) =
                (row.get(5)?, row.get(7)?, row.get(11)?);
            let line = (
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, u32>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, u32>(6)?,
                row.get::<_, u32>(8)?,
                row.get::<_, u32>(9)?,
                row.get::<_, u32>(10)?,
            );
            Ok((line, stored, accepted, receipt))
        },
    )?;
    rows.into_iter()
        .map(
            |(
                (event_id, status, release_state, revision, traffic, attempts, told, received, seen),
                at,
                accepted,
                receipt,
            )| {
                let stored = from_us(at)?;
                let accepted = accepted.map(from_us).transpose()?;
                Ok(EventLine {
                    event_id,
                    status,
                    release_state,
                    revision,
                    traffic,
                    stored,
                    attempts,
                    acceptance_us: us_between(Some(stored), accepted),
                    told,
                    received,
                    seen,
                    last_receipt: receipt.map(from_us).transpose()?,
                })
            },
        )
        .collect()
}

fn refused(reader: &Reader) -> Result<Vec<RefusedEvent>, StoreError> {
    let rows = reader.rows(
        "SELECT event_id, closed_us, refusal_code, refusal_text FROM outbox WHERE status = 'refused' \
         ORDER BY n DESC LIMIT ?1",
        [LISTED_MAX],
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|(event_id, at, code, text)| Ok(RefusedEvent { event_id, refused: from_us(at)?, code, text }))
        .collect()
}

fn kept_aside(reader: &Reader) -> Result<Vec<KeptAside>, StoreError> {
    let rows = reader.rows(
        "SELECT id, since_us, problems FROM refused_custody ORDER BY since_us DESC LIMIT ?1",
        [LISTED_MAX],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?)),
    )?;
    rows.into_iter()
        .map(|(id, since, problems)| {
            let problems = serde_json::from_str(&problems)
                .map_err(|_| StoreError::Damaged { what: "the problems of a custody kept aside" })?;
            Ok(KeptAside { id, since: from_us(since)?, problems })
        })
        .collect()
}
