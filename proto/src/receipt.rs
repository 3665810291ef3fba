//! What a subscriber says about notices. A receipt names notice id, attempt and event digest, so that it is never
//! credited to another notice; all its notices are of one facility, so that it can be forwarded to that jail as signed.

use prost::Message;

use crate::{
    envelope::{self, Digest, OpenError, PayloadType, Unverified},
    field::{self, FieldError, FieldProblem},
    ids::{NoticeId, Ori, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    subject::ReceiptKind,
    time::{self, Moment},
    vocabulary::{EndpointRefusalCode, ReceiptLevel, ResponseKind, Severity},
    wire,
};

/// Signed by the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who wrote it.
    pub provenance: Provenance,
    /// Who states it.
    pub subscriber: SubscriberId,
    /// The facility of every notice named.
    pub ori: Ori,
    /// About which notices; at least one.
    pub notices: Vec<ReceiptFor>,
    /// What is stated.
    pub statement: Statement,
    /// Role or badge id, or `machine`.
    pub by_whom: String,
    /// Free text of a person.
    pub text: Option<String>,
    /// Real or not.
    pub traffic: TrafficClass,
    /// The subscriber's machine had stored it.
    pub t6_received: Option<Moment>,
    /// It was in the agency's own application; for STAGED.
    pub staged: Option<Moment>,
    /// A person saw it.
    pub t7_seen: Option<Moment>,
    /// Answered.
    pub t8_answered: Option<Moment>,
    /// When it was handed to the broker.
    pub published: Moment,
    /// Under which agreement.
    pub agreement: Option<AgreementId>,
}

/// One notice of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptFor {
    /// Which notice.
    pub notice_id: NoticeId,
    /// SHA-256 of the jail's message it carried.
    pub event_digest: Digest,
    /// Which attempt.
    pub attempt: u32,
    /// A newer revision of the custody was there already.
    pub superseded: bool,
    /// t6 of this one, when it differs from the receipt's.
    pub t6_received: Option<Moment>,
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// RECEIVED, STAGED or SEEN.
    Level(ReceiptLevel),
    /// What people answer.
    Response(Response),
    /// The endpoint could not take it.
    Refusal(EndpointRefusal),
}

/// What people at the agency answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The answer.
    pub kind: ResponseKind,
    /// Expected arrival; required for WILL_TAKE_CUSTODY.
    pub eta: Option<Moment>,
    /// Required for WILL_ANSWER_BY.
    pub answer_by: Option<Moment>,
    /// Role, desk or number of the office.
    pub contact: Option<String>,
    /// Required for WRONG_AGENCY when known.
    pub forward_to: Option<Ori>,
}

/// The endpoint could not take the notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRefusal {
    /// Why.
    pub code: EndpointRefusalCode,
    /// How bad.
    pub severity: Severity,
    /// In words, without person data.
    pub text: String,
}

impl Receipt {
    /// The last token of the subject it is published on.
    pub fn kind(&self) -> ReceiptKind {
        match &self.statement {
            Statement::Level(ReceiptLevel::Seen) => ReceiptKind::Seen,
            Statement::Level(_) => ReceiptKind::Received,
            Statement::Response(_) => ReceiptKind::Response,
            Statement::Refusal(_) => ReceiptKind::Refusal,
        }
    }

    /// Signs it: the bytes that travel, to the relay and on to the jail.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Receipt, wire::Receipt::from(self).encode_to_vec())
    }

    /// Reads the claimed receipt without checking its signature: to find whose key to ask for.
    pub fn claimed(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let envelope = Unverified::read(bytes, PayloadType::Receipt)?;
        Self::decode(envelope.claimed_payload())
    }

    /// Opens what `key` signed.
    pub fn open(bytes: &[u8], key: &SigningKey) -> Result<Self, ReceiptError> {
        Self::decode(&envelope::open(bytes, PayloadType::Receipt, key)?)
    }

    fn decode(payload: &[u8]) -> Result<Self, ReceiptError> {
        Ok(wire::Receipt::decode(payload).map_err(|_| FieldError::undecodable("receipt"))?.try_into()?)
    }
}

