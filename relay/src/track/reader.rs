//! Reads one stream from where the model stands, with the reader `track-<node>`.
//!
//! Never ends but for `Rewound`: everything else is bridged by binding again.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, PullConsumer, pull},
    stream::{LastRawMessageError, LastRawMessageErrorKind},
};
use futures_util::StreamExt;
use jiff::Timestamp;
use sallyport_link::{clock, publish::chain, pull::NOT_PROVISIONED, seldom::Seldom};
use sallyport_proto::{ids::NodeId, subject};
use sallyport_relay_core::ledger::{self, Record, Stream};
use tokio::{sync::mpsc, time::Instant};

use super::{
    store::Position,
    writer::{Read, ToWriter},
};
use crate::reader;

/// Errors in a row before the reader is made again.
const ERRORS_IN_A_ROW_MAX: u32 = 2;
/// Between tries to make it.
const REBIND_DELAY: Duration = Duration::from_secs(1);
/// How often the stream is asked how far it is: the model's age is known to so much.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A reader that is behind for so long alarms.
const BEHIND_ALARM_AFTER: Duration = Duration::from_secs(30);

/// The stream is not the one that was folded: the model is of no use.
#[derive(Debug)]
pub(super) struct Rewound {
    pub(super) stream: Stream,
    pub(super) why: &'static str,
}

/// The reader of one stream.
pub(super) struct Reader {
    js: jetstream::Context,
    stream: Stream,
    name: String,
    /// Of the stream, once known.
    created: Option<Arc<str>>,
    /// The last sequence handed to the writer.
    sequence: u64,
    /// When the broker stored that message: another time there is another message.
    stored: Option<Timestamp>,
    /// The last sequence of the running consumer.
    consumer_sequence: u64,
    /// The stream's end at an earlier look, and when that was: under load the end of now is never reached.
    goal: Option<(u64, Timestamp)>,
    behind_since: Option<Instant>,
    unbound: Seldom,
    to_writer: mpsc::Sender<ToWriter>,
}

/// Why a consumer is made again.
enum Rebind {
    Now,
    Later,
    Rewound(Rewound),
    /// Nobody writes any more.
    Over,
}

impl Reader {
    pub(super) fn new(
        js: jetstream::Context,
        stream: Stream,
        node: &NodeId,
        position: Option<Position>,
        to_writer: mpsc::Sender<ToWriter>,
    ) -> Self {
        let stored = position.as_ref().and_then(|position| position.stored);
        let (created, sequence) = position.map(|p| (p.created, p.sequence)).unzip();
        Self {
            js,
            stream,
            name: subject::track_consumer(node),
            created: created.map(Into::into),
            sequence: sequence.unwrap_or_default(),
            stored,
            consumer_sequence: 0,
            goal: None,
            behind_since: None,
            unbound: Seldom::default(),
            to_writer,
        }
    }

    /// Reads for ever.
    pub(super) async fn run(mut self) -> Result<(), Rewound> {
        loop {
            match self.read().await {
                Rebind::Now => {}
                Rebind::Later => tokio::time::sleep(REBIND_DELAY).await,
                Rebind::Rewound(rewound) => return Err(rewound),
                Rebind::Over => return Ok(()),
            }
        }
    }

