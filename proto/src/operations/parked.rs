//! What was refused, kept for a person with its original bytes. Those may hold person data: Debug does not show them.

use std::fmt;

use prost::Message;

use crate::{
    envelope::{self, PayloadType},
    field::{self, FieldError},
    ids::NodeId,
    key::{Signer, SigningKey},
    limits,
    provenance::Provenance,
    signed::{self, SignedError},
    time::{self, Moment},
    wire,
};

/// Signed by the relay node that refused it.
#[derive(Clone, PartialEq, Eq)]
pub struct Parked {
    /// Who wrote it.
    pub provenance: Provenance,
    /// Why, as one token of its subject.
    pub reason: String,
    /// Why, in words, without person data.
    pub text: Option<String>,
    /// The subject it came on.
    pub subject: String,
    /// The stream it came from.
    pub stream: String,
    /// Its sequence there.
    pub stream_sequence: u64,
    /// The bytes as they came.
    pub original: Vec<u8>,
    /// When it was refused.
    pub at: Moment,
    /// By which node.
    pub relay_node: NodeId,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, stream, stream_sequence, original, .. } = self;
        write!(f, "Parked({reason}, {stream} {stream_sequence}, {} bytes)", original.len())
    }
}

impl Parked {
    /// Signs it: the bytes that go to PARKED.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Parked, wire::Parked::from(self).encode_to_vec())
    }

    /// Opens what a node signed.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, SignedError> {
        signed::open_by_relay::<wire::Parked, _>(bytes, PayloadType::Parked, relay_keys, "parked")
    }
}

impl TryFrom<wire::Parked> for Parked {
    type Error = FieldError;
    fn try_from(w: wire::Parked) -> Result<Self, FieldError> {
        if w.text.len() > limits::TEXT_BYTES_MAX {
            return Err(FieldError::over("parked.text", w.text.len(), limits::TEXT_BYTES_MAX));
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            reason: field::required("parked.reason", w.reason)?,
            text: field::optional(w.text),
            subject: field::required("parked.subject", w.subject)?,
            stream: field::required("parked.stream", w.stream)?,
            stream_sequence: w.stream_sequence,
            original: w.original,
            at: time::required("parked.at", w.at)?,
            relay_node: field::parse_id("parked.relay_node", &w.relay_node)?,
        })
    }
}

impl From<Parked> for wire::Parked {
    fn from(p: Parked) -> Self {
        Self {
            provenance: Some(p.provenance.into()),
            reason: p.reason,
            text: p.text.unwrap_or_default(),
            subject: p.subject,
            stream_sequence: p.stream_sequence,
            original: p.original,
            at: Some(p.at.into()),
            relay_node: p.relay_node.into(),
            stream: p.stream,
        }
    }
}
