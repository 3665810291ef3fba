//! Writes a stream's part of an archive, message by message at the sequence it had; what was not confirmed is looked up in
//! the stream, which alone says how far it is.

use std::path::Path;

use async_nats::{
    HeaderMap,
    jetstream::{self, context::PublishAckFuture, message::PublishMessage},
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use sallyport_link::publish::chain as error_chain;
use tokio::sync::mpsc;

use super::{Error, IN_FLIGHT_MAX, READ_AHEAD_MAX, RETRY_DELAY, TRIES_MAX, info};
use crate::{
    archive::{
        chain::{self, Whole},
        segment::Record,
    },
    config::Config,
};

/// Writes everything but the first `skip` messages; gives the stream's last sequence.
pub(super) async fn write(
    js: &jetstream::Context,
    config: &Config,
    from: &Path,
    stream: &'static str,
    whole: &Whole,
    first: u64,
    skip: u64,
) -> Result<u64, Error> {
    let mut done = skip;
    let mut tries = 0;
    while done < whole.records {
        let before = done;
        let outcome = write_from(js, config, from, stream, first, done).await;
        // Whatever was confirmed or not: the stream says how far it is.
        let info = info(js, stream).await;
        match (&outcome, info) {
            (Err(error @ Error::Chain(_)), _) => {
                tracing::error!(stream, error = %error_chain(error), "the archive changed while it was read");
                return outcome.map(|()| 0);
            }
            (_, Ok(Some(info))) => done = (info.state.last_sequence + 1).saturating_sub(first),
            (_, Ok(None)) => done = 0,
            (_, Err(error)) => {
                tracing::warn!(stream, error = %error_chain(&error), "cannot look how far it is")
            }
        }
        let Err(error) = outcome else { continue };
        tries = if done > before { 0 } else { tries + 1 };
        if tries > TRIES_MAX {
            return Err(error);
        }
        tracing::warn!(stream, done, error = %error_chain(&error), "not confirmed; going on from where the stream is");
        tokio::time::sleep(RETRY_DELAY).await;
    }
    Ok(first + whole.records - 1)
}

/// One run through the archive, from message `skip` on, until the end or the first message that is not confirmed.
async fn write_from(
    js: &jetstream::Context,
    config: &Config,
    from: &Path,
    stream: &'static str,
    first: u64,
    skip: u64,
) -> Result<(), Error> {
    let (to_writer, mut records) = mpsc::channel::<Record>(READ_AHEAD_MAX);
    let (folder, instance) = (from.to_owned(), config.instance.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut n = 0;
        chain::verify(&folder, &instance, stream, |record| {
            n += 1;
            if n > skip {
                // The writer went away: the rest is only verified.
                let _ = to_writer.blocking_send(record);
            }
        })
    });
    let mut at = first + skip;
    let mut acks: FuturesOrdered<<PublishAckFuture as IntoFuture>::IntoFuture> = FuturesOrdered::new();
    let stuck =
        |at: u64, error: &dyn std::error::Error| Error::Stuck { stream, at, reason: error_chain(error) };
    while let Some(record) = records.recv().await {
        if acks.len() >= IN_FLIGHT_MAX
            && let Some(acked) = acks.next().await
        {
            acked.map_err(|error| stuck(at, &error))?;
        }
        let message = PublishMessage::build()
            .payload(record.payload.into())
            .headers(headers(&record.headers))
            .expected_last_sequence(at - 1);
        let sent = js.send_publish(record.subject, message).await.map_err(|error| stuck(at, &error))?;
        acks.push_back(sent.into_future());
        at += 1;
    }
    while let Some(acked) = acks.next().await {
        acked.map_err(|error| stuck(at, &error))?;
    }
    match reading.await {
        Ok(read) => read.map(drop).map_err(Error::from),
        Err(error) => Err(Error::Stuck { stream, at, reason: error.to_string() }),
    }
}

/// What was asked of the broker the first time is not asked again.
fn headers(archived: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in archived.iter().filter(|(name, _)| !name.to_ascii_lowercase().starts_with("nats-")) {
        headers.append(name.as_str(), value.as_str());
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn headers_of_the_broker_are_left_out_and_others_kept() {
        let archived = [
            ("Nats-Batch-Id", "b"),
            ("Nats-Batch-Sequence", "1"),
            ("Nats-Batch-Commit", "1"),
            ("Nats-Expected-Last-Subject-Sequence", "0"),
            ("Nats-Msg-Id", "x.1"),
            ("traceparent", "00-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let kept = headers(&archived);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept.get("traceparent").unwrap().as_str(), "00-1");
    }
}
