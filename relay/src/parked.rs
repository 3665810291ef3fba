//! Keeps what was refused, as it came, for a person; written before INGEST or RECEIPTS is settled.

use async_nats::{HeaderMap, jetstream};
use sallyport_link::{clock, publish};
use sallyport_proto::{
    ids::SubscriberId,
    operations::Parked,
    subject,
    vocabulary::{RefusalCode, SourceClock},
};
use sallyport_relay_core::admit::Refused;

use crate::{intake::Pulled, node::Node};

/// A receipt whose author or facility no registry came to know.
pub(crate) const UNPLACED: &str = "receipt_unplaced";
/// A receipt that is larger than any may be, or that no answer to a jail can carry.
pub(crate) const TOO_LARGE: &str = "receipt_too_large";

/// Parks what came on a subscriber's subject and can never be passed on; done when it is stored, or when it can never
/// be: it lies on RECEIPTS as it came.
pub(crate) async fn park_receipt(
    node: &Node,
    from: &SubscriberId,
    message: &jetstream::Message,
    reason: &'static str,
    text: String,
) -> Result<(), publish::PublishError> {
    let record = Parked {
        provenance: node.provenance(),
        reason: reason.to_owned(),
        text: Some(text),
        subject: message.subject.to_string(),
        stream: subject::RECEIPTS.to_owned(),
        stream_sequence: message.info().map(|info| info.stream_sequence).unwrap_or_default(),
        original: message.payload.to_vec(),
        at: clock::moment(SourceClock::Relay),
        relay_node: node.name.clone(),
    };
    let bytes = record.seal(&node.signer);
    let subject = subject::hub_parked_receipt(reason, from);
    match publish::until_stored(&node.js, &subject, HeaderMap::new(), bytes.into(), &node.shutdown).await {
        Ok(_) => node.metrics.parked(reason),
        Err(error @ publish::PublishError::Refused(_)) => {
            tracing::error!(subject = %message.subject, error = %publish::chain(&error), "not parked; it stays on RECEIPTS");
        }
        Err(error @ publish::PublishError::ShuttingDown) => return Err(error),
    }
    Ok(())
}

/// Parks one message; done when it is stored.
pub(crate) async fn park(
    node: &Node,
    pulled: &Pulled,
    refused: &Refused,
) -> Result<(), publish::PublishError> {
    let reason = token(refused.code);
    let record = Parked {
        provenance: node.provenance(),
        reason: refused.code.as_str().to_owned(),
        text: Some(refused.text.clone()).filter(|text| !text.is_empty()),
        subject: pulled.message.subject.to_string(),
        stream: subject::INGEST.to_owned(),
        stream_sequence: pulled.sequence,
        original: pulled.message.payload.to_vec(),
        at: clock::moment(SourceClock::Relay),
        relay_node: node.name.clone(),
    };
    let bytes = record.seal(&node.signer);
    // st and ori from the subject the message came on: what it claims of itself is not believed.
    let (st, ori) = &pulled.from;
    let subject = subject::hub_parked(&reason, st, ori);
    publish::until_stored(&node.js, &subject, HeaderMap::new(), bytes.into(), &node.shutdown).await?;
    node.metrics.parked(&reason);
    Ok(())
}

fn token(code: RefusalCode) -> String {
    code.as_str().to_ascii_lowercase()
}
