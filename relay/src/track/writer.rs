//! Writes facts as they come: up to 4,000 records or 50 ms per transaction, off the runtime's workers.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sallyport_link::fault;
use sallyport_relay_core::{
    dense::Gap,
    ledger::{Change, Stream},
};
use tokio::sync::mpsc;

use super::{
    Error,
    store::{Folded, Position, Positions, Store, StoreError},
};
use crate::metrics::Metrics;

/// While a model is built again, each transaction writes the same pages of its indexes once more: with 1,000 records a
/// rebuild takes a quarter longer (`cargo xtask load --rebuild`). Otherwise there are seldom so many.
pub(super) const RECORDS_PER_TRANSACTION_MAX: usize = 4_000;
/// What came first waits so long for company at most.
const COMPANY_WAITED_FOR: Duration = Duration::from_millis(50);
/// Between tries when the disk refuses: it may be full, and a person may make room.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What readers hand over.
#[derive(Debug)]
pub(super) enum ToWriter {
    /// One record, in its stream's order.
    Record(Read),
    /// Everything of a stream was handed over, at this time.
    Whole(Stream, Arc<str>, u64, Timestamp),
    /// A stream lost these messages, which were folded; noticed at this time.
    Lost(Stream, Vec<Gap>, Timestamp),
    /// Messages of a stream up to this one went by their age.
    Aged(Stream, u64),
}

/// What one message of a stream comes to. Read out of it by the reader, beside the writer's work on those before.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) stream: Stream,
    /// When the stream was created.
    pub(super) created: Arc<str>,
    pub(super) sequence: u64,
    pub(super) stored: Timestamp,
    pub(super) changes: Vec<Change>,
}

/// Writes until the readers are gone; gives the store back.
pub(super) async fn run(
    mut store: Store,
    mut records: mpsc::Receiver<ToWriter>,
    metrics: &Metrics,
) -> Result<Store, Error> {
    let mut batch = Vec::new();
    while collect(&mut records, &mut batch).await {
        let taken = std::mem::take(&mut batch);
        let (back, summary) = write(store, taken).await?;
        (store, batch) = (back, Vec::new());
        for (stream, records, unreadable) in summary {
            metrics.folded(stream.name(), records);
            metrics.unreadable(stream.name(), unreadable);
        }
    }
    Ok(store)
}

/// Fills a batch; false when nothing more comes.
async fn collect(records: &mut mpsc::Receiver<ToWriter>, batch: &mut Vec<ToWriter>) -> bool {
    if records.recv_many(batch, RECORDS_PER_TRANSACTION_MAX).await == 0 {
        return false;
    }
    let deadline = tokio::time::Instant::now() + COMPANY_WAITED_FOR;
    while batch.len() < RECORDS_PER_TRANSACTION_MAX {
        let room = RECORDS_PER_TRANSACTION_MAX - batch.len();
        match tokio::time::timeout_at(deadline, records.recv_many(batch, room)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    true
}

/// Records folded and records passed over, per stream.
type Summary = Vec<(Stream, u64, u64)>;

async fn write(store: Store, batch: Vec<ToWriter>) -> Result<(Store, Summary), Error> {
    let (mut store, mut batch) = (store, batch);
    loop {
        let job = tokio::task::spawn_blocking(move || {
            let written = transact(&mut store, &batch);
            (store, batch, written)
        });
        let written;
        (store, batch, written) = job.await.map_err(Error::Writer)?;
        match written {
            Ok(summary) => return Ok((store, summary)),
            // A damaged file is not written to again: it is thrown away.
            Err(error) if error.is_damage() => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = %sallyport_link::publish::chain(&error), "the read model cannot be written; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

fn transact(store: &mut Store, batch: &[ToWriter]) -> Result<Summary, StoreError> {
    let mut positions = Positions::new();
    let mut summary: Summary = Vec::new();
    let mut changes = Vec::with_capacity(batch.len());
    let (mut folded, mut lost) = (Folded::default(), Vec::new());
    for item in batch {
        match item {
            ToWriter::Record(read) => {
                let is_unreadable = |change: &&Change| matches!(change, Change::Unreadable { .. });
                note(&mut summary, read.stream, read.changes.iter().filter(is_unreadable).count() as u64);
                changes.extend(&read.changes);
                folded.add(read.stream, read.sequence, read.stored);
                reached(&mut positions, read.stream, &read.created, read.sequence).stored = Some(read.stored);
            }
            ToWriter::Whole(stream, created, sequence, at) => {
                reached(&mut positions, *stream, created, *sequence).whole_at = Some(*at);
            }
            ToWriter::Lost(stream, gaps, at) => lost.push((*stream, gaps.as_slice(), *at)),
            ToWriter::Aged(stream, through) => folded.aged(*stream, *through),
        }
    }
    let facts = !changes.is_empty();
    if facts {
        fault::point("relay.track.before-commit");
    }
    store.write_folded(changes, &positions, &folded, &lost)?;
    if facts {
        fault::point("relay.track.after-commit");
    }
    Ok(summary)
}

fn reached<'p>(
    positions: &'p mut Positions,
    stream: Stream,
    created: &str,
    sequence: u64,
) -> &'p mut Position {
    let position = positions.entry(stream).or_insert_with(|| Position {
        created: created.to_owned(),
        sequence,
        stored: None,
        whole_at: None,
    });
    position.sequence = sequence;
    position
}

fn note(summary: &mut Summary, stream: Stream, unreadable: u64) {
    match summary.iter_mut().find(|(known, _, _)| *known == stream) {
        Some((_, records, passed_over)) => {
            *records += 1;
            *passed_over += unreadable;
        }
        None => summary.push((stream, 1, unreadable)),
    }
}
