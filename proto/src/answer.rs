//! What the relay sends back to a jail. An agent believes an answer only with the signature of a node of its registry.

use std::fmt;

use prost::Message;

use crate::{
    envelope::{self, Digest, PayloadType},
    field::{self, FieldError},
    ids::{EventId, NodeId, Ori, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    notice::{NoticeError, open_by_any},
    provenance::Provenance,
    subject::AnswerKind,
    time::{self, Moment},
    vocabulary::RefusalCode,
    wire,
};

/// Signed by a relay node, to one facility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who wrote it.
    pub provenance: Provenance,
    /// To which facility.
    pub ori: Ori,
    /// When.
    pub at: Moment,
    /// By which node.
    pub relay_node: NodeId,
    /// What.
    pub body: Body,
}

/// The five answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These events were committed.
    Acceptance(Vec<AcceptedEvent>),
    /// This one was not.
    Refusal(Refusal),
    /// Receipts, as the subscribers signed them.
    Progress(Vec<RelayedReceipt>),
    /// A subscriber's request, as it signed it.
    Request(RelayedRequest),
    /// Numbers that the relay misses.
    Resend(ResendRequest),
}

/// One committed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedEvent {
    /// Which.
    pub event_id: EventId,
    /// SHA-256 of the jail's message: the outbox row retires only when it is its own.
    pub digest: Digest,
    /// Who is told.
    pub recipients: Vec<SubscriberId>,
    /// Hold a disclosure, matched no subscription.
    pub unsubscribed: Vec<SubscriberId>,
    /// Registry by which it was routed.
    pub registry_version: u64,
    /// Its predecessor had not been routed.
    pub predecessor_missing: bool,
    /// Stored on INGEST.
    pub t4_stored: Moment,
    /// Routed.
    pub t5_routed: Moment,
}

/// What was refused, and whether the same bytes may be accepted later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When it could be read.
    pub event_id: Option<EventId>,
    /// SHA-256 of the jail's message.
    pub digest: Digest,
    /// Why.
    pub code: RefusalCode,
    /// False: send the same bytes again.
    pub permanent: bool,
    /// In words, without person data.
    pub text: String,
}

/// A receipt on its way to the jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayedReceipt {
    /// The subscriber's signed envelope.
    pub receipt: Vec<u8>,
    /// Stored on RECEIPTS.
    pub stored: Moment,
    /// Sequence there.
    pub receipts_sequence: u64,
}

/// What the relay does not hold: the jail sends the same bytes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResendRequest {
    /// Of the agent's store.
    pub epoch: String,
    /// Ascending; at least one, at most `limits::SEQS_PER_RESEND_MAX`.
    pub seqs: Vec<u64>,
}

/// A request on its way to the jail. It may hold person data: Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayedRequest {
    /// The subscriber's signed envelope.
    pub request: Vec<u8>,
    /// Stored on REQUESTS.
    pub stored: Moment,
}

impl fmt::Debug for RelayedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayedRequest({} bytes)", self.request.len())
    }
}

/// UNKNOWN_KEY and UNSUPPORTED_VERSION may pass when the registry or the relay is newer; nothing else may.
pub fn is_permanent(code: RefusalCode) -> bool {
    !matches!(code, RefusalCode::UnknownKey | RefusalCode::UnsupportedVersion)
}

impl Answer {
    /// The last token of the subject it is published on.
    pub fn kind(&self) -> AnswerKind {
        match self.body {
            Body::Acceptance(_) => AnswerKind::Accepted,
            Body::Refusal(_) => AnswerKind::Refused,
            Body::Progress(_) => AnswerKind::Progress,
            Body::Request(_) => AnswerKind::Request,
            Body::Resend(_) => AnswerKind::Resend,
        }
    }

    /// Signs it.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Answer, wire::Answer::from(self).encode_to_vec())
    }

    /// Opens what a node signed.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, NoticeError> {
        let payload = open_by_any(bytes, PayloadType::Answer, relay_keys)?;
        Ok(wire::Answer::decode(&*payload).map_err(|_| FieldError::undecodable("answer"))?.try_into()?)
    }
}

impl TryFrom<wire::Answer> for Answer {
    type Error = FieldError;
    fn try_from(w: wire::Answer) -> Result<Self, FieldError> {
        use wire::answer::Answer as W;
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            ori: field::parse_id("answer.ori", &w.ori)?,
            at: time::required("answer.at", w.at)?,
            relay_node: field::parse_id("answer.relay_node", &w.relay_node)?,
            body: match w.answer.ok_or(FieldError::missing("answer.answer"))? {
                W::Acceptance(a) => Body::Acceptance(
                    a.events.into_iter().map(AcceptedEvent::try_from).collect::<Result<_, _>>()?,
                ),
                W::Refusal(r) => Body::Refusal(r.try_into()?),
                W::Progress(p) => Body::Progress(
                    p.receipts.into_iter().map(RelayedReceipt::try_from).collect::<Result<_, _>>()?,
                ),
                W::Request(r) => Body::Request(RelayedRequest {
                    request: r.request,
                    stored: time::required("answer.request.stored", r.stored)?,
                }),
                W::Resend(r) => Body::Resend(r.try_into()?),
            },
        })
    }
}

