//! `sallyport-relay restore`: fills an empty cluster from an archive.
//!
//! DELIVER first, so that no event is on INGEST whose `routed` record is not there: a relay that starts afterwards answers
//! every event from its record and routes none a second time. Each message keeps its sequence, because records of other
//! streams name it. Headers of the broker are left out: batches, expected sequences and Msg-Ids belong to the first time.
//!
//! Nobody else may write meanwhile: the server's configuration for it lets only the operator in.

mod unrouted;
mod write;

use std::{collections::BTreeMap, path::Path, time::Duration};

use async_nats::jetstream::{
    self,
    stream::{Info, RawMessageErrorKind},
};
use sallyport_link::{config::ConfigProblems, connect, publish::chain as error_chain};
use sallyport_proto::{envelope::Digest, subject};
use sallyport_relay_core::dense::Gap;
use serde::Serialize;

use self::{unrouted::Unrouted, write::write};
use crate::{
    archive::{
        anchor::{self, Anchor},
        chain::{self, ChainError, Whole},
    },
    config::Config,
    provision,
};

/// In this order: what says that something was done comes before what asks for it.
pub const ORDER: [&str; 5] =
    [subject::DELIVER, subject::ANSWERS, subject::CONTROL, subject::RECEIPTS, subject::INGEST];
/// Streams of a provisioned cluster that no archive holds: they must be empty, too.
const OTHERS: [&str; 3] = [subject::HEARTBEATS, subject::REQUESTS, subject::PARKED];
/// Messages without a PubAck.
const IN_FLIGHT_MAX: usize = 256;
/// Records read ahead.
const READ_AHEAD_MAX: usize = 512;
/// Looks at a stream after something was not confirmed: a leader change takes up to 9 s.
const TRIES_MAX: u32 = 10;
/// Between two.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// What is allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The streams may hold the beginning of this archive.
    pub resume: bool,
    /// Sequences may be missing in it.
    pub accept_gaps: bool,
    /// Nothing may say where it ends.
    pub without_anchor: bool,
}

/// Why it was not restored, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// There is nothing of a stream in it.
    #[error("the archive holds no {0}: without it events would be routed again")]
    NothingOf(&'static str),
    /// Its end may have been cut off.
    #[error(
        "the archive has no {}: whether its end was cut off cannot be told, and events whose `routed` record was there would be routed again (--without-anchor permits it, for an archive of an older program)",
        anchor::FILE
    )]
    NoAnchor,
    /// Messages are missing in it.
    #[error(
        "the archive of {stream} misses sequences {}: what follows would get other sequences than it had (--accept-gaps permits it)",
        ranges(gaps)
    )]
    Gaps {
        /// Of which stream.
        stream: &'static str,
        /// Which.
        gaps: Vec<(u64, u64)>,
    },
    /// The connection, the configuration, or a stream that could not be made.
    #[error(transparent)]
    Provision(#[from] provision::Error),
    /// The cluster is not empty.
    #[error("{stream} is not empty ({messages} messages): only an empty cluster is restored into{}", hint(*resumable))]
    NotEmpty {
        /// Which stream.
        stream: &'static str,
        /// How many messages it holds.
        messages: u64,
        /// They are the beginning of this archive.
        resumable: bool,
    },
    /// A stream is empty and begins elsewhere.
    #[error(
        "{stream} begins with sequence {begins}, the archive with {first}: restore before `provision`, so that the streams are made for it"
    )]
    OtherFirst {
        /// Which stream.
        stream: &'static str,
        /// Its first sequence.
        begins: u64,
        /// The archive's.
        first: u64,
    },
    /// A relay pulls.
    #[error("{0} relay nodes are pulling from INGEST: stop every relay first")]
    RelayRuns(usize),
    /// The server did not confirm.
    #[error("{stream} does not get beyond sequence {at}: {reason}")]
    Stuck {
        /// Which stream.
        stream: &'static str,
        /// How far it is.
        at: u64,
        /// What the server said.
        reason: String,
    },
    /// A request to JetStream.
    #[error("cannot look at {stream}: {reason}")]
    Look {
        /// Which stream.
        stream: &'static str,
        /// What the server said.
        reason: String,
    },
}

