//! Atomic batch publish (ADR-50 of NATS) by hand: all messages of a batch are stored, or none.

use async_nats::{Client, HeaderMap};
use sallyport_link::{connect::JETSTREAM_TIMEOUT, fault};
use sallyport_relay_core::commit::{Entry, NotConfirmed};
use serde::Deserialize;

/// Why a batch was not confirmed. Its outcome is open in every case: only the stream says.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    /// The server answered with an error code. A hint, no proof.
    #[error("server refused the batch with code {code}: {description}")]
    Refused { code: u64, description: String },
    /// No answer, or none that could be read.
    #[error("no answer to the batch: {0}")]
    Unknown(String),
}

#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
    #[serde(default)]
    count: usize,
    #[serde(default)]
    seq: u64,
}

#[derive(Deserialize)]
struct ApiError {
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl BatchError {
    /// What the server's code says, as far as it says anything (docs/nats.md 23).
    pub(super) fn means(&self) -> NotConfirmed {
        match self {
            Self::Unknown(_) => NotConfirmed::Unknown,
            // The subject holds a message, or may hold one of a batch in flight.
            Self::Refused { code: 10_071 | 10_164, .. } => NotConfirmed::Taken,
            // The stream, the store or the cluster takes nothing now.
            Self::Refused { code: 10_077 | 10_047 | 10_023, .. } => NotConfirmed::Full,
            Self::Refused { code: 10_054, .. } => NotConfirmed::TooLarge,
            Self::Refused { .. } => NotConfirmed::Refused,
        }
    }
}

/// Publishes all of `entries` as one batch; gives the sequence of the last.
pub(super) async fn publish(client: &Client, batch_id: &str, entries: Vec<Entry>) -> Result<u64, BatchError> {
    let count = entries.len();
    let mut rest = entries;
    let Some(last) = rest.pop() else { return Err(BatchError::Unknown("nothing to publish".into())) };
    let unknown = |error: &dyn std::error::Error| BatchError::Unknown(sallyport_link::publish::chain(error));
    for (entry, n) in rest.into_iter().zip(1..) {
        let headers = headers(batch_id, n, &entry);
        client
            .publish_with_headers(entry.subject, headers, entry.payload.into())
            .await
            .map_err(|error| unknown(&error))?;
    }
    let mut headers = headers(batch_id, count, &last);
    headers.insert("Nats-Batch-Commit", "1");
    fault::point("relay.commit.before-last-message");
    let request = async_nats::Request::new()
        .headers(headers)
        .payload(last.payload.into())
        .timeout(Some(JETSTREAM_TIMEOUT));
    let answer = client.send_request(last.subject, request).await.map_err(|error| unknown(&error))?;
    fault::point("relay.commit.after-batch-ack");
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| unknown(&error))?;
    match answer.error {
        Some(error) => Err(BatchError::Refused { code: error.err_code, description: error.description }),
        None if answer.count == count => Ok(answer.seq),
        None => Err(BatchError::Unknown(format!("{} of {count} messages committed", answer.count))),
    }
}

fn headers(batch_id: &str, sequence: usize, entry: &Entry) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Batch-Id", batch_id);
    headers.insert("Nats-Batch-Sequence", sequence.to_string());
    if entry.first_of_subject {
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    }
    headers
}
