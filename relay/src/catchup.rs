//! The catch-up service: a jail asks for its answers after a sequence, any node serves. Read at the stream's leader, one
//! by one, so that a jail needs no consumer of its own (NATS facts 17, 29).

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_nats::{Message, jetstream};
use futures_util::StreamExt;
use prost::Message as _;
use sallyport_proto::{
    ids::{Jurisdiction, Ori},
    limits, subject, wire,
};
use tokio::task::JoinSet;

use crate::node::Node;

/// Requests served at once by this node; further ones wait in the subscription.
const SERVED_AT_ONCE: usize = 16;
/// Between tries to subscribe.
const RESUBSCRIBE_DELAY: Duration = Duration::from_secs(1);
/// All nodes share the work.
const QUEUE_GROUP: &str = "relay";

/// Serves until shutdown.
pub(crate) async fn run(node: Arc<Node>) -> Result<(), Infallible> {
    let mut serving = JoinSet::new();
    loop {
        let subscribed = node.client.queue_subscribe(subject::HUB_CATCHUP, QUEUE_GROUP.into()).await;
        let mut requests = match subscribed {
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
        loop {
            tokio::select! {
                biased;
                () = node.shutdown.cancelled() => return Ok(()),
                Some(done) = serving.join_next(), if !serving.is_empty() => {
                    if let Err(error) = done {
                        tracing::error!(%error, "catch-up failed");
                    }
                }
                request = requests.next(), if serving.len() < SERVED_AT_ONCE => match request {
                    Some(request) => {
                        serving.spawn(serve(node.clone(), request));
                    }
                    None => break,
                },
            }
        }
    }
}

async fn serve(node: Arc<Node>, request: Message) {
    let Some(reply) = request.reply.clone() else { return };
    let answer = |item: wire::catchup_response::Item| {
        let bytes = wire::CatchupResponse { provenance: Some(node.provenance().into()), item: Some(item) }
            .encode_to_vec();
        node.client.publish(reply.clone(), bytes.into())
    };
    let outcome = page(&node, &request, answer).await;
    let last = match outcome {
        Ok(end) => wire::catchup_response::Item::End(end),
        Err(text) => {
            tracing::warn!(subject = %request.subject, text, "catch-up not served");
            wire::catchup_response::Item::Error(wire::CatchupError { text })
        }
    };
    if let Err(error) = answer(last).await {
        tracing::debug!(%error, "catch-up answer not sent; the jail asks again");
    }
}

async fn page<F>(
    node: &Node,
    request: &Message,
    answer: impl Fn(wire::catchup_response::Item) -> F,
) -> Result<wire::CatchupEnd, String>
where
    F: Future<Output = Result<(), async_nats::PublishError>>,
{
    let (st, ori) = subject::facility_of_catchup(&request.subject).ok_or("subject names no facility")?;
    let asked = wire::CatchupRequest::decode(&*request.payload).map_err(|_| "not a catch-up request")?;
    let stream = node.js.get_stream(subject::ANSWERS).await.map_err(|error| error.to_string())?;
    let created = stream.cached_info().created;
    let stream_created =
        prost_types::Timestamp { seconds: created.unix_timestamp(), nanos: created.nanosecond() as i32 };
    // A jail that knows another stream of that name starts over: law 1.
    let same = asked.stream_created.as_ref() == Some(&stream_created);
    let mut sequence = if same { asked.after_sequence } else { 0 };
    for _ in 0..limits::CATCHUP_PAGE_MAX {
        let Some(message) = next(&stream, &st, &ori, sequence + 1).await? else {
            return Ok(wire::CatchupEnd { more: false, sequence, stream_created: Some(stream_created) });
        };
        sequence = message.sequence;
        let item = wire::CatchupItem { sequence, answer: message.payload.to_vec() };
        answer(wire::catchup_response::Item::Answer(item)).await.map_err(|error| error.to_string())?;
    }
    Ok(wire::CatchupEnd { more: true, sequence, stream_created: Some(stream_created) })
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
