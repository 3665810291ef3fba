//! Keeps what was refused, as it came, for a person; written before INGEST is settled.

use async_nats::HeaderMap;
use prost::Message;
use sallyport_link::{clock, publish};
use sallyport_proto::{
    envelope::{self, PayloadType},
    subject,
    vocabulary::{RefusalCode, SourceClock},
    wire,
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
    let record = wire::Parked {
        provenance: Some(node.provenance().into()),
        reason: refused.code.as_str().to_owned(),
        text: refused.text.clone(),
        subject: pulled.message.subject.to_string(),
        stream_sequence: pulled.sequence,
        original: pulled.message.payload.to_vec(),
        at: Some(clock::moment(SourceClock::Relay).into()),
        relay_node: node.name.to_string(),
        stream: subject::INGEST.to_owned(),
    };
    let bytes = envelope::seal(&node.signer, PayloadType::Parked, record.encode_to_vec());
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
