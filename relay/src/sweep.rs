//! Reads one stream once, from a point to where it ended when the reading began: for `audit` and `archive`, which are
//! commands and not folds. The reader is a plain pull consumer of this node with a name of its own, beside `track-<node>`
//! (docs/nats.md 30): making it again after a loss continues where the last message was.
//!
//! Out of scope: what a message means; single messages by sequence or subject.

use std::{path::Path, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{DeliverPolicy, PullConsumer, pull},
    },
};
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use sallyport_link::{
    lock::{Lock, LockError},
    publish::chain,
};

use crate::reader;

/// Silence for so long means that the reader is lost: the stream had more when it was made.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Readers made one after the other without a message in between: a leader that is gone is back by then.
const FRUITLESS_MAX: u32 = 5;
/// Between two of them.
const REBIND_DELAY: Duration = Duration::from_secs(2);

/// A message as the stream holds it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) stored: Timestamp,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    /// With this sequence, or the first after it.
    Sequence(u64),
    /// With the first message stored then or later.
    Time(Timestamp),
}

/// What a stream held when reading began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) created: Timestamp,
}

/// Why a stream could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The server did not say how far the stream goes.
    #[error("cannot look at stream {stream}: {reason}")]
    Look {
        /// Which.
        stream: &'static str,
        /// What the server said.
        reason: String,
    },
    /// No reader came through.
    #[error("reading stream {stream} does not get beyond sequence {at}: {reason}")]
    Stuck {
        /// Which.
        stream: &'static str,
        /// How far.
        at: u64,
        /// The last error.
        reason: String,
    },
    /// Another command of this node reads under the same name.
    #[error("another {what} of this node runs")]
    Busy {
        /// The command.
        what: &'static str,
    },
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Only one command of a kind per node: two would delete each other's reader.
pub(crate) fn only_one(store_dir: &Path, what: &'static str) -> Result<Lock, SweepError> {
    Lock::take(&store_dir.join(format!("{what}.lock"))).map_err(|error| match error {
        LockError::Taken { .. } => SweepError::Busy { what },
        error @ LockError::Io { .. } => error.into(),
    })
}

/// How far a stream goes.
pub(crate) async fn extent(js: &jetstream::Context, stream: &'static str) -> Result<Extent, SweepError> {
    let failed = |reason| SweepError::Look { stream, reason };
    let bound = js.get_stream(stream).await.map_err(|error| failed(chain(&error)))?;
    let info = bound.cached_info();
    let created = Timestamp::from_nanosecond(info.created.unix_timestamp_nanos()).unwrap_or_default();
    Ok(Extent { first: info.state.first_sequence, last: info.state.last_sequence, created })
}

/// Gives every message of `stream` from `from` to sequence `last` to `each`, in order; an error of `each` ends it.
pub(crate) async fn read<E: std::convert::From<SweepError>>(
    js: &jetstream::Context,
    stream: &'static str,
    reader: &str,
    from: From,
    last: u64,
    mut each: impl FnMut(Held) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = from;
    let mut at = 0;
    let mut fruitless = 0;
    let mut why = String::new();
    while fruitless < FRUITLESS_MAX {
        if let From::Sequence(next) = from
            && next > last
        {
            return Ok(());
        }
        if fruitless > 0 {
            tokio::time::sleep(REBIND_DELAY).await;
        }
        fruitless += 1;
        let (_bound, messages) = match bind(js, stream, reader, from).await {
            Ok(None) => return Ok(()),
            Ok(Some(bound)) => bound,
            Err(reason) => {
                why = reason;
                continue;
            }
        };
        let mut messages = messages;
        let mut expected = 1;
        // Anything but the next message in its turn makes the reader again from where it stood.
        while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE_MAX, messages.next()).await {
            let Ok(info) = message.info() else { break };
            if info.consumer_sequence != expected {
                break;
            }
            expected += 1;
            let (sequence, pending) = (info.stream_sequence, info.pending);
            if sequence > last {
                return Ok(());
            }
            let stored =
                Timestamp::from_nanosecond(info.published.unix_timestamp_nanos()).unwrap_or_default();
            let message = message.message;
            each(Held {
                sequence,
                subject: message.subject.to_string(),
                stored,
                headers: message.headers,
                payload: message.payload,
            })?;
            (from, at, fruitless) = (From::Sequence(sequence + 1), sequence, 0);
            if sequence >= last || pending == 0 {
                return Ok(());
            }
        }
        why = "no message came".to_owned();
    }
    Err(SweepError::Stuck { stream, at, reason: why }.into())
}

type Bound = (PullConsumer, pull::Stream);

/// Makes the reader; none when there is nothing from there on.
async fn bind(
    js: &jetstream::Context,
    stream: &'static str,
    name: &str,
    from: From,
) -> Result<Option<Bound>, String> {
    let bound = js.get_stream_no_info(stream).await.map_err(|error| chain(&error))?;
    let deliver_policy = match from {
        From::Sequence(start_sequence) => {
            DeliverPolicy::ByStartSequence { start_sequence: start_sequence.max(1) }
        }
        From::Time(at) => DeliverPolicy::ByStartTime { start_time: offset(at)? },
    };
    let consumer = reader::make(&bound, name, deliver_policy).await.map_err(|error| chain(&error))?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(None);
    }
    let messages = reader::pull(&consumer).await.map_err(|error| chain(&error))?;
    Ok(Some((consumer, messages)))
}

/// The broker client's own type of time.
fn offset(at: Timestamp) -> Result<async_nats::datetime::DateTime, String> {
    async_nats::datetime::DateTime::from_unix_timestamp_nanos(at.as_nanosecond())
        .map_err(|error| error.to_string())
}