impl From<Answer> for wire::Answer {
    fn from(a: Answer) -> Self {
        use wire::answer::Answer as W;
        Self {
            provenance: Some(a.provenance.into()),
            ori: a.ori.into(),
            at: Some(a.at.into()),
            relay_node: a.relay_node.into(),
            answer: Some(match a.body {
                Body::Acceptance(events) => {
                    W::Acceptance(wire::Acceptance { events: events.into_iter().map(Into::into).collect() })
                }
                Body::Refusal(r) => W::Refusal(r.into()),
                Body::Progress(receipts) => {
                    W::Progress(wire::Progress { receipts: receipts.into_iter().map(Into::into).collect() })
                }
                Body::Request(r) => {
                    W::Request(wire::RelayedRequest { request: r.request, stored: Some(r.stored.into()) })
                }
                Body::Resend(r) => W::Resend(r.into()),
            }),
        }
    }
}

fn subscribers(field: &'static str, ids: &[String]) -> Result<Vec<SubscriberId>, FieldError> {
    ids.iter().map(|id| field::parse_id(field, id)).collect()
}

impl TryFrom<wire::AcceptedEvent> for AcceptedEvent {
    type Error = FieldError;
    fn try_from(w: wire::AcceptedEvent) -> Result<Self, FieldError> {
        Ok(Self {
            event_id: field::parse_id("acceptance.event_id", &w.event_id)?,
            digest: field::digest("acceptance.digest", &w.digest)?,
            recipients: subscribers("acceptance.recipients", &w.recipients)?,
            unsubscribed: subscribers("acceptance.unsubscribed", &w.unsubscribed)?,
            registry_version: w.registry_version,
            predecessor_missing: w.predecessor_missing,
            t4_stored: time::required("acceptance.t4_stored", w.t4_stored)?,
            t5_routed: time::required("acceptance.t5_routed", w.t5_routed)?,
        })
    }
}

impl From<AcceptedEvent> for wire::AcceptedEvent {
    fn from(e: AcceptedEvent) -> Self {
        Self {
            event_id: e.event_id.into(),
            digest: e.digest.to_vec(),
            recipients: e.recipients.into_iter().map(Into::into).collect(),
            unsubscribed: e.unsubscribed.into_iter().map(Into::into).collect(),
            registry_version: e.registry_version,
            predecessor_missing: e.predecessor_missing,
            t4_stored: Some(e.t4_stored.into()),
            t5_routed: Some(e.t5_routed.into()),
        }
    }
}

impl TryFrom<wire::Refusal> for Refusal {
    type Error = FieldError;
    fn try_from(w: wire::Refusal) -> Result<Self, FieldError> {
        Ok(Self {
            event_id: field::optional_id("refusal.event_id", &w.event_id)?,
            digest: field::digest("refusal.digest", &w.digest)?,
            code: RefusalCode::from_wire("refusal.code", w.code)?,
            permanent: w.permanent,
            text: w.text,
        })
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(r: Refusal) -> Self {
        Self {
            event_id: r.event_id.map(Into::into).unwrap_or_default(),
            digest: r.digest.to_vec(),
            code: r.code.into(),
            permanent: r.permanent,
            text: r.text,
        }
    }
}

impl TryFrom<wire::ResendRequest> for ResendRequest {
    type Error = FieldError;
    fn try_from(w: wire::ResendRequest) -> Result<Self, FieldError> {
        let field = "answer.resend.seqs";
        if w.seqs.is_empty() {
            return Err(FieldError::missing(field));
        }
        if w.seqs.len() > limits::SEQS_PER_RESEND_MAX {
            return Err(FieldError::over(field, w.seqs.len(), limits::SEQS_PER_RESEND_MAX));
        }
        if w.seqs[0] == 0 || !w.seqs.is_sorted_by(|a, b| a < b) {
            return Err(FieldError::malformed(field, "ascending, from 1"));
        }
        Ok(Self { epoch: field::required("answer.resend.epoch", w.epoch)?, seqs: w.seqs })
    }
}

impl From<ResendRequest> for wire::ResendRequest {
    fn from(r: ResendRequest) -> Self {
        Self { epoch: r.epoch, seqs: r.seqs }
    }
}

impl TryFrom<wire::RelayedReceipt> for RelayedReceipt {
    type Error = FieldError;
    fn try_from(w: wire::RelayedReceipt) -> Result<Self, FieldError> {
        Ok(Self {
            receipt: w.receipt,
            stored: time::required("progress.stored", w.stored)?,
            receipts_sequence: w.receipts_sequence,
        })
    }
}

impl From<RelayedReceipt> for wire::RelayedReceipt {
    fn from(r: RelayedReceipt) -> Self {
        Self { receipt: r.receipt, stored: Some(r.stored.into()), receipts_sequence: r.receipts_sequence }
    }
}
