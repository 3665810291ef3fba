//! Publishes until JetStream has stored it. A PubAck says only that: what it does not mean stands in ARCHITECTURE.md.

use std::time::Duration;

use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Between tries while the stream has no leader or the link is down.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Upper end of the doubling.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The program is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The message itself cannot be stored: a retry would fail for ever.
    #[error("the server cannot store this message")]
    Refused(#[source] jetstream::context::PublishError),
}

/// Publishes and awaits the PubAck, for as long as it takes; gives the stream sequence.
pub async fn until_stored(
    js: &jetstream::Context,
    subject: &str,
    headers: HeaderMap,
    payload: Bytes,
    shutdown: &CancellationToken,
) -> Result<u64, PublishError> {
    let mut delay = RETRY_DELAY;
    loop {
        let error = match js.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone()).await
        {
            Ok(ack) => match ack.await {
                Ok(ack) => return Ok(ack.sequence),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if is_permanent(&error) {
            return Err(PublishError::Refused(error));
        }
        tracing::warn!(error = %chain(&error), subject, "not stored yet; trying again");
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(PublishError::ShuttingDown),
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(RETRY_DELAY_MAX),
        }
    }
}

/// Whether the same message could never be stored (too large), as opposed to not now (no leader, full stream).
pub fn is_permanent(error: &jetstream::context::PublishError) -> bool {
    use jetstream::context::PublishErrorKind;
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return true;
    }
    // 10054: message size exceeds maximum allowed by the stream.
    api_code(error) == Some(10_054)
}

/// JetStream's own error code inside a publish error.
pub fn api_code(error: &jetstream::context::PublishError) -> Option<u64> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<jetstream::Error>().map(|error| error.error_code().0)
}

/// An error with everything behind it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
