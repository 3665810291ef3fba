//! Keeps what was refused, as it came, for a person; written before INGEST is settled.

use async_nats::HeaderMap;
use sallyport_link::{clock, publish};
use sallyport_proto::{
    operations::Parked,
    subject,
    vocabulary::{RefusalCode, SourceClock},
};

use crate::{
    intake::{Pulled, Refused},
    node::Node,
};

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