fn hint(resumable: bool) -> &'static str {
    if resumable { "; it holds the beginning of this archive: --resume goes on" } else { "" }
}

fn ranges(gaps: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| format!("{first}-{last}");
    gaps.iter().map(range).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Whether archive or cluster are not what they should be, as opposed to something not being there.
    pub fn is_data(&self) -> bool {
        !matches!(self, Self::Provision(_) | Self::Stuck { .. } | Self::Look { .. })
    }

    /// Every problem of the configuration, when that is what is wrong.
    pub fn config(&self) -> Option<&ConfigProblems> {
        match self {
            Self::Provision(provision::Error::Config(problems)) => Some(problems),
            _ => None,
        }
    }
}

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Which stream.
    pub stream: &'static str,
    /// Segments of the archive, each verified before anything was written.
    pub segments: usize,
    /// Messages written now.
    pub messages: u64,
    /// Its first sequence.
    pub first: u64,
    /// Its last sequence.
    pub last: u64,
    /// Sequences that the archive misses.
    pub gaps: Vec<(u64, u64)>,
    /// Of INGEST: sequences of events that the archive neither routed nor refused. The relay will route them.
    pub unrouted: Vec<Gap>,
}

/// Verifies the whole archive, then the cluster, then writes.
pub async fn run(config: &Config, from: &Path, options: Options) -> Result<Vec<Restored>, Error> {
    let (chains, unrouted) = verify(config, from, options)?;
    let (client, js) = provision::log_in(config).await?;
    let mut outcome = fill(&js, config, from, options, &chains).await;
    if let Ok(restored) = &mut outcome
        && let Some(ingest) = restored.iter_mut().find(|one| one.stream == subject::INGEST)
    {
        ingest.unrouted = unrouted;
    }
    connect::close(&client).await;
    outcome
}

type Chains = BTreeMap<&'static str, Whole>;

/// Every stream's chain, and what of INGEST will be routed.
fn verify(config: &Config, from: &Path, options: Options) -> Result<(Chains, Vec<Gap>), Error> {
    let anchor = Anchor::read(from, &config.instance)?;
    if anchor.is_none() && !options.without_anchor {
        return Err(Error::NoAnchor);
    }
    let mut unrouted = Unrouted::new(&config.registry);
    let mut chains = Chains::new();
    for stream in ORDER {
        let whole =
            chain::verify(from, &config.instance, stream, |record| unrouted.take_in(stream, &record))?;
        if let Some(anchor) = &anchor {
            anchor.judge(stream, &whole)?;
        }
        if !whole.gaps.is_empty() && !options.accept_gaps {
            return Err(Error::Gaps { stream, gaps: whole.gaps });
        }
        chains.insert(stream, whole);
    }
    let has = |stream| chains.get(stream).is_some_and(|whole| whole.records > 0);
    if has(subject::INGEST) && !has(subject::DELIVER) {
        return Err(Error::NothingOf(subject::DELIVER));
    }
    let unrouted = unrouted.sequences();
    if !unrouted.is_empty() {
        tracing::warn!(
            events = unrouted.iter().map(Gap::count).sum::<u64>(),
            sequences = ?unrouted.iter().map(Gap::to_string).collect::<Vec<_>>(),
            "of these events the archive holds neither a routed record nor a Refusal: the relay will route them, also if it did so before the loss"
        );
    }
    Ok((chains, unrouted))
}

