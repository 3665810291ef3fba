//! `sallyport-relay archive`: copies INGEST, DELIVER, RECEIPTS, ANSWERS and CONTROL into a folder, as segments of one UTC
//! day each, chained by SHA-256. What is archived outlives the streams' own age, a broken disk and a lost cluster;
//! `restore` brings it back.
//!
//! Streams are read in the direction of an event, INGEST first: what is read later knows at least as much, so that an
//! event in the archive usually has its `routed` record there. Segments hold person data until parts are sealed: files
//! are readable by their owner alone.

pub mod anchor;
pub mod chain;
pub mod segment;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use async_nats::jetstream::{self, stream::LastRawMessageErrorKind};
use jiff::{civil::Date, tz::TimeZone};
use sallyport_link::publish::chain as error_chain;
use sallyport_proto::{
    envelope::Digest,
    ids::{InstanceId, NodeId},
    subject,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::sweep::{self, Extent, From, Held, SweepError};
use anchor::Anchor;
use chain::{Chain, ChainError};
use segment::{Header, Record, SegmentError, Writer};

/// What is archived, in the order in which it is read.
pub const STREAMS: [&str; 5] =
    [subject::INGEST, subject::DELIVER, subject::RECEIPTS, subject::ANSWERS, subject::CONTROL];
/// While it runs on, what came since is written this often: so much is lost with the cluster at worst.
pub const EVERY: Duration = Duration::from_secs(3600);

/// Why nothing, or not everything, was archived.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stream could not be read.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A segment could not be written or read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// What lies in the folder is not a chain that can be continued.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The folder belongs to another stream of the same name.
    #[error(
        "stream {stream} is not the one that was archived here up to sequence {last}: {why}; archive it into another folder"
    )]
    OtherStream {
        /// Which.
        stream: &'static str,
        /// The last sequence in the folder.
        last: u64,
        /// What differs.
        why: String,
    },
}

impl Error {
    /// Whether what lies in the folder is wrong, as opposed to something not being there.
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Chain(_) | Self::OtherStream { .. } | Self::Segment(SegmentError::Torn { .. }))
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// Which stream.
    pub stream: &'static str,
    /// Segments written now.
    pub segments: u64,
    /// Messages in them.
    pub messages: u64,
    /// The last sequence that the folder holds; 0 for none.
    pub through: u64,
    /// Sequences that the stream no longer held when they were read, both ends included.
    pub gaps: Vec<(u64, u64)>,
}

/// Archives what the streams hold and the folder does not.
pub async fn once(
    js: &jetstream::Context,
    store_dir: &Path,
    instance: &InstanceId,
    node: &NodeId,
    to: &Path,
) -> Result<Vec<Archived>, Error> {
    let _only = sweep::only_one(store_dir, "archive")?;
    let (mut anchor, adopted) = Anchor::open(to, instance)?;
    if adopted {
        tracing::warn!(
            folder = %to.display(),
            "there were segments and no {}: whether their end was cut off before cannot be told; from now on it can",
            anchor::FILE
        );
    }
    let mut all = Vec::with_capacity(STREAMS.len());
    for stream in STREAMS {
        all.push(one_stream(js, instance, node, to, &mut anchor, stream).await?);
    }
    Ok(all)
}

/// Archives every `every`, until shutdown. What goes wrong with the server is tried again; a folder that is wrong is not.
pub async fn run(
    js: &jetstream::Context,
    store_dir: &Path,
    instance: &InstanceId,
    node: &NodeId,
    to: &Path,
    every: Duration,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut next = tokio::time::interval(every);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            _ = next.tick() => {}
        }
        match once(js, store_dir, instance, node, to).await {
            Ok(archived) => {
                for done in archived.iter().filter(|done| done.messages > 0 || !done.gaps.is_empty()) {
                    tracing::info!(
                        stream = done.stream,
                        messages = done.messages,
                        through = done.through,
                        "archived"
                    );
                    if !done.gaps.is_empty() {
                        tracing::error!(stream = done.stream, gaps = ?done.gaps, "the archive misses what the stream no longer held");
                    }
                }
            }
            Err(error) if error.is_data() => return Err(error),
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "not archived; trying again at the next turn")
            }
        }
    }
}

