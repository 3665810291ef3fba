//! Takes a whole export: read through the mapping, stored in chunks, each durable before the next.

use std::{cell::Cell, sync::atomic::Ordering};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use sallyport_agent_core::{
    custody::{Custody, custody_key},
    export::{Reading, RefusedCustody, RowProblem, read_export},
    revise::Context,
};
use sallyport_link::fault;

use super::{
    Desk, Intake, IntakeError, Place, Summary,
    take::{Taken, Taking},
};
use crate::{
    faults,
    store::{Kind, StoreError, note_refused},
};

/// Custodies of one transaction. Fewer than a commit could hold: a caller's event that waits beside a large file waits
/// for one chunk.
const CUSTODIES_PER_COMMIT: usize = 128;
/// A file from another machine may be so far ahead of our clock without a word.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_secs(60);
/// Where a kept-aside custody came from, for people.
const SOURCE: &str = "export";

/// How to read a file.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions {
    /// The time the export speaks of: a door after it is only planned.
    pub as_of: Timestamp,
    /// A replay of past records.
    pub backfill: bool,
    /// A person has looked: what no longer shows a release is retracted, however much it is.
    pub retract: bool,
    /// A person has looked: a booking that no longer carries a mark of the floor may be told again.
    pub lift_floor: bool,
}

/// The custodies of one chunk with what they share.
struct Chunk {
    custodies: Vec<(usize, Custody)>,
    context: Context,
    lift_floor: bool,
    /// Events that the chunks before came to.
    events: u64,
}

impl Intake {
    /// Takes a file. Gives its summary once everything in it is stored or kept aside.
    pub async fn export(&self, bytes: Bytes, options: ExportOptions) -> Result<Summary, IntakeError> {
        let mapping = self.desk.mapping.as_ref().ok_or(IntakeError::NoMapping)?;
        let desk = self.desk.clone();
        // A large file takes a second to read: not on a worker that answers callers.
        let reading = tokio::task::spawn_blocking(move || {
            let mapping = desk.mapping.as_ref().ok_or(IntakeError::NoMapping)?;
            Ok::<_, IntakeError>(read_export(mapping, &bytes, options.as_of, super::now())?)
        });
        let mut reading = reading.await.map_err(|_| IntakeError::Reading)??;
        if options.as_of > super::now().saturating_add(CLOCKS_DIFFER_BY).unwrap_or(Timestamp::MAX) {
            let text =
                format!("the export speaks of {}, which has not come yet: taken as now", options.as_of);
            reading.warnings.push(RowProblem { line: 0, column: None, text });
        }
        let reading = if options.retract { reading } else { self.hold_back_retractions(reading).await? };
        let mut summary = summary_of(&reading, options.backfill);
        let version = mapping.version_text();
        let mut custodies = reading.custodies.into_iter().enumerate();
        loop {
            let custodies: Vec<(usize, Custody)> = custodies.by_ref().take(CUSTODIES_PER_COMMIT).collect();
            if custodies.is_empty() {
                break;
            }
            let context = self.desk.context(&self.registry_now(), version.clone(), options.backfill);
            for (number, taken) in self
                .chunk(Chunk { custodies, context, lift_floor: options.lift_floor, events: summary.events })
                .await?
            {
                if let Some(outcome) = taken.counted_as() {
                    self.desk.metrics.taken(outcome);
                }
                count(&mut summary, number, taken);
            }
        }
        self.keep_aside(reading.refused).await?;
        Ok(summary)
    }

    async fn chunk(&self, chunk: Chunk) -> Result<Vec<(usize, Taken)>, IntakeError> {
        let (desk, registry) = (self.desk.clone(), self.registry_now());
        let taken = self.store.write(Kind::Intake, move |connection| {
            let Chunk { custodies, context, lift_floor, events } = &chunk;
            let (lift_floor, events) =
                (*lift_floor, Cell::new(usize::try_from(*events).unwrap_or(usize::MAX)));
            let taking = Taking { desk: &desk, registry: &registry, context, lift_floor, events };
            let mut taken = Vec::with_capacity(custodies.len());
            for (number, custody) in custodies {
                // A deliberate defect, for the audit to find.
                if fault::mutant(faults::SKIP_100TH_CUSTODY)
                    && desk.taken.fetch_add(1, Ordering::Relaxed) % 100 == 99
                {
                    continue;
                }
                let one = taking.take(connection, custody)?;
                if let Taken::TooLarge { bytes } = one {
                    keep_too_large(connection, &desk, custody, bytes)?;
                }
                taken.push((*number, one));
            }
            Ok(taken)
        });
        Ok(taken.await?)
    }

