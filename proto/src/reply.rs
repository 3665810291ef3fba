//! What a jail says to a request. RECEIVED goes out before any matching, so that its speed says nothing about the person.
//!
//! Out of scope: how the jail decides (its rules), and receipts, which are the subscriber's.

use prost::Message;

use crate::{
    envelope::{self, Digest, PayloadType},
    field::{self, FieldError},
    ids::{CustodyKey, Ori, RequestId, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    signed::{self, SignedError},
    time::{self, Moment},
    vocabulary::ReplyKind,
    wire,
};

/// Signed by the facility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Who wrote it.
    pub provenance: Provenance,
    /// To which request.
    pub request_id: RequestId,
    /// SHA-256 of the subscriber's signed envelope.
    pub request_digest: Digest,
    /// Whose request.
    pub subscriber: SubscriberId,
    /// The jail that says it.
    pub ori: Ori,
    /// What it says.
    pub kind: ReplyKind,
    /// The rule it rests on; required for DECLINED.
    pub rule_id: Option<String>,
    /// Where the rule is written; required for DECLINED.
    pub citation: Option<String>,
    /// Version of the rules.
    pub pack_version: Option<String>,
    /// In words, without person data.
    pub text: Option<String>,
    /// When it was decided.
    pub at: Moment,
    /// The custody whose release will be told, where even that may be said.
    pub custody_key: Option<CustodyKey>,
    /// Real or not.
    pub traffic: TrafficClass,
    /// Under which agreement.
    pub agreement: Option<AgreementId>,
    /// Who decided a referred one: role or badge id.
    pub by_whom: Option<String>,
}

impl Reply {
    /// Signs it and gives the `Ingest` message as it will travel.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        let reply = envelope::seal(signer, PayloadType::Reply, wire::Reply::from(self).encode_to_vec());
        wire::Ingest { item: Some(wire::ingest::Item::Reply(reply)) }.encode_to_vec()
    }

    /// Reads the claimed reply from its envelope without checking the signature.
    pub fn claimed(envelope: &[u8]) -> Result<Self, SignedError> {
        signed::claimed::<wire::Reply, _>(envelope, PayloadType::Reply, "reply")
    }

    /// Opens the envelope, the `reply` of an `Ingest` message, that `key` signed.
    pub fn open(envelope: &[u8], key: &SigningKey) -> Result<Self, SignedError> {
        signed::open::<wire::Reply, _>(envelope, PayloadType::Reply, key, "reply")
    }
}

impl TryFrom<wire::Reply> for Reply {
    type Error = FieldError;
    fn try_from(w: wire::Reply) -> Result<Self, FieldError> {
        let kind = ReplyKind::from_wire("reply.kind", w.kind)?;
        let (rule_id, citation) = (field::optional(w.rule_id), field::optional(w.citation));
        if kind == ReplyKind::Declined && rule_id.is_none() {
            return Err(FieldError::missing("reply.rule_id"));
        }
        if kind == ReplyKind::Declined && citation.is_none() {
            return Err(FieldError::missing("reply.citation"));
        }
        if w.text.len() > limits::TEXT_BYTES_MAX {
            return Err(FieldError::over("reply.text", w.text.len(), limits::TEXT_BYTES_MAX));
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            request_id: field::parse_id("reply.request_id", &w.request_id)?,
            request_digest: field::digest("reply.request_digest", &w.request_digest)?,
            subscriber: field::parse_id("reply.subscriber_id", &w.subscriber_id)?,
            ori: field::parse_id("reply.ori", &w.ori)?,
            kind,
            rule_id,
            citation,
            pack_version: field::optional(w.pack_version),
            text: field::optional(w.text),
            at: time::required("reply.at", w.at)?,
            custody_key: field::optional_id("reply.custody_key", &w.custody_key)?,
            traffic: TrafficClass::checked(w.traffic)?,
            agreement: AgreementId::optional("reply.agreement", w.agreement)?,
            by_whom: field::optional(w.by_whom),
        })
    }
}

impl From<Reply> for wire::Reply {
    fn from(r: Reply) -> Self {
        Self {
            provenance: Some(r.provenance.into()),
            request_id: r.request_id.into(),
            subscriber_id: r.subscriber.into(),
            ori: r.ori.into(),
            kind: r.kind.into(),
            rule_id: r.rule_id.unwrap_or_default(),
            citation: r.citation.unwrap_or_default(),
            pack_version: r.pack_version.unwrap_or_default(),
            text: r.text.unwrap_or_default(),
            at: Some(r.at.into()),
            custody_key: r.custody_key.map(Into::into).unwrap_or_default(),
            traffic: Some(r.traffic.into()),
            agreement: r.agreement.map(Into::into),
            request_digest: r.request_digest.to_vec(),
            by_whom: r.by_whom.unwrap_or_default(),
        }
    }
}