    /// Binds and reads until the consumer has to be made again.
    async fn read(&mut self) -> Rebind {
        let stream = self.stream.name();
        let bound = match self.js.get_stream(stream).await {
            Ok(bound) => bound,
            Err(error) => {
                if self.unbound.is_due(Instant::now()) {
                    let error = chain(&error);
                    tracing::warn!(
                        stream,
                        error,
                        "cannot look at the stream yet; trying again. {}",
                        NOT_PROVISIONED
                    );
                }
                return Rebind::Later;
            }
        };
        self.unbound.over();
        if let Some(rewound) = self.is_rewound(bound.cached_info()) {
            return Rebind::Rewound(rewound);
        }
        match self.is_another_message(&bound).await {
            Ok(false) => {}
            Ok(true) => {
                let why = "another message stands where the last folded one stood";
                return Rebind::Rewound(Rewound { stream: self.stream, why });
            }
            Err(error) => {
                tracing::warn!(stream, error = %chain(&error), "cannot look at the stream yet");
                return Rebind::Later;
            }
        }
        let from = DeliverPolicy::ByStartSequence { start_sequence: self.sequence + 1 };
        let consumer = match reader::make(&bound, &self.name, from).await {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::warn!(stream, reader = self.name, error = %chain(&error), "cannot make the reader yet");
                return Rebind::Later;
            }
        };
        self.consumer_sequence = 0;
        match reader::pull(&consumer).await {
            Ok(messages) => self.follow(bound, consumer, messages).await,
            Err(error) => {
                tracing::warn!(stream, error = %chain(&error), "cannot pull yet");
                Rebind::Later
            }
        }
    }

    async fn follow(
        &mut self,
        mut bound: jetstream::stream::Stream,
        mut consumer: PullConsumer,
        mut messages: pull::Stream,
    ) -> Rebind {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut errors_in_a_row = 0;
        loop {
            // Cancel-safe: `next` takes nothing out before it is ready, and a tick that is lost comes again.
            let item = tokio::select! {
                item = messages.next() => Some(item),
                _ = look.tick() => None,
            };
            let ended = match item {
                None => self.look(&mut bound, &mut consumer).await,
                Some(None) => Some(Rebind::Later),
                Some(Some(Ok(message))) => {
                    errors_in_a_row = 0;
                    self.hand_over(message).await
                }
                Some(Some(Err(error))) => {
                    errors_in_a_row += 1;
                    self.failed(&error, errors_in_a_row)
                }
            };
            if let Some(rebind) = ended {
                return rebind;
            }
        }
    }

    async fn hand_over(&mut self, message: jetstream::Message) -> Option<Rebind> {
        let stream = self.stream.name();
        let Ok(info) = message.info() else {
            tracing::warn!(stream, "a message without its place in the stream; making the reader again");
            return Some(Rebind::Now);
        };
        if info.consumer_sequence != self.consumer_sequence + 1 {
            tracing::debug!(stream, at = self.sequence, "messages were lost on the way; reading them again");
            return Some(Rebind::Now);
        }
        let stored = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let (sequence, consumer_sequence) = (info.stream_sequence, info.consumer_sequence);
        let changes = ledger::changes(&Record {
            stream: self.stream,
            sequence,
            subject: &message.message.subject,
            stored,
            payload: &message.message.payload,
        });
        let created = self.created.clone().unwrap_or_default();
        let read = Read { stream: self.stream, created, sequence, stored, changes };
        if self.to_writer.send(ToWriter::Record(read)).await.is_err() {
            return Some(Rebind::Over);
        }
        (self.sequence, self.consumer_sequence) = (sequence, consumer_sequence);
        self.stored = Some(stored);
        None
    }

    /// A stream that came back from an older copy keeps its time of creation, and may be as long again: then the message
    /// that was folded last is not there. One that is gone by its age or was taken out says nothing.
    async fn is_another_message(
        &self,
        bound: &jetstream::stream::Stream,
    ) -> Result<bool, LastRawMessageError> {
        let Some(folded) = self.stored else { return Ok(false) };
        match bound.get_raw_message(self.sequence).await {
            Ok(message) => {
                let stored =
                    Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default();
                Ok(stored.as_microsecond() != folded.as_microsecond())
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn failed(&self, error: &pull::MessagesError, errors_in_a_row: u32) -> Option<Rebind> {
        let stream = self.stream.name();
        if error.kind() == pull::MessagesErrorKind::ConsumerDeleted {
            tracing::debug!(stream, "the reader was deleted; making it again");
            return Some(Rebind::Now);
        }
        tracing::debug!(stream, error = %chain(error), "pull error");
        (errors_in_a_row >= ERRORS_IN_A_ROW_MAX).then_some(Rebind::Later)
    }

    /// Asks the stream how far it is. Tells the writer when nothing is missing; makes the reader again when something
    /// was delivered that never came.
    async fn look(
        &mut self,
        bound: &mut jetstream::stream::Stream,
        consumer: &mut PullConsumer,
    ) -> Option<Rebind> {
        let stream = self.stream.name();
        let asked_at = clock::now();
        let info = match bound.info().await {
            Ok(info) => info.clone(),
            Err(error) => {
                tracing::debug!(stream, error = %chain(&error), "the stream does not answer");
                return self.behind();
            }
        };
        if let Some(rewound) = self.is_rewound(&info) {
            return Some(Rebind::Rewound(rewound));
        }
        let at = if self.sequence >= info.state.last_sequence || self.rest_is_deleted(consumer).await {
            self.goal = None;
            Some(asked_at)
        } else {
            let reached = self.goal.filter(|(end, _)| self.sequence >= *end);
            if reached.is_some() || self.goal.is_none() {
                self.goal = Some((info.state.last_sequence, asked_at));
            }
            reached.map(|(_, at)| at)
        };
        let Some(at) = at else { return self.behind() };
        self.behind_since = None;
        let created = self.created.clone().unwrap_or_default();
        let whole = ToWriter::Whole(self.stream, created, self.sequence, at);
        self.to_writer.send(whole).await.is_err().then_some(Rebind::Over)
    }

    /// Whether the server has nothing more for this reader, although the stream's last sequence is further.
    async fn rest_is_deleted(&self, consumer: &mut PullConsumer) -> bool {
        match consumer.info().await {
            Ok(info) => info.num_pending == 0 && info.delivered.consumer_sequence == self.consumer_sequence,
            Err(_) => false,
        }
    }

    /// Alarms once per `BEHIND_ALARM_AFTER`, and makes the reader again: what was delivered may have been lost.
    fn behind(&mut self) -> Option<Rebind> {
        let since = *self.behind_since.get_or_insert_with(Instant::now);
        if since.elapsed() < BEHIND_ALARM_AFTER {
            return None;
        }
        self.behind_since = Some(Instant::now());
        tracing::warn!(
            stream = self.stream.name(),
            at = self.sequence,
            "the read model is behind; figures are old"
        );
        Some(Rebind::Now)
    }

    /// Notes the stream's time of creation the first time, and compares it ever after.
    fn is_rewound(&mut self, info: &jetstream::stream::Info) -> Option<Rewound> {
        let created =
            Timestamp::from_nanosecond(info.created.unix_timestamp_nanos()).unwrap_or_default().to_string();
        let rewound = |why| Some(Rewound { stream: self.stream, why });
        match &self.created {
            Some(known) if **known != *created => return rewound("created at another time"),
            Some(_) if info.state.last_sequence < self.sequence => {
                return rewound("its last sequence is below what was folded");
            }
            Some(_) => {}
            None => self.created = Some(created.into()),
        }
        None
    }
}
