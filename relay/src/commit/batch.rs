//! Atomic batch publish (ADR-50 of NATS) by hand: all messages of a batch are stored, or none.

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use sallyport_link::{connect::JETSTREAM_TIMEOUT, fault};
use serde::Deserialize;

/// One message of a batch.
pub(super) struct Entry {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    /// The subject must hold no message yet.
    pub(super) first_of_subject: bool,
}

/// JetStream's limit is 1,000 messages a batch; under it with room for a last event's notices.
pub(super) const ENTRIES_MAX: usize = 900;

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
}

#[derive(Deserialize)]
struct ApiError {
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The subject already holds a message, or may hold one of a batch in flight: another node was first.
pub(super) fn means_taken(code: u64) -> bool {
    matches!(code, 10_071 | 10_164)
}

/// The stream or the store is full: nothing can be stored now, whatever the batch.
pub(super) fn means_full(code: u64) -> bool {
    matches!(code, 10_077 | 10_047 | 10_023)
}

/// Publishes all of `entries`, at most `ENTRIES_MAX`.
pub(super) async fn publish(client: &Client, batch_id: &str, entries: &[Entry]) -> Result<(), BatchError> {
    let Some((last, rest)) = entries.split_last() else { return Ok(()) };
    let unknown = |error: &dyn std::error::Error| BatchError::Unknown(sallyport_link::publish::chain(error));
    for (n, entry) in rest.iter().enumerate() {
        let headers = headers(batch_id, n + 1, entry);
        client
            .publish_with_headers(entry.subject.clone(), headers, entry.payload.clone())
            .await
            .map_err(|error| unknown(&error))?;
    }
    let mut headers = headers(batch_id, entries.len(), last);
    headers.insert("Nats-Batch-Commit", "1");
    fault::point("relay.commit.before-last-message");
    let request = async_nats::Request::new()
        .headers(headers)
        .payload(last.payload.clone())
        .timeout(Some(JETSTREAM_TIMEOUT));
    let answer = client.send_request(last.subject.clone(), request).await.map_err(|error| unknown(&error))?;
    fault::point("relay.commit.after-batch-ack");
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| unknown(&error))?;
    match answer.error {
        Some(error) => Err(BatchError::Refused { code: error.err_code, description: error.description }),
        None if answer.count == entries.len() => Ok(()),
        None => Err(BatchError::Unknown(format!("{} of {} messages committed", answer.count, entries.len()))),
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
