//! A subscriber's instrument lodged at one jail. The relay carries and answers the ask to notify; what a form asks
//! beyond that is kept as printed and is never a command.
//!
//! Out of scope: what the jail says to it (`reply`), and any matching with a custody, which is the jail's own.

use prost::Message;

use crate::{
    disclosure::{exposed, redacted},
    envelope::{self, PayloadType},
    field::{self, FieldError, FieldProblem},
    ids::{Jurisdiction, Ori, RequestId, SubscriberId},
    key::{Signer, SigningKey},
    provenance::{AgreementId, Provenance, TrafficClass},
    redact::Redacted,
    signed::{self, SignedError},
    time::{self, Moment},
    vocabulary::{AskedAction, ProbableCause, Purpose, WarrantClass},
    wire,
};

/// Signed by the subscriber. Never changed: another one supersedes or cancels it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who wrote it.
    pub provenance: Provenance,
    /// UUIDv7.
    pub request_id: RequestId,
    /// Who lodges it.
    pub subscriber: SubscriberId,
    /// The jail it is lodged at.
    pub ori: Ori,
    /// Its jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// The form.
    pub instrument: Instrument,
    /// For what.
    pub purpose: Purpose,
    /// On which legal basis.
    pub legal_basis: String,
    /// The subscriber's case.
    pub case_number: Option<String>,
    /// Under which agreement.
    pub agreement: AgreementId,
    /// What the form asks; empty only in a cancellation.
    pub asks: Vec<AskedAction>,
    /// Nothing is told on it after this.
    pub expires: Moment,
    /// When the subscriber is asked to confirm it.
    pub revalidate: Option<Moment>,
    /// The request it takes the place of.
    pub supersedes: Option<RequestId>,
    /// The request it takes back.
    pub cancels: Option<RequestId>,
    /// Whom it is about.
    pub details: Option<RequestDetails>,
    /// Real or not.
    pub traffic: TrafficClass,
    /// When it was lodged: the date of the act.
    pub lodged: Moment,
    /// Entered from paper, unconfirmed by the other side.
    pub from_paper: bool,
    /// From then on, without a reply, it shows as not received by the jail.
    pub reply_due: Option<Moment>,
}

/// The form behind a request, as it is printed and filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// `I-247A`, `I-200`, `USM-16`, `NCIC`.
    pub form: String,
    /// Of the form.
    pub revision: Option<String>,
    /// Issue date; without one a person looks at it.
    pub issued: Option<Moment>,
    /// When the jail had it.
    pub received: Option<Moment>,
    /// Who issued it.
    pub issuing_office: Option<Ori>,
    /// Boxes ticked.
    pub probable_cause: Vec<ProbableCause>,
    /// The resume-custody box.
    pub resume_custody: bool,
    /// What warrant stands behind it.
    pub warrant_class: WarrantClass,
    /// Of a judicial warrant.
    pub court: Option<String>,
    /// Of a judicial warrant: the office, not a name.
    pub judge_office: Option<String>,
    /// When it was served on the person.
    pub served_on_person: Option<Moment>,
    /// Of another state's warrant.
    pub ncic_number: Option<String>,
    /// The clock rule printed on this revision of the form.
    pub clock_rule: Option<String>,
}

/// Whom a request is about: the only place for person data in it. Debug shows none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDetails {
    /// FBI UCN.
    pub fbi_ucn: Option<Redacted<String>>,
    /// State identification number.
    pub state_id: Option<Redacted<String>>,
    /// A-number.
    pub alien_number: Option<Redacted<String>>,
    /// The jail's own booking number.
    pub booking_number: Option<Redacted<String>>,
    /// Never enough by itself, with the birth date neither.
    pub person_name: Option<Redacted<String>>,
    /// As written on the form.
    pub birth_date: Option<Redacted<String>>,
}

impl Request {
    /// Signs it: the bytes that travel, to the relay and on to the jail.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Request, wire::Request::from(self).encode_to_vec())
    }

    /// Reads the claimed request without checking its signature: to find whose key to ask for.
    pub fn claimed(bytes: &[u8]) -> Result<Self, SignedError> {
        signed::claimed::<wire::Request, _>(bytes, PayloadType::Request, "request")
    }

    /// Opens what `key` signed.
    pub fn open(bytes: &[u8], key: &SigningKey) -> Result<Self, SignedError> {
        signed::open::<wire::Request, _>(bytes, PayloadType::Request, key, "request")
    }
}

