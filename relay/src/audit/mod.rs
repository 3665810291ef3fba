//! `sallyport-relay audit`: reads the streams themselves, from one end to the other, and says what is missing between them.
//!
//! What an arrow is and when something is missing: `relay_core::audit`. Here: reading, asking for the single records that
//! lie outside of the audited time, and showing.

mod show;

use std::path::Path;

use async_nats::jetstream;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    ids::{InstanceId, NodeId},
    registry::Registry,
    subject,
};
use sallyport_relay_core::{
    audit::{Books, Counts, Finding, Place, Scope},
    ledger::{Record, Stream},
};
use serde::Serialize;

use crate::sweep::{self, From, Held, SweepError};

/// What is younger is on its way: an event waits up to 60 s for its predecessor, and a dead node's work comes again
/// after `in_hand::ACK_WAIT`.
pub const GRACE: SignedDuration = SignedDuration::from_secs(120);
/// In the direction of an event: what is read later knows at least as much.
const ORDER: [Stream; 7] = [
    Stream::Ingest,
    Stream::Deliver,
    Stream::Receipts,
    Stream::Answers,
    Stream::Control,
    Stream::Parked,
    Stream::Heartbeats,
];
/// Single records asked for at once.
const LOOKS_AT_ONCE: usize = 16;

/// What is audited.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The relay network.
    pub instance: InstanceId,
    /// Whose reader reads.
    pub node: NodeId,
    /// Only what was stored from then on.
    pub since: Option<Timestamp>,
    /// What is younger is not missed.
    pub grace: SignedDuration,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stream could not be read.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A single record could not be asked for.
    #[error("cannot ask stream {stream} for a record: {reason}")]
    Look {
        /// Which.
        stream: &'static str,
        /// What the server said.
        reason: String,
    },
}

/// How much of a stream was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Which stream.
    pub stream: Stream,
    /// Its first sequence.
    pub first: u64,
    /// Its last sequence when reading began.
    pub last: u64,
    /// Messages read that were stored within the audited time.
    pub messages: u64,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Of which network.
    pub instance: InstanceId,
    /// From when on; null: everything that the streams hold.
    pub since: Option<Timestamp>,
    /// When reading began.
    pub began: Timestamp,
    /// What was younger was not missed, seconds.
    pub grace_s: i64,
    /// Nothing is missing, everything verifies.
    pub clean: bool,
    /// What was read.
    pub streams: Vec<Read>,
    /// How much of what there was.
    pub counts: Counts,
    /// Everything that is missing, exactly named.
    pub findings: Vec<Finding>,
}

/// Reads everything and compares.
pub async fn run(
    js: &jetstream::Context,
    store_dir: &Path,
    registry: &Registry,
    scan: Scan,
) -> Result<Audit, Error> {
    let _only = sweep::only_one(store_dir, "audit")?;
    let began = clock::now();
    let reader = subject::audit_consumer(&scan.node);
    let mut books = Books::since(scan.since);
    let mut streams = Vec::new();
    let mut ingest_is_whole = false;
    for stream in ORDER {
        let extent = sweep::extent(js, stream.name()).await?;
        let mut messages = 0;
        // Only the numbers before show what is missing at the beginning of the audited time.
        let numbered = matches!(stream, Stream::Ingest | Stream::Heartbeats);
        let from = match scan.since {
            Some(since) if !numbered => From::Time(since),
            _ => From::Sequence(extent.first),
        };
        let each = |held: Held| {
            let before = scan.since.is_some_and(|since| held.stored < since);
            messages += u64::from(!before);
            let scope = if before { Scope::Before } else { Scope::Audited };
            books.record(&record(stream, &held), scope, registry);
            Ok::<_, SweepError>(())
        };
        sweep::read(js, stream.name(), &reader, from, extent.last, each).await?;
        if stream == Stream::Ingest {
            ingest_is_whole = extent.first <= 1;
        }
        streams.push(Read { stream, first: extent.first, last: extent.last, messages });
    }
    // What is asked for may ask for more: a notice before the audited time has its routed record there.
    loop {
        let wanted = books.wanted(registry);
        if wanted.is_empty() {
            break;
        }
        let found: Vec<_> =
            stream::iter(wanted).map(|place| look(js, place)).buffered(LOOKS_AT_ONCE).collect().await;
        for found in found {
            if let Some((stream, held)) = found? {
                books.record(&record(stream, &held), Scope::Aside, registry);
            }
        }
    }
    let findings = books.findings(began, scan.grace, ingest_is_whole);
    Ok(Audit {
        instance: scan.instance,
        since: scan.since,
        began,
        grace_s: scan.grace.as_secs(),
        clean: findings.is_empty(),
        streams,
        counts: books.counts(),
        findings,
    })
}

fn record(stream: Stream, held: &Held) -> Record<'_> {
    Record {
        stream,
        sequence: held.sequence,
        subject: &held.subject,
        stored: held.stored,
        payload: &held.payload,
    }
}

/// One record, asked for at the stream's leader; none when it is not there.
async fn look(js: &jetstream::Context, place: Place) -> Result<Option<(Stream, Held)>, Error> {
    use jetstream::stream::{LastRawMessageErrorKind, RawMessageErrorKind};
    let stream = match &place {
        Place::Subject(stream, _) | Place::Sequence(stream, _) => *stream,
    };
    let failed = |reason| Error::Look { stream: stream.name(), reason };
    let bound = js.get_stream_no_info(stream.name()).await.map_err(|error| failed(chain(&error)))?;
    let message = match place {
        Place::Subject(_, subject) => match bound.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(failed(chain(&error))),
        },
        Place::Sequence(_, sequence) => match bound.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(failed(chain(&error))),
        },
    };
    let held = Held {
        sequence: message.sequence,
        subject: message.subject.to_string(),
        stored: Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default(),
        headers: None,
        payload: message.payload,
    };
    Ok(Some((stream, held)))
}
