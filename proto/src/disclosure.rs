//! What one subscriber may have of one event, and its part: the only place for person data.
//!
//! A disclosure is not signed by itself: the facility's signature over the head covers its SHA-256 (ADR 0002).

use std::{collections::BTreeMap, fmt};

use prost::Message;

use crate::{
    envelope::Digest,
    field::{self, FieldError, FieldProblem},
    ids::{EventId, RequestId, SubscriberId},
    limits,
    provenance::AgreementId,
    redact::Redacted,
    time::{self, Moment},
    vocabulary::{Purpose, ReleaseReason},
    wire,
};

/// A jail's decision that a subscriber may be told, with the fields it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// Random, so that the digest in the head says nothing.
    pub salt: [u8; limits::DISCLOSURE_SALT_BYTES],
    /// The event it belongs to.
    pub event_id: EventId,
    /// Who may be told.
    pub subscriber_id: SubscriberId,
    /// The request it answers.
    pub request_id: Option<RequestId>,
    /// Under which agreement.
    pub agreement: AgreementId,
    /// For what.
    pub purpose: Purpose,
    /// Which rule allowed it.
    pub rule_id: String,
    /// Version of the rules.
    pub pack_version: String,
    /// Names of the fields the part may hold.
    pub fields: Vec<String>,
    /// Absent for RETRACTED and CLOSED.
    pub part: Option<Part>,
}

/// The fields themselves. Debug shows none of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The jail's own booking number.
    pub booking_number: Option<Redacted<String>>,
    /// As the jail writes it.
    pub person_name: Option<Redacted<String>>,
    /// As the jail writes it.
    pub birth_date: Option<Redacted<String>>,
    /// FBI UCN.
    pub fbi_ucn: Option<Redacted<String>>,
    /// State identification number.
    pub state_id: Option<Redacted<String>>,
    /// A-number.
    pub alien_number: Option<Redacted<String>>,
    /// The jail's words, one per charge row, sorted.
    pub disposition_texts: Redacted<Vec<String>>,
    /// Sorted; equal ones are several counts.
    pub charges: Redacted<Vec<Charge>>,
    /// When booked.
    pub booked: Option<Moment>,
    /// Where in the jail.
    pub housing: Option<Redacted<String>>,
    /// Further mapped fields.
    pub details: Redacted<BTreeMap<String, String>>,
    /// The jail's word for the release.
    pub release_text: Option<Redacted<String>>,
    /// The reason that the head hides, where the field list names health.
    pub health_reason: Option<ReleaseReason>,
}

/// One charge row. Debug shows none of it: it is somebody's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Charge {
    /// In the jail's words.
    pub description: String,
    /// Statute code.
    pub code: String,
    /// Offence level in the jail's words.
    pub offence_level: String,
    /// Court or jurisdiction code.
    pub court: String,
    /// When the charge ended.
    pub ended: Option<Moment>,
    /// How, in the jail's words.
    pub disposition_text: String,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Charge([redacted])")
    }
}

impl Disclosure {
    /// The bytes that travel, and their digest for the head.
    pub fn encode(self) -> (Vec<u8>, Digest) {
        let bytes = wire::Disclosure::from(self).encode_to_vec();
        let digest = Digest::of(&bytes);
        (bytes, digest)
    }

    /// Reads one from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        wire::Disclosure::decode(bytes).map_err(|_| FieldError::undecodable("disclosure"))?.try_into()
    }
}