/// Why bytes are not a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The envelope does not open.
    #[error("receipt: {0}")]
    Open(#[from] OpenError),
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl TryFrom<wire::Receipt> for Receipt {
    type Error = FieldError;
    fn try_from(w: wire::Receipt) -> Result<Self, FieldError> {
        let subscriber: SubscriberId = field::parse_id("receipt.subscriber_id", &w.subscriber_id)?;
        let ori: Ori = field::parse_id("receipt.ori", &w.ori)?;
        let (count, max) = (w.notices.len(), limits::NOTICES_PER_RECEIPT_MAX);
        if count == 0 {
            return Err(FieldError::missing("receipt.notices"));
        }
        if count > max {
            return Err(FieldError::over("receipt.notices", count, max));
        }
        let notices =
            w.notices.into_iter().map(ReceiptFor::try_from).collect::<Result<Vec<_>, FieldError>>()?;
        if notices.iter().any(|n| n.notice_id.subscriber() != subscriber || n.notice_id.ori() != ori) {
            return Err(FieldError {
                field: "receipt.notices",
                problem: FieldProblem::Disagrees { other: "receipt.subscriber_id and receipt.ori" },
            });
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            subscriber,
            ori,
            notices,
            statement: w.statement.ok_or(FieldError::missing("receipt.statement"))?.try_into()?,
            by_whom: field::bounded(
                "receipt.by_whom",
                field::required("receipt.by_whom", w.by_whom)?,
                limits::BY_WHOM_BYTES_MAX,
            )?,
            text: field::optional(field::bounded("receipt.text", w.text, limits::TEXT_BYTES_MAX)?),
            traffic: TrafficClass::checked(w.traffic)?,
            t6_received: time::optional("receipt.t6_received", w.t6_received)?,
            staged: time::optional("receipt.staged", w.staged)?,
            t7_seen: time::optional("receipt.t7_seen", w.t7_seen)?,
            t8_answered: time::optional("receipt.t8_answered", w.t8_answered)?,
            published: time::required("receipt.published", w.published)?,
            agreement: AgreementId::optional("receipt.agreement", w.agreement)?,
        })
    }
}

impl From<Receipt> for wire::Receipt {
    fn from(r: Receipt) -> Self {
        Self {
            provenance: Some(r.provenance.into()),
            subscriber_id: r.subscriber.into(),
            notices: r.notices.into_iter().map(Into::into).collect(),
            statement: Some(r.statement.into()),
            by_whom: r.by_whom,
            text: r.text.unwrap_or_default(),
            traffic: Some(r.traffic.into()),
            t6_received: r.t6_received.map(Into::into),
            staged: r.staged.map(Into::into),
            t7_seen: r.t7_seen.map(Into::into),
            t8_answered: r.t8_answered.map(Into::into),
            published: Some(r.published.into()),
            agreement: r.agreement.map(Into::into),
            ori: r.ori.into(),
        }
    }
}

impl TryFrom<wire::ReceiptFor> for ReceiptFor {
    type Error = FieldError;
    fn try_from(w: wire::ReceiptFor) -> Result<Self, FieldError> {
        Ok(Self {
            notice_id: field::parse_id("receipt.notices.notice_id", &w.notice_id)?,
            event_digest: field::digest("receipt.notices.event_digest", &w.event_digest)?,
            attempt: w.attempt,
            superseded: w.superseded,
            t6_received: time::optional("receipt.notices.t6_received", w.t6_received)?,
        })
    }
}

impl From<ReceiptFor> for wire::ReceiptFor {
    fn from(r: ReceiptFor) -> Self {
        Self {
            notice_id: r.notice_id.into(),
            event_digest: r.event_digest.to_vec(),
            attempt: r.attempt,
            superseded: r.superseded,
            t6_received: r.t6_received.map(Into::into),
        }
    }
}

impl TryFrom<wire::receipt::Statement> for Statement {
    type Error = FieldError;
    fn try_from(w: wire::receipt::Statement) -> Result<Self, FieldError> {
        use wire::receipt::Statement as W;
        Ok(match w {
            W::Level(value) => match ReceiptLevel::from_wire("receipt.level", value)? {
                level @ (ReceiptLevel::Received | ReceiptLevel::Staged | ReceiptLevel::Seen) => {
                    Self::Level(level)
                }
                // The others are the relay's to state, or come with a response.
                _ => return Err(FieldError::unknown("receipt.level", value)),
            },
            W::Response(r) => {
                let response = Response {
                    kind: ResponseKind::from_wire("receipt.response.kind", r.kind)?,
                    eta: time::optional("receipt.response.eta", r.eta)?,
                    answer_by: time::optional("receipt.response.answer_by", r.answer_by)?,
                    contact: field::optional(field::bounded(
                        "receipt.response.contact",
                        r.contact,
                        limits::CONTACT_BYTES_MAX,
                    )?),
                    forward_to: field::optional_id("receipt.response.forward_to", &r.forward_to)?,
                };
                match response.kind {
                    ResponseKind::WillTakeCustody if response.eta.is_none() => {
                        return Err(FieldError::missing("receipt.response.eta"));
                    }
                    ResponseKind::WillAnswerBy if response.answer_by.is_none() => {
                        return Err(FieldError::missing("receipt.response.answer_by"));
                    }
                    _ => Self::Response(response),
                }
            }
            W::Refusal(r) => Self::Refusal(EndpointRefusal {
                code: EndpointRefusalCode::from_wire("receipt.refusal.code", r.code)?,
                severity: Severity::from_wire("receipt.refusal.severity", r.severity)?,
                text: field::bounded("receipt.refusal.text", r.text, limits::REFUSAL_TEXT_BYTES_MAX)?,
            }),
        })
    }
}

