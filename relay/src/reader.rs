//! A reader of this node's own on one stream: a plain pull consumer without acks, in memory, which is deleted and made
//! again from wherever its owner stands (docs/nats.md 16, 30: an ordered consumer takes new names, which exact permissions
//! refuse in silence).

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, StreamError, pull},
    stream::{ConsumerError, Stream},
};
use sallyport_link::publish::chain;

/// Messages of one pull: enough that reading does not wait for round trips.
const BATCH_MAX: usize = 1_000;
/// Bytes of one pull: a thousand of the largest notices would be 96 MB.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// One pull request lives so long at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// Silence for twice this long means that the pull is lost.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The server forgets a reader that nobody pulls from.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(30);

/// Makes the reader `name` on `stream`, in place of one that is there.
pub(crate) async fn make<I>(
    stream: &Stream<I>,
    name: &str,
    deliver_policy: DeliverPolicy,
) -> Result<PullConsumer, ConsumerError> {
    // One of the same name with another start would be refused (10148).
    if let Err(error) = stream.delete_consumer(name).await {
        tracing::trace!(reader = name, error = %chain(&error), "no reader to delete");
    }
    let config = pull::Config {
        name: Some(name.to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE_THRESHOLD,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await
}

/// Pulls what the reader has.
pub(crate) async fn pull(consumer: &PullConsumer) -> Result<pull::Stream, StreamError> {
    consumer
        .stream()
        .max_messages_per_batch(BATCH_MAX)
        .max_bytes_per_batch(BATCH_BYTES_MAX)
        .expires(EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
}
