//! The catch-up service: a jail asks for its answers after a sequence, any node serves. Read at the stream's leader, one
//! by one, so that a jail needs no consumer of its own (docs/nats.md 17, 29).

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use async_nats::{Message, Subject, jetstream};
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use sallyport_link::fault;
use sallyport_proto::{
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    ids::{Jurisdiction, Ori},
    limits, subject,
};
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// Requests served at once by this node; further ones wait in the subscription, page by page in turn.
const SERVED_AT_ONCE: usize = 16;
/// Of one facility: an agent asks for one page after the other, and once more when it lost patience. More would keep other
/// jails from their answers.
const SERVED_AT_ONCE_OF_ONE: usize = 2;
/// Between tries to subscribe.
const RESUBSCRIBE_DELAY: Duration = Duration::from_secs(1);
/// All nodes share the work.
const QUEUE_GROUP: &str = "relay";

/// Serves until shutdown.
pub(crate) async fn run(node: Arc<Node>) -> Result<(), Infallible> {
    let mut desk = Desk::default();
    loop {
        let subscribed = node.client.queue_subscribe(subject::HUB_CATCHUP, QUEUE_GROUP.into()).await;
        let requests = match subscribed {
            Ok(requests) => requests,
            Err(error) => {
                tracing::warn!(%error, "cannot serve catch-up yet");
                tokio::select! {
                    biased;
                    () = node.shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(RESUBSCRIBE_DELAY) => continue,
                }
            }
        };
        let serve = |request| serve(node.clone(), request);
        let send_away = |request| send_away(node.clone(), request);
        if desk.attend(requests, &node.shutdown, serve, send_away).await == Ended::Shutdown {
            return Ok(());
        }
    }
}

/// Requests in work, and of whom each is.
#[derive(Default)]
struct Desk {
    serving: JoinSet<()>,
    of: HashMap<task::Id, Subject>,
}

/// Why no more requests are taken.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Shutdown,
    /// The subscription is over.
    NoMore,
}

impl Desk {
    /// Takes requests in turn: each is served, or sent away while as many of its facility are in work as may be. What is in
    /// work goes on when the requests end.
    async fn attend<S, A>(
        &mut self,
        mut requests: impl Stream<Item = Message> + Unpin,
        shutdown: &CancellationToken,
        serve: impl Fn(Message) -> S,
        send_away: impl Fn(Message) -> A,
    ) -> Ended
    where
        S: Future<Output = ()> + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ended::Shutdown,
                Some(done) = self.serving.join_next_with_id(), if !self.serving.is_empty() => {
                    let id = match done {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "catch-up failed");
                            error.id()
                        }
                    };
                    self.of.remove(&id);
                }
                request = requests.next(), if self.serving.len() < SERVED_AT_ONCE => {
                    let Some(request) = request else { return Ended::NoMore };
                    let subject = request.subject.clone();
                    let task = if self.of_one(&subject) < SERVED_AT_ONCE_OF_ONE {
                        self.serving.spawn(serve(request))
                    } else {
                        self.serving.spawn(send_away(request))
                    };
                    self.of.insert(task.id(), subject);
                }
            }
        }
    }

    fn of_one(&self, subject: &Subject) -> usize {
        self.of.values().filter(|of| *of == subject).count()
    }
}

async fn serve(node: Arc<Node>, request: Message) {
    let Some(reply) = request.reply.clone() else { return };
    let answer = |item: CatchupItem| {
        let bytes = CatchupResponse { provenance: node.provenance(), item }.encode();
        node.client.publish(reply.clone(), bytes.into())
    };
    let last = page(&node, &request, answer).await.unwrap_or_else(|text| {
        tracing::warn!(subject = %request.subject, text, "catch-up not served");
        CatchupItem::Error(text)
    });
    if let Err(error) = answer(last).await {
        tracing::debug!(%error, "catch-up answer not sent; the jail asks again");
    }
}

/// It asks again in some seconds, after those that waited behind it.
async fn send_away(node: Arc<Node>, request: Message) {
    let Some(reply) = request.reply else { return };
    let item = CatchupItem::Error("earlier requests of this facility are still being served".into());
    let bytes = CatchupResponse { provenance: node.provenance(), item }.encode();
    if let Err(error) = node.client.publish(reply, bytes.into()).await {
        tracing::debug!(%error, "catch-up answer not sent; the jail asks again");
    }
}

/// Sends one page of answers, and gives its end.
async fn page<F>(
    node: &Node,
    request: &Message,
    answer: impl Fn(CatchupItem) -> F,
) -> Result<CatchupItem, String>
where
    F: Future<Output = Result<(), async_nats::PublishError>>,
{
    let (st, ori) = subject::facility_of_catchup(&request.subject).ok_or("subject names no facility")?;
    let asked = CatchupRequest::decode(&request.payload).map_err(|error| error.to_string())?;
    let stream = node.js.get_stream(subject::ANSWERS).await.map_err(|error| error.to_string())?;
    let stream_created = Timestamp::from_nanosecond(stream.cached_info().created.unix_timestamp_nanos())
        .map_err(|error| error.to_string())?;
    let mut sequence = begin(&asked, stream_created, stream.cached_info().state.last_sequence);
    for _ in 0..limits::CATCHUP_PAGE_MAX {
        let Some(message) = next(&stream, &st, &ori, sequence + 1).await? else {
            return Ok(CatchupItem::End { more: false, sequence, stream_created });
        };
        sequence = message.sequence;
        let item = CatchupItem::Answer { sequence, answer: message.payload.to_vec() };
        answer(item).await.map_err(|error| error.to_string())?;
        fault::point("relay.catchup.mid-page");
    }
    Ok(CatchupItem::End { more: true, sequence, stream_created })
}

/// Behind which sequence a page begins. A jail that knows another stream of that name starts over, and so does one that
/// was further than the stream is: it was cut short, and new answers have numbers that the jail has passed.
fn begin(asked: &CatchupRequest, stream_created: Timestamp, last_sequence: u64) -> u64 {
    let same = asked.stream_created == Some(stream_created) && asked.after_sequence <= last_sequence;
    if same { asked.after_sequence } else { 0 }
}

async fn next(
    stream: &jetstream::stream::Stream,
    st: &Jurisdiction,
    ori: &Ori,
    from: u64,
) -> Result<Option<jetstream::message::StreamMessage>, String> {
    use jetstream::stream::RawMessageErrorKind as Kind;
    let subject = subject::hub_answers(st, ori);
    match stream.raw_message_builder().sequence(from).next_by_subject(subject).send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == Kind::NoMessageFound => Ok(None),
        Err(error) => Err(sallyport_link::publish::chain(&error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
