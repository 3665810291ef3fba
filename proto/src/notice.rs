//! One release event addressed to one subscriber: the jail's original bytes with the relay's words around them.

use prost::Message;

use crate::{
    envelope::{self, Digest, OpenError, PayloadType, Unverified},
    field::{self, FieldError},
    ids::{EventId, NoticeId, SubscriberId, SubscriptionId},
    key::{Signer, SigningKey},
    provenance::{AgreementId, Provenance, TrafficClass},
    time::{self, Moment},
    vocabulary::{NoticeWhy, Priority, Purpose},
    wire,
};

/// What the relay sends to a subscriber.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    /// Who wrote it.
    pub provenance: Provenance,
    /// Facility, event and subscriber.
    pub notice_id: NoticeId,
    /// 0 for the first; a duplicate is the same id and attempt.
    pub attempt: u32,
    /// Why this attempt was made.
    pub why: NoticeWhy,
    /// The jail's signed head, original bytes.
    pub head: Vec<u8>,
    /// This subscriber's disclosure, original bytes.
    pub disclosure: Vec<u8>,
    /// The subscription that matched; none when only the predecessor's recipient is told of a correction.
    pub subscription: Option<SubscriptionId>,
    /// Event whose recipient this is.
    pub predecessor: Option<EventId>,
    /// Of this notice.
    pub priority: Priority,
    /// When receipts are due.
    pub deadlines: Deadlines,
    /// Registry by which it was routed.
    pub registry_version: u64,
    /// SHA-256 of the jail's message.
    pub event_digest: Digest,
    /// Real or not.
    pub traffic: TrafficClass,
    /// The predecessor had not been routed within 60 s.
    pub predecessor_missing: bool,
    /// Stored on INGEST.
    pub t4_stored: Moment,
    /// Sequence there.
    pub ingest_sequence: u64,
    /// Routed.
    pub t5_routed: Moment,
    /// The subscriber's case, from its subscription.
    pub case_number: Option<String>,
    /// The subscriber's legal basis.
    pub legal_basis: Option<String>,
    /// What the subscriber wants to know it for.
    pub purpose: Option<Purpose>,
    /// The agreement of the disclosure.
    pub agreement: AgreementId,
}

/// Absolute times; absent where none applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadlines {
    /// RECEIVED, by the machine.
    pub received: Option<Moment>,
    /// SEEN, by a person.
    pub seen: Option<Moment>,
    /// A response.
    pub answered: Option<Moment>,
}

impl Notice {
    /// The subscriber it is addressed to.
    pub fn subscriber(&self) -> SubscriberId {
        self.notice_id.subscriber()
    }

    /// Signs it: the bytes that go to DELIVER.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Notice, wire::Notice::from(self).encode_to_vec())
    }

    /// Opens what came from DELIVER. `relay_keys` are the nodes' keys of the registry.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, NoticeError> {
        let payload = open_by_any(bytes, PayloadType::Notice, relay_keys)?;
        Ok(wire::Notice::decode(&*payload).map_err(|_| FieldError::undecodable("notice"))?.try_into()?)
    }
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notice({}#{})", self.notice_id, self.attempt)
    }
}

/// Opens an envelope that any of several nodes may have signed.
pub fn open_by_any<'k>(
    bytes: &[u8],
    payload_type: PayloadType,
    keys: impl IntoIterator<Item = &'k SigningKey>,
) -> Result<Vec<u8>, OpenError> {
    let keyid = {
        let envelope = wire::Envelope::decode(bytes).map_err(|_| OpenError::Malformed)?;
        envelope.signatures.into_iter().next().ok_or(OpenError::Malformed)?.keyid
    };
    let key = keys.into_iter().find(|key| key.as_str() == keyid).ok_or(OpenError::UnknownKey)?;
    Unverified::read(bytes, payload_type)?.verify(key)
}

/// Why bytes are not a notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// The envelope does not open.
    #[error("notice: {0}")]
    Open(#[from] OpenError),
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl TryFrom<wire::Notice> for Notice {
    type Error = FieldError;
    fn try_from(w: wire::Notice) -> Result<Self, FieldError> {
        let notice_id: NoticeId = field::parse_id("notice.notice_id", &w.notice_id)?;
        if notice_id.subscriber().as_str() != w.subscriber_id {
            return Err(FieldError {
                field: "notice.subscriber_id",
                problem: field::FieldProblem::Disagrees { other: "notice.notice_id" },
            });
        }
        let deadlines = w.deadlines.unwrap_or_default();
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            notice_id,
            attempt: w.attempt,
            why: NoticeWhy::from_wire("notice.why", w.why)?,
            head: w.head,
            disclosure: w.disclosure,
            subscription: field::optional_id("notice.subscription_id", &w.subscription_id)?,
            predecessor: field::optional_id("notice.predecessor_event_id", &w.predecessor_event_id)?,
            priority: Priority::from_wire("notice.priority", w.priority)?,
            deadlines: Deadlines {
                received: time::optional("notice.deadlines.received", deadlines.received)?,
                seen: time::optional("notice.deadlines.seen", deadlines.seen)?,
                answered: time::optional("notice.deadlines.answered", deadlines.answered)?,
            },
            registry_version: w.registry_version,
            event_digest: field::digest("notice.event_digest", &w.event_digest)?,
            traffic: TrafficClass::checked(w.traffic)?,
            predecessor_missing: w.predecessor_missing,
            t4_stored: time::required("notice.t4_stored", w.t4_stored)?,
            ingest_sequence: w.ingest_sequence,
            t5_routed: time::required("notice.t5_routed", w.t5_routed)?,
            case_number: field::optional(w.case_number),
            legal_basis: field::optional(w.legal_basis),
            purpose: match w.purpose {
                0 => None,
                value => Some(Purpose::from_wire("notice.purpose", value)?),
            },
            agreement: AgreementId::required("notice.agreement", w.agreement)?,
        })
    }
}

impl From<Notice> for wire::Notice {
    fn from(n: Notice) -> Self {
        Self {
            provenance: Some(n.provenance.into()),
            subscriber_id: n.notice_id.subscriber().into(),
            notice_id: n.notice_id.into(),
            attempt: n.attempt,
            why: n.why.into(),
            head: n.head,
            disclosure: n.disclosure,
            subscription_id: n.subscription.map(Into::into).unwrap_or_default(),
            predecessor_event_id: n.predecessor.map(Into::into).unwrap_or_default(),
            priority: n.priority.into(),
            deadlines: Some(wire::Deadlines {
                received: n.deadlines.received.map(Into::into),
                seen: n.deadlines.seen.map(Into::into),
                answered: n.deadlines.answered.map(Into::into),
            }),
            registry_version: n.registry_version,
            event_digest: n.event_digest.to_vec(),
            traffic: Some(n.traffic.into()),
            predecessor_missing: n.predecessor_missing,
            t4_stored: Some(n.t4_stored.into()),
            ingest_sequence: n.ingest_sequence,
            t5_routed: Some(n.t5_routed.into()),
            case_number: n.case_number.unwrap_or_default(),
            legal_basis: n.legal_basis.unwrap_or_default(),
            purpose: n.purpose.map(i32::from).unwrap_or_default(),
            agreement: Some(n.agreement.into()),
        }
    }
}
