//! Finds where the records of an event stand, and reads them at the streams' leaders.

use std::{collections::BTreeSet, path::Path};

use async_nats::jetstream;
use jiff::Timestamp;
use sallyport_proto::{
    ids::{EventId, NoticeId, Ori},
    registry::Registry,
};
use sallyport_relay_core::{
    latency::Stage,
    ledger::{Stream, view::NoticeFacts},
};

use super::{Error, NoticeTrace, Original, StageTrace, Trace, assemble};
use crate::track::store::{Loaded, StoreError};

/// Reads everything about `event` that the streams hold, as this node's user. `facility` decides when several facilities
/// have an event of this id.
pub async fn gather(
    js: &jetstream::Context,
    store_dir: &Path,
    registry: &Registry,
    event: &EventId,
    facility: Option<&Ori>,
    now: Timestamp,
) -> Result<Trace, Error> {
    let found = find(store_dir, event, facility, now)?;
    let mut originals = Vec::new();
    for (stream, sequence) in found.places {
        if let Some(original) = fetch(js, stream, sequence).await? {
            originals.push(original);
        }
    }
    Ok(assemble(event.clone(), found.ori, originals, registry, found.notices, found.stale))
}

struct Found {
    ori: Ori,
    places: BTreeSet<(Stream, u64)>,
    notices: Vec<NoticeTrace>,
    stale: bool,
}

fn find(store_dir: &Path, event: &EventId, facility: Option<&Ori>, now: Timestamp) -> Result<Found, Error> {
    let loaded = Loaded::open(store_dir)?;
    let mut facilities = loaded.facilities_of(event)?;
    if let Some(facility) = facility {
        facilities.retain(|ori| ori == facility);
    }
    let ori = match &facilities[..] {
        [] => return Err(Error::Unknown(event.clone())),
        [ori] => ori.clone(),
        _ => return Err(Error::Ambiguous { event: event.clone(), facilities }),
    };
    Ok(loaded.at_one_time(|loaded| places(loaded, ori, event, now))?)
}

fn places(loaded: &Loaded, ori: Ori, event: &EventId, now: Timestamp) -> Result<Found, StoreError> {
    let positions = loaded.positions()?;
    let fresh = |stream: &Stream| positions.get(stream).is_some_and(|position| position.is_whole(now));
    let mut places = BTreeSet::new();
    let mut notices = Vec::new();
    for row in loaded.ingested(&ori, event)? {
        places.insert((Stream::Ingest, row.sequence));
        let parked = loaded.parked(Stream::Ingest, row.sequence)?;
        places.extend(parked.iter().map(|parked| (Stream::Parked, parked.sequence)));
    }
    if let Some(routed) = loaded.routed(&ori, event)? {
        places.insert((Stream::Deliver, routed.sequence));
        places.insert((Stream::Ingest, routed.ingest_sequence));
    }
    places.extend(loaded.accepted(&ori, event)?.iter().map(|row| (Stream::Answers, row.sequence)));
    places.extend(loaded.refused(&ori, event)?.iter().map(|row| (Stream::Answers, row.sequence)));
    for subscriber in loaded.addressed(&ori, event)? {
        let id = NoticeId::new(&ori, event, &subscriber);
        let Some(facts) = loaded.notice(&id)? else { continue };
        places.extend(facts.attempts.iter().map(|row| (Stream::Deliver, row.sequence)));
        places.extend(facts.decisions.iter().map(|row| (Stream::Control, row.sequence)));
        for receipt in &facts.receipts {
            places.insert((Stream::Receipts, receipt.sequence));
            if let Some(progress) = loaded.progress(receipt.sequence)? {
                places.insert((Stream::Answers, progress.sequence));
            }
            let parked = loaded.parked(Stream::Receipts, receipt.sequence)?;
            places.extend(parked.iter().map(|parked| (Stream::Parked, parked.sequence)));
        }
        notices.extend(notice(id, &facts));
    }
    Ok(Found { ori, places, notices, stale: !Stream::ALL.iter().all(fresh) })
}

pub(super) fn notice(id: NoticeId, facts: &NoticeFacts) -> Option<NoticeTrace> {
    let standing = facts.standing()?;
    let lead = standing.times.lead();
    Some(NoticeTrace {
        notice: id,
        status: standing.delivery.status(),
        stages: Stage::ALL
            .iter()
            .filter_map(|stage| Some(StageTrace::of(*stage, standing.times.stage(*stage)?)))
            .collect(),
        lead_received_s: lead.received.map(|lead| lead.as_secs_f64()),
        lead_answered_s: lead.answered.map(|lead| lead.as_secs_f64()),
        receipts: facts.receipts.iter().map(|receipt| receipt.sequence).zip(standing.credits).collect(),
    })
}

/// One record; none when the stream no longer holds it (its age, or expunged).
async fn fetch(js: &jetstream::Context, stream: Stream, sequence: u64) -> Result<Option<Original>, Error> {
    use async_nats::jetstream::stream::RawMessageErrorKind;
    let name = stream.name();
    // An empty or malformed name is the only error here, and ours is neither.
    let Ok(bound) = js.get_stream_no_info(name).await else { return Ok(None) };
    match bound.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(Original {
            stream,
            sequence,
            subject: message.subject.to_string(),
            stored: Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default(),
            payload: message.payload.to_vec(),
        })),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(source) => Err(Error::Read { stream: name, sequence, source }),
    }
}
