//! Reads `routed` records at the stream's leader.

use std::sync::Arc;

use async_nats::jetstream;
use futures_util::{StreamExt, stream};
use sallyport_proto::{ids::Jurisdiction, registry::Registry, routed::Routed, subject};
use sallyport_relay_core::commit::{Accepted, Found, Key};

use crate::node::Node;

/// Reads at once: a full batch in a few round trips without flooding the API queue.
const READS_AT_ONCE: usize = 16;

/// Why the leader could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the routed record: {0}")]
struct ReadError(String);

/// What the leader has of each.
pub(super) async fn records(node: &Arc<Node>, places: Vec<(Key, Jurisdiction)>) -> Vec<(Key, Found)> {
    let registry = node.registry.load_full();
    stream::iter(places)
        .map(|(key, st)| {
            let (node, registry) = (node.clone(), registry.clone());
            async move {
                let found = match record(&node.js, &registry, &st, &key).await {
                    Ok(Some(accepted)) => Found::There(Arc::new(accepted)),
                    Ok(None) => Found::Absent,
                    Err(error) => {
                        tracing::warn!(%error, "left to redelivery");
                        Found::Unknown
                    }
                };
                (key, found)
            }
        })
        .buffered(READS_AT_ONCE)
        .collect()
        .await
}

/// `STREAM.MSG.GET` asks the leader; a direct get may miss what is fresh.
async fn record(
    js: &jetstream::Context,
    registry: &Registry,
    st: &Jurisdiction,
    (ori, event): &Key,
) -> Result<Option<Accepted>, ReadError> {
    use jetstream::stream::LastRawMessageErrorKind as Kind;
    let stream = js.get_stream_no_info(subject::DELIVER).await.map_err(|e| ReadError(e.to_string()))?;
    let subject = subject::hub_routed(st, ori, event);
    let message = match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => message,
        Err(error) if error.kind() == Kind::NoMessageFound => return Ok(None),
        Err(error) => return Err(ReadError(sallyport_link::publish::chain(&error))),
    };
    match Routed::open(&message.payload, registry.relay_keys()) {
        Ok(routed) => Ok(Some(routed.into())),
        // Only relays may write there. An unreadable record still means: routed. Saying otherwise would tell twice.
        Err(error) => Err(ReadError(format!("{subject} holds a record that does not verify: {error}"))),
    }
}
