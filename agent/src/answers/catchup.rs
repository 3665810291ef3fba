//! Asks the relay for the answers that were missed: at every connect, every minute, and from the beginning when a new
//! registry may know a signer that the old one did not.

use std::time::Duration;

use futures_util::StreamExt;
use sallyport_link::{clock, fault, publish::chain};
use sallyport_proto::{
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    ids::InstanceId,
    limits::CATCHUP_PAGE_MAX,
    provenance::Provenance,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Answers;
use crate::{
    faults,
    intake::BUILD,
    publish::Connects,
    store::{Position, StoreError},
};

/// A core subscription may lose an answer at any time: nothing is missed for longer than this.
const EVERY: Duration = Duration::from_secs(60);
/// A page is read at the stream's leader, message by message; a leader change takes up to 9 s.
const PAGE_DEADLINE: Duration = Duration::from_secs(15);
/// When nobody served: the relay may just be starting.
const RETRY: Duration = Duration::from_secs(5);

/// Asks until shutdown.
pub(crate) struct CatchUp {
    pub(crate) answers: Answers,
    pub(crate) client: async_nats::Client,
    pub(crate) instance: InstanceId,
    pub(crate) subject: String,
    pub(crate) connects: Connects,
    pub(crate) shutdown: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("the request was not sent")]
    Send(#[from] async_nats::PublishError),
    #[error("the reply subject could not be subscribed")]
    Subscribe(#[from] async_nats::SubscribeError),
    #[error("no relay serves catch-up")]
    NobodyServes,
    #[error("no end of the page within the deadline")]
    Deadline,
    #[error("the relay says: {0}")]
    Relay(String),
    #[error("a response cannot be read")]
    Unreadable(#[from] sallyport_proto::field::FieldError),
    #[error("more answers than a page holds")]
    TooMany,
    #[error("not stored")]
    Store(#[from] StoreError),
}

impl CatchUp {
    /// Runs until shutdown. A catch-up that fails is tried again; a row that misses its answer is sent again meanwhile.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut registry = self.answers.registry.clone();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut from_the_beginning = false;
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                changed = self.connects.changed() => if changed.is_err() { return Ok(()) },
                changed = registry.changed() => {
                    if changed.is_err() { return Ok(()) }
                    if std::mem::take(&mut from_the_beginning) {
                        tracing::info!("a new registry: reading the answers again that had no known signer");
                        self.answers.store.write(crate::store::Kind::Upkeep, |connection| {
                            crate::store::set_position(connection, &Position::default(), None)
                        }).await?;
                    }
                }
                _ = every.tick() => {}
            }
            if *self.connects.borrow_and_update() == 0 {
                continue;
            }
            let shutdown = self.shutdown.clone();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                outcome = self.all_pages() => match outcome {
                    Ok(later) => {
                        from_the_beginning |= later;
                        self.answers.metrics.catchup("done");
                    }
                    Err(PageError::Store(StoreError::WriterGone)) => return Err(StoreError::WriterGone),
                    Err(error) => {
                        self.answers.metrics.catchup("failed");
                        tracing::warn!(error = %chain(&error), "catch-up failed; trying again");
                        every.reset_after(RETRY);
                    }
                }
            }
        }
    }

    async fn all_pages(&self) -> Result<bool, PageError> {
        let mut later = false;
        loop {
            let position = self.answers.store.reader()?.position()?;
            let (messages, end, more) = self.page(position).await?;
            fault::point(faults::CATCHUP_AFTER_PAGE);
            later |= self.answers.take(messages, clock::now(), Some(end)).await?.may_pass_later;
            if !more {
                return Ok(later);
            }
        }
    }

    async fn page(&self, position: Position) -> Result<(Vec<Vec<u8>>, Position, bool), PageError> {
        let inbox = self.client.new_inbox();
        let mut responses = self.client.subscribe(inbox.clone()).await?;
        let request = CatchupRequest {
            provenance: Provenance::of(&self.instance, BUILD),
            after_sequence: position.sequence,
            stream_created: position.stream_created,
        };
        self.client.publish_with_reply(self.subject.clone(), inbox, request.encode().into()).await?;
        let mut messages = Vec::new();
        let deadline = tokio::time::Instant::now() + PAGE_DEADLINE;
        loop {
            let next = tokio::time::timeout_at(deadline, responses.next()).await;
            let message = next.map_err(|_| PageError::Deadline)?.ok_or(PageError::Deadline)?;
            if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
                return Err(PageError::NobodyServes);
            }
            match CatchupResponse::decode(&message.payload)?.item {
                CatchupItem::Answer { answer, .. } if messages.len() < CATCHUP_PAGE_MAX => {
                    messages.push(answer)
                }
                CatchupItem::Answer { .. } => return Err(PageError::TooMany),
                CatchupItem::End { more, sequence, stream_created } => {
                    let end = Position { sequence, stream_created: Some(stream_created) };
                    // A page that claims more and moves nowhere would be asked for for ever.
                    return Ok((messages, end.clone(), more && end != position));
                }
                CatchupItem::Error(text) => return Err(PageError::Relay(text)),
            }
        }
    }
}