async fn fill(
    js: &jetstream::Context,
    config: &Config,
    from: &Path,
    options: Options,
    chains: &Chains,
) -> Result<Vec<Restored>, Error> {
    relays_are_stopped(js).await?;
    // The whole cluster is looked at before anything is written to it.
    for stream in OTHERS {
        if let Some(info) = info(js, stream).await?
            && info.state.messages > 0
        {
            return Err(Error::NotEmpty { stream, messages: info.state.messages, resumable: false });
        }
    }
    let mut there = BTreeMap::new();
    for stream in ORDER {
        let Some(whole) = chains.get(stream) else { continue };
        there.insert(stream, already_there(js, config, from, options, stream, whole).await?);
    }
    let mut restored = Vec::new();
    for stream in ORDER {
        let Some(whole) = chains.get(stream) else { continue };
        let first = whole.first().unwrap_or(1);
        provision::make_stream(js, config, stream, first).await?;
        let skip = there.get(stream).copied().unwrap_or_default();
        tracing::info!(stream, messages = whole.records - skip, "restoring");
        let last = write(js, config, from, stream, whole, first, skip).await?;
        restored.push(Restored {
            stream,
            segments: whole.segments.len(),
            messages: whole.records - skip,
            first,
            last,
            gaps: whole.gaps.clone(),
            unrouted: Vec::new(),
        });
    }
    Ok(restored)
}

async fn relays_are_stopped(js: &jetstream::Context) -> Result<(), Error> {
    let durable: Result<jetstream::consumer::PullConsumer, _> =
        js.get_consumer_from_stream(subject::RELAY_DURABLE, subject::INGEST).await;
    match durable {
        Ok(consumer) if consumer.cached_info().num_waiting > 0 => {
            Err(Error::RelayRuns(consumer.cached_info().num_waiting))
        }
        // No stream, or no durable: nobody pulls.
        _ => Ok(()),
    }
}

async fn info(js: &jetstream::Context, stream: &'static str) -> Result<Option<Info>, Error> {
    use jetstream::context::GetStreamErrorKind as Kind;
    match js.get_stream(stream).await {
        Ok(bound) => Ok(Some(bound.cached_info().clone())),
        Err(error) => match error.kind() {
            Kind::JetStream(e) if e.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(Error::Look { stream, reason: error_chain(&error) }),
        },
    }
}

/// How many of the archive's messages the stream holds already: none, unless a restore was cut short.
async fn already_there(
    js: &jetstream::Context,
    config: &Config,
    from: &Path,
    options: Options,
    stream: &'static str,
    whole: &Whole,
) -> Result<u64, Error> {
    let Some(info) = info(js, stream).await? else { return Ok(0) };
    let (first, messages) = (whole.first().unwrap_or(1), info.state.messages);
    if messages == 0 && info.state.last_sequence + 1 == first {
        return Ok(0);
    }
    if messages == 0 {
        return Err(Error::OtherFirst { stream, begins: info.state.last_sequence + 1, first });
    }
    let resumable = is_beginning(js, config, from, stream, whole, &info).await?;
    if options.resume && resumable {
        return Ok(messages);
    }
    Err(Error::NotEmpty { stream, messages, resumable })
}

/// Whether as many messages as the stream holds, counted from the archive's first, end with the stream's last.
async fn is_beginning(
    js: &jetstream::Context,
    config: &Config,
    from: &Path,
    stream: &'static str,
    whole: &Whole,
    info: &Info,
) -> Result<bool, Error> {
    let state = &info.state;
    let consecutive = state.first_sequence == whole.first().unwrap_or(1)
        && state.last_sequence + 1 == state.first_sequence + state.messages;
    if !consecutive || state.messages > whole.records {
        return Ok(false);
    }
    let failed = |reason| Error::Look { stream, reason };
    let bound = js.get_stream_no_info(stream).await.map_err(|error| failed(error_chain(&error)))?;
    let last = match bound.get_raw_message(state.last_sequence).await {
        Ok(message) => (message.subject.to_string(), Digest::of(&message.payload)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(false),
        Err(error) => return Err(failed(error_chain(&error))),
    };
    let mut n = 0;
    let mut archived = None;
    chain::verify(from, &config.instance, stream, |record| {
        n += 1;
        if n == state.messages {
            archived = Some((record.subject, Digest::of(&record.payload)));
        }
    })?;
    Ok(archived == Some(last))
}