impl TryFrom<wire::Disclosure> for Disclosure {
    type Error = FieldError;
    fn try_from(w: wire::Disclosure) -> Result<Self, FieldError> {
        if !(w.sealed_enc.is_empty() && w.sealed_ciphertext.is_empty()) {
            return Err(FieldError { field: "disclosure.sealed_ciphertext", problem: FieldProblem::Sealed });
        }
        Ok(Self {
            salt: w
                .salt
                .try_into()
                .map_err(|_| FieldError::malformed("disclosure.salt", "16 random bytes"))?,
            event_id: field::parse_id("disclosure.event_id", &w.event_id)?,
            subscriber_id: field::parse_id("disclosure.subscriber_id", &w.subscriber_id)?,
            request_id: field::optional_id("disclosure.request_id", &w.request_id)?,
            agreement: AgreementId::required("disclosure.agreement", w.agreement)?,
            purpose: Purpose::from_wire("disclosure.purpose", w.purpose)?,
            rule_id: field::required("disclosure.rule_id", w.rule_id)?,
            pack_version: field::required("disclosure.pack_version", w.pack_version)?,
            fields: w.fields,
            part: w.part.map(Part::try_from).transpose()?,
        })
    }
}

impl From<Disclosure> for wire::Disclosure {
    fn from(d: Disclosure) -> Self {
        Self {
            salt: d.salt.to_vec(),
            event_id: d.event_id.into(),
            subscriber_id: d.subscriber_id.into(),
            request_id: d.request_id.map(Into::into).unwrap_or_default(),
            agreement: Some(d.agreement.into()),
            purpose: d.purpose.into(),
            rule_id: d.rule_id,
            pack_version: d.pack_version,
            fields: d.fields,
            part: d.part.map(Into::into),
            sealed_enc: Vec::new(),
            sealed_ciphertext: Vec::new(),
        }
    }
}

pub(crate) fn redacted(text: String) -> Option<Redacted<String>> {
    field::optional(text).map(Redacted::new)
}

pub(crate) fn exposed(text: Option<Redacted<String>>) -> String {
    text.map(Redacted::into_exposed).unwrap_or_default()
}

impl TryFrom<wire::Part> for Part {
    type Error = FieldError;
    fn try_from(w: wire::Part) -> Result<Self, FieldError> {
        let charges = w.charges.into_iter().map(Charge::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            booking_number: redacted(w.booking_number),
            person_name: redacted(w.person_name),
            birth_date: redacted(w.birth_date),
            fbi_ucn: redacted(w.fbi_ucn),
            state_id: redacted(w.state_id),
            alien_number: redacted(w.alien_number),
            disposition_texts: w.disposition_texts.into(),
            charges: charges.into(),
            booked: time::optional("part.booked", w.booked)?,
            housing: redacted(w.housing),
            details: w.details.into(),
            release_text: redacted(w.release_text),
            health_reason: match w.health_reason {
                0 => None,
                value => Some(ReleaseReason::from_wire("part.health_reason", value)?),
            },
        })
    }
}

impl From<Part> for wire::Part {
    fn from(p: Part) -> Self {
        Self {
            booking_number: exposed(p.booking_number),
            person_name: exposed(p.person_name),
            birth_date: exposed(p.birth_date),
            fbi_ucn: exposed(p.fbi_ucn),
            state_id: exposed(p.state_id),
            alien_number: exposed(p.alien_number),
            disposition_texts: p.disposition_texts.into_exposed(),
            charges: p.charges.into_exposed().into_iter().map(Into::into).collect(),
            booked: p.booked.map(Into::into),
            housing: exposed(p.housing),
            details: p.details.into_exposed(),
            release_text: exposed(p.release_text),
            health_reason: p.health_reason.map(i32::from).unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::Charge> for Charge {
    type Error = FieldError;
    fn try_from(w: wire::Charge) -> Result<Self, FieldError> {
        Ok(Self {
            description: w.description,
            code: w.code,
            offence_level: w.offence_level,
            court: w.court,
            ended: time::optional("charge.ended", w.ended)?,
            disposition_text: w.disposition_text,
        })
    }
}

impl From<Charge> for wire::Charge {
    fn from(c: Charge) -> Self {
        Self {
            description: c.description,
            code: c.code,
            offence_level: c.offence_level,
            court: c.court,
            ended: c.ended.map(Into::into),
            disposition_text: c.disposition_text,
        }
    }
}