impl From<Statement> for wire::receipt::Statement {
    fn from(s: Statement) -> Self {
        match s {
            Statement::Level(level) => Self::Level(level.into()),
            Statement::Response(r) => Self::Response(wire::Response {
                kind: r.kind.into(),
                eta: r.eta.map(Into::into),
                answer_by: r.answer_by.map(Into::into),
                contact: r.contact.unwrap_or_default(),
                forward_to: r.forward_to.map(Into::into).unwrap_or_default(),
            }),
            Statement::Refusal(r) => Self::Refusal(wire::EndpointRefusal {
                code: r.code.into(),
                severity: r.severity.into(),
                text: r.text,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::{ids::EventId, vocabulary::SourceClock};

    /// The largest receipt that this build reads: every list and text at its limit, every id as long as it may be.
    fn largest() -> Receipt {
        let longest = "x".repeat(limits::TOKEN_BYTES_MAX);
        let (ori, subscriber): (Ori, SubscriberId) = ("zz0010000".parse().unwrap(), longest.parse().unwrap());
        let at = "9999-12-30T21:59:59.999999999Z".parse().unwrap();
        let published = Moment { at, clock: SourceClock::Person, uncertainty_s: u32::MAX };
        let moment = Some(published);
        let event: EventId = "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        let notice = ReceiptFor {
            notice_id: NoticeId::new(&ori, &event, &subscriber),
            event_digest: Digest::of(b"event"),
            attempt: u32::MAX,
            superseded: true,
            t6_received: moment,
        };
        Receipt {
            provenance: Provenance {
                instance: longest.parse().unwrap(),
                schema_version: crate::SCHEMA_VERSION,
                build: longest.clone(),
            },
            subscriber,
            ori,
            notices: vec![notice; limits::NOTICES_PER_RECEIPT_MAX],
            statement: Statement::Refusal(EndpointRefusal {
                code: EndpointRefusalCode::StagingFailed,
                severity: Severity::Failure,
                text: "x".repeat(limits::REFUSAL_TEXT_BYTES_MAX),
            }),
            by_whom: "x".repeat(limits::BY_WHOM_BYTES_MAX),
            text: Some("x".repeat(limits::TEXT_BYTES_MAX)),
            traffic: TrafficClass::Exercise(longest.clone()),
            t6_received: moment,
            staged: moment,
            t7_seen: moment,
            t8_answered: moment,
            published,
            agreement: Some(AgreementId { id: longest.parse().unwrap(), version: u32::MAX }),
        }
    }

    #[test]
    fn a_receipt_with_everything_at_its_limit_fits_into_a_message() {
        let pair = nkeys::KeyPair::new_service();
        let signer = Signer::from_seed(&pair.seed().unwrap()).unwrap();
        let key: SigningKey = pair.public_key().parse().unwrap();
        let bytes = largest().seal(&signer);
        let free = limits::RECEIPT_MESSAGE_BYTES_MAX - limits::HEADER_BYTES_RESERVE;
        assert!(bytes.len() <= free, "{} bytes", bytes.len());
        assert_eq!(Receipt::open(&bytes, &key).unwrap(), largest());
    }

    fn check(change: impl FnOnce(&mut wire::Receipt), field: &str) {
        let mut wire = wire::Receipt::from(largest());
        change(&mut wire);
        assert_eq!(Receipt::try_from(wire).unwrap_err().field, field);
    }

    #[test]
    fn a_text_over_its_limit_is_refused() {
        use wire::receipt::Statement as W;
        check(|w| w.by_whom.push('x'), "receipt.by_whom");
        check(|w| w.text.push('x'), "receipt.text");
        let refusal = |w: &mut wire::Receipt| {
            if let Some(W::Refusal(refusal)) = &mut w.statement {
                refusal.text.push('x');
            }
        };
        check(refusal, "receipt.refusal.text");
        let contact = "x".repeat(limits::CONTACT_BYTES_MAX + 1);
        let kind = ResponseKind::NoInterest.into();
        let response = W::Response(wire::Response { kind, contact, ..wire::Response::default() });
        check(|w| w.statement = Some(response), "receipt.response.contact");
    }
}
