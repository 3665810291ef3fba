//! Settles JetStream messages. `double_ack` returns Ok on a 503 and for a message already acked, so the status of the
//! answer is checked here (docs/nats.md 25).

use std::time::Duration;

use async_nats::{Client, StatusCode, jetstream};

/// The message stays ours until the server confirmed that it is settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A message that JetStream did not deliver.
    #[error("message has no reply subject")]
    NoReply,
    /// The server did not answer in time, or not at all.
    #[error("no confirmation")]
    Request(#[source] async_nats::RequestError),
    /// The server answered with an error status.
    #[error("server answered with status {0}")]
    Status(StatusCode),
}

/// Acks and waits for the server's confirmation. Use it where a redelivery would be work that cannot be repeated cheaply.
pub async fn settle(client: &Client, message: &jetstream::Message) -> Result<(), SettleError> {
    let reply = message.reply.clone().ok_or(SettleError::NoReply)?;
    let answer = client.request(reply, "+ACK".into()).await.map_err(SettleError::Request)?;
    match answer.status {
        None => Ok(()),
        Some(status) if status.is_success() => Ok(()),
        Some(status) => Err(SettleError::Status(status)),
    }
}

/// Acks without waiting: where a redelivery is harmless.
pub async fn ack(message: &jetstream::Message) {
    if let Err(error) = message.ack().await {
        tracing::debug!(%error, "plain ack not sent; the message comes again");
    }
}

/// Asks for redelivery after `delay`. A bare NAK would redeliver at once, in a tight loop.
pub async fn nak_after(message: &jetstream::Message, delay: Duration) {
    if let Err(error) = message.ack_with(jetstream::AckKind::Nak(Some(delay))).await {
        tracing::debug!(%error, "nak not sent; the message comes again after ack_wait");
    }
}

/// Tells the server that work goes on, so that ack_wait starts again.
pub async fn in_progress(message: &jetstream::Message) {
    if let Err(error) = message.ack_with(jetstream::AckKind::Progress).await {
        tracing::debug!(%error, "progress not sent");
    }
}