impl TryFrom<wire::Request> for Request {
    type Error = FieldError;
    fn try_from(w: wire::Request) -> Result<Self, FieldError> {
        let request_id: RequestId = field::parse_id("request.request_id", &w.request_id)?;
        let supersedes: Option<RequestId> = field::optional_id("request.supersedes", &w.supersedes)?;
        let cancels: Option<RequestId> = field::optional_id("request.cancels", &w.cancels)?;
        for (name, earlier) in [("request.supersedes", &supersedes), ("request.cancels", &cancels)] {
            if earlier.as_ref() == Some(&request_id) {
                return Err(FieldError {
                    field: name,
                    problem: FieldProblem::Disagrees { other: "request.request_id" },
                });
            }
        }
        if w.asks.is_empty() && cancels.is_none() {
            return Err(FieldError::missing("request.asks"));
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            request_id,
            subscriber: field::parse_id("request.subscriber_id", &w.subscriber_id)?,
            ori: field::parse_id("request.ori", &w.ori)?,
            jurisdiction: field::parse_id("request.jurisdiction", &w.jurisdiction)?,
            instrument: w.instrument.ok_or(FieldError::missing("request.instrument"))?.try_into()?,
            purpose: Purpose::from_wire("request.purpose", w.purpose)?,
            legal_basis: field::required("request.legal_basis", w.legal_basis)?,
            case_number: field::optional(w.case_number),
            agreement: AgreementId::required("request.agreement", w.agreement)?,
            asks: w
                .asks
                .into_iter()
                .map(|ask| AskedAction::from_wire("request.asks", ask))
                .collect::<Result<_, _>>()?,
            expires: time::required("request.expires", w.expires)?,
            revalidate: time::optional("request.revalidate", w.revalidate)?,
            supersedes,
            cancels,
            details: w.details.map(RequestDetails::try_from).transpose()?,
            traffic: TrafficClass::checked(w.traffic)?,
            lodged: time::required("request.lodged", w.lodged)?,
            from_paper: w.from_paper,
            reply_due: time::optional("request.reply_due", w.reply_due)?,
        })
    }
}

impl From<Request> for wire::Request {
    fn from(r: Request) -> Self {
        Self {
            provenance: Some(r.provenance.into()),
            request_id: r.request_id.into(),
            subscriber_id: r.subscriber.into(),
            ori: r.ori.into(),
            jurisdiction: r.jurisdiction.into(),
            instrument: Some(r.instrument.into()),
            purpose: r.purpose.into(),
            legal_basis: r.legal_basis,
            case_number: r.case_number.unwrap_or_default(),
            agreement: Some(r.agreement.into()),
            asks: r.asks.into_iter().map(Into::into).collect(),
            expires: Some(r.expires.into()),
            revalidate: r.revalidate.map(Into::into),
            supersedes: r.supersedes.map(Into::into).unwrap_or_default(),
            cancels: r.cancels.map(Into::into).unwrap_or_default(),
            details: r.details.map(Into::into),
            traffic: Some(r.traffic.into()),
            lodged: Some(r.lodged.into()),
            from_paper: r.from_paper,
            reply_due: r.reply_due.map(Into::into),
        }
    }
}

impl TryFrom<wire::Instrument> for Instrument {
    type Error = FieldError;
    fn try_from(w: wire::Instrument) -> Result<Self, FieldError> {
        Ok(Self {
            form: field::required("instrument.form", w.form)?,
            revision: field::optional(w.revision),
            issued: time::optional("instrument.issued", w.issued)?,
            received: time::optional("instrument.received", w.received)?,
            issuing_office: field::optional_id("instrument.issuing_office_ori", &w.issuing_office_ori)?,
            probable_cause: w
                .probable_cause
                .into_iter()
                .map(|ticked| ProbableCause::from_wire("instrument.probable_cause", ticked))
                .collect::<Result<_, _>>()?,
            resume_custody: w.resume_custody,
            warrant_class: WarrantClass::from_wire("instrument.warrant_class", w.warrant_class)?,
            court: field::optional(w.court),
            judge_office: field::optional(w.judge_office),
            served_on_person: time::optional("instrument.served_on_person", w.served_on_person)?,
            ncic_number: field::optional(w.ncic_number),
            clock_rule: field::optional(w.clock_rule),
        })
    }
}

impl From<Instrument> for wire::Instrument {
    fn from(i: Instrument) -> Self {
        Self {
            form: i.form,
            revision: i.revision.unwrap_or_default(),
            issued: i.issued.map(Into::into),
            received: i.received.map(Into::into),
            issuing_office_ori: i.issuing_office.map(Into::into).unwrap_or_default(),
            probable_cause: i.probable_cause.into_iter().map(Into::into).collect(),
            resume_custody: i.resume_custody,
            warrant_class: i.warrant_class.into(),
            court: i.court.unwrap_or_default(),
            judge_office: i.judge_office.unwrap_or_default(),
            served_on_person: i.served_on_person.map(Into::into),
            ncic_number: i.ncic_number.unwrap_or_default(),
            clock_rule: i.clock_rule.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::RequestDetails> for RequestDetails {
    type Error = FieldError;
    fn try_from(w: wire::RequestDetails) -> Result<Self, FieldError> {
        // A build that cannot unseal must not take "sealed" for "names nobody".
        if !w.sealed_enc.is_empty() || !w.sealed_ciphertext.is_empty() {
            return Err(FieldError {
                field: "request.details.sealed_ciphertext",
                problem: FieldProblem::Sealed,
            });
        }
        Ok(Self {
            fbi_ucn: redacted(w.fbi_ucn),
            state_id: redacted(w.state_id),
            alien_number: redacted(w.alien_number),
            booking_number: redacted(w.booking_number),
            person_name: redacted(w.person_name),
            birth_date: redacted(w.birth_date),
        })
    }
}

impl From<RequestDetails> for wire::RequestDetails {
    fn from(d: RequestDetails) -> Self {
        Self {
            fbi_ucn: exposed(d.fbi_ucn),
            state_id: exposed(d.state_id),
            alien_number: exposed(d.alien_number),
            booking_number: exposed(d.booking_number),
            person_name: exposed(d.person_name),
            birth_date: exposed(d.birth_date),
            sealed_enc: Vec::new(),
            sealed_ciphertext: Vec::new(),
        }
    }
}