    /// Keeps the refused ones where `status` shows them, with their problems and without any cell.
    async fn keep_aside(&self, refused: Vec<RefusedCustody>) -> Result<(), IntakeError> {
        if refused.is_empty() {
            return Ok(());
        }
        self.desk.metrics.kept_aside(refused.len());
        let kept: Vec<(String, String)> = refused.into_iter().map(|one| self.refused_row(one)).collect();
        let job = self.store.write(Kind::Upkeep, move |connection| {
            kept.iter().try_for_each(|(id, problems)| note_refused(connection, id, SOURCE, problems))
        });
        Ok(job.await?)
    }

    fn refused_row(&self, refused: RefusedCustody) -> (String, String) {
        let facility = &self.desk.facility;
        let places: Vec<Place> = refused.problems.into_iter().map(Place::from).collect();
        let problems = serde_json::to_string(&places).unwrap_or_default();
        let id = match refused.booking_number {
            Some(number) => custody_key(&facility.secret, &facility.ori, number.expose()).into(),
            // It cannot be named: the same problems in the same place are the same row.
            None => self.desk.keyed("unnamed row", problems.as_bytes()),
        };
        (id, problems)
    }
}

/// Keeps a custody aside that no message can hold, for a person.
fn keep_too_large(
    connection: &Connection,
    desk: &Desk,
    custody: &Custody,
    bytes: usize,
) -> Result<(), StoreError> {
    let key = custody_key(&desk.facility.secret, &desk.facility.ori, custody.booking_number.expose());
    let problems = serde_json::to_string(&[too_large(bytes)]).unwrap_or_default();
    note_refused(connection, key.as_str(), SOURCE, &problems)
}

fn too_large(bytes: usize) -> Place {
    let text = format!("an event of {bytes} bytes is larger than the broker takes: nothing of it was stored");
    Place { line: 0, column: None, text }
}

fn summary_of(reading: &Reading, backfill: bool) -> Summary {
    let places =
        |refused: &RefusedCustody| refused.problems.iter().cloned().map(Place::from).collect::<Vec<_>>();
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Summary {
        custodies: count(reading.custodies.len() + reading.refused.len()),
        refused: count(reading.refused.len()),
        unmapped_texts: reading.unmapped_texts.clone(),
        disagreeing: reading.disagreeing,
        warnings: reading.warnings.iter().cloned().map(Place::from).collect(),
        problems: once_each(reading.refused.iter().flat_map(places)),
        backfill,
        ..Summary::default()
    }
}

/// What is said of many custodies in the same words, and of no line, is said once.
fn once_each(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut each: Vec<Place> = Vec::new();
    for place in places {
        if place.line > 0 || !each.contains(&place) {
            each.push(place);
        }
    }
    each
}

fn count(summary: &mut Summary, number: usize, taken: Taken) {
    match taken {
        Taken::Stored(events) => summary.events += u64::try_from(events.len()).unwrap_or(u64::MAX),
        Taken::Unchanged => summary.unchanged += 1,
        Taken::NoRelease => summary.no_release += 1,
        Taken::Outdated => summary.outdated += 1,
        Taken::Withheld => summary.withheld += 1,
        Taken::WithheldByFloor => {
            summary.withheld += 1;
            summary.withheld_by_floor += 1;
        }
        Taken::TooLarge { bytes } => {
            summary.refused += 1;
            let Place { text, .. } = too_large(bytes);
            let text = format!("custody {} of the file: {text}", number + 1);
            summary.problems.push(Place { line: 0, column: None, text });
        }
    }
}