async fn one_stream(
    js: &jetstream::Context,
    instance: &InstanceId,
    node: &NodeId,
    to: &Path,
    anchor: &mut Anchor,
    stream: &'static str,
) -> Result<Archived, Error> {
    let extent = sweep::extent(js, stream).await?;
    let mut chain = Chain::open(to, instance, stream)?;
    anchor.judge_open(&chain, stream)?;
    // After a crash the chain is ahead.
    anchor.set(stream, chain.end())?;
    continues(js, stream, &chain, &extent).await?;
    let from = chain.through() + 1;
    let mut done = Archived { stream, segments: 0, messages: 0, through: chain.through(), gaps: Vec::new() };
    let mut open: Option<(Date, Writer)> = None;
    let reader = subject::archive_consumer(node);
    let each = |held: Held| {
        let day = held.stored.to_zoned(TimeZone::UTC).date();
        if let Some((_, full)) = open.take_if(|(open_day, _)| *open_day != day) {
            chain.push(full.finish()?);
            anchor.set(stream, chain.end())?;
            done.segments += 1;
        }
        // Never a gap before the very first: older messages were gone by their age before anybody archived.
        if done.through > 0 && held.sequence > done.through + 1 {
            done.gaps.push((done.through + 1, held.sequence - 1));
        }
        let (_, writer) = match &mut open {
            Some(open) => open,
            None => {
                let header = Header {
                    instance: instance.clone(),
                    stream: stream.to_owned(),
                    stream_created: extent.created,
                    day,
                    first: held.sequence,
                    previous: chain.last_sha256(),
                };
                open.insert((day, Writer::begin(&chain.folder(), header)?))
            }
        };
        done.messages += 1;
        done.through = held.sequence;
        writer.put(&record(held))?;
        Ok::<_, Error>(())
    };
    sweep::read(js, stream, &reader, From::Sequence(from), extent.last, each).await?;
    if let Some((_, last)) = open {
        chain.push(last.finish()?);
        anchor.set(stream, chain.end())?;
        done.segments += 1;
    }
    Ok(done)
}

fn record(held: Held) -> Record {
    let headers =
        held.headers.iter().flat_map(|headers| headers.iter()).flat_map(|(name, values)| {
            values.iter().map(|value| (name.to_string(), value.as_str().to_owned()))
        });
    Record {
        sequence: held.sequence,
        stored: held.stored,
        subject: held.subject,
        headers: headers.collect(),
        payload: held.payload.to_vec(),
    }
}

/// A restored stream holds what was archived and goes on from there; any other stream of the name must not be mixed in.
async fn continues(
    js: &jetstream::Context,
    stream: &'static str,
    chain: &Chain,
    extent: &Extent,
) -> Result<(), Error> {
    let Some(last) = chain.last() else { return Ok(()) };
    let other = |why: String| Error::OtherStream { stream, last: last.last, why };
    // The time of creation alone says nothing: a stream that came back from an older copy keeps it.
    let same = last.header.stream_created == extent.created;
    if extent.last < last.last {
        return Err(other(format!("it was created at {} and ends at {}", extent.created, extent.last)));
    }
    let bound = js
        .get_stream_no_info(stream)
        .await
        .map_err(|error| SweepError::Look { stream, reason: error_chain(&error) })?;
    match bound.get_raw_message(last.last).await {
        Ok(message)
            if message.subject.as_str() == last.last_subject
                && Digest::of(&message.payload) == last.last_payload =>
        {
            Ok(())
        }
        Ok(_) => Err(other("it holds another message there".into())),
        // Gone by its age, or taken out.
        Err(error) if same && error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(()),
        Err(error) => Err(other(format!("it does not show that message: {error}"))),
    }
}
