//! Whether a desk can be reached, and who stands in for it. Senders see it before sending; it silences no notice.

use prost::Message;

use crate::{
    envelope::{self, PayloadType},
    field::{self, FieldError, FieldProblem},
    ids::{AvailabilityId, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    signed::{self, SignedError},
    time::{self, Moment},
    vocabulary::AvailabilityKind,
    wire,
};

/// Signed by the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// Who wrote it.
    pub provenance: Provenance,
    /// UUIDv7.
    pub availability_id: AvailabilityId,
    /// Whose desk.
    pub subscriber: SubscriberId,
    /// How it stands.
    pub kind: AvailabilityKind,
    /// From when.
    pub start: Moment,
    /// Until when; open when nobody knows.
    pub end: Option<Moment>,
    /// For DIVERT_TO and only there: the other subscriber, which must hold a disclosure of its own.
    pub divert_to: Option<SubscriberId>,
    /// For people.
    pub text: Option<String>,
    /// Role or badge id, or `machine`.
    pub by_whom: String,
    /// Real or not.
    pub traffic: TrafficClass,
    /// Under which agreement; none: under all of the subscriber's.
    pub agreement: Option<AgreementId>,
}

impl Availability {
    /// Signs it: the bytes that travel.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Availability, wire::Availability::from(self).encode_to_vec())
    }

    /// Reads the claimed availability without checking its signature: to find whose key to ask for.
    pub fn claimed(bytes: &[u8]) -> Result<Self, SignedError> {
        signed::claimed::<wire::Availability, _>(bytes, PayloadType::Availability, "availability")
    }

    /// Opens what `key` signed.
    pub fn open(bytes: &[u8], key: &SigningKey) -> Result<Self, SignedError> {
        signed::open::<wire::Availability, _>(bytes, PayloadType::Availability, key, "availability")
    }
}

impl TryFrom<wire::Availability> for Availability {
    type Error = FieldError;
    fn try_from(w: wire::Availability) -> Result<Self, FieldError> {
        let disagrees = |field, other| FieldError { field, problem: FieldProblem::Disagrees { other } };
        let kind = AvailabilityKind::from_wire("availability.kind", w.kind)?;
        let subscriber: SubscriberId = field::parse_id("availability.subscriber_id", &w.subscriber_id)?;
        let divert_to: Option<SubscriberId> = field::optional_id("availability.divert_to", &w.divert_to)?;
        match (kind, &divert_to) {
            (AvailabilityKind::DivertTo, None) => {
                return Err(FieldError::missing("availability.divert_to"));
            }
            (AvailabilityKind::DivertTo, Some(other)) if *other == subscriber => {
                return Err(disagrees("availability.divert_to", "availability.subscriber_id"));
            }
            (AvailabilityKind::DivertTo, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(disagrees("availability.divert_to", "availability.kind")),
        }
        if w.text.len() > limits::TEXT_BYTES_MAX {
            return Err(FieldError::over("availability.text", w.text.len(), limits::TEXT_BYTES_MAX));
        }
        let start = time::required("availability.start", w.start)?;
        let end = time::optional("availability.end", w.end)?;
        if end.is_some_and(|end| end.at < start.at) {
            return Err(disagrees("availability.end", "availability.start"));
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            availability_id: field::parse_id("availability.availability_id", &w.availability_id)?,
            subscriber,
            kind,
            start,
            end,
            divert_to,
            text: field::optional(w.text),
            by_whom: field::required("availability.by_whom", w.by_whom)?,
            traffic: TrafficClass::checked(w.traffic)?,
            agreement: AgreementId::optional("availability.agreement", w.agreement)?,
        })
    }
}

impl From<Availability> for wire::Availability {
    fn from(a: Availability) -> Self {
        Self {
            provenance: Some(a.provenance.into()),
            availability_id: a.availability_id.into(),
            subscriber_id: a.subscriber.into(),
            kind: a.kind.into(),
            start: Some(a.start.into()),
            end: a.end.map(Into::into),
            divert_to: a.divert_to.map(Into::into).unwrap_or_default(),
            text: a.text.unwrap_or_default(),
            by_whom: a.by_whom,
            traffic: Some(a.traffic.into()),
            agreement: a.agreement.map(Into::into),
        }
    }
}
