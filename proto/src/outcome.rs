//! What came of it. Each side states its own, signed; two that differ are compared elsewhere, never corrected here.

use prost::Message;

use crate::{
    envelope::{self, Digest, PayloadType},
    field::{self, FieldError, FieldProblem},
    ids::{CustodyKey, NoticeId, Ori, OutcomeId, RequestId, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    signed::{self, SignedError},
    time::{self, Moment},
    vocabulary::{OutcomeKind, OutcomeSide},
    wire,
};

/// Signed by the facility or by the subscriber, as `side` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Who wrote it.
    pub provenance: Provenance,
    /// UUIDv7.
    pub outcome_id: OutcomeId,
    /// The facility concerned.
    pub ori: Ori,
    /// The custody, the notice or the request that it concerns: at least one of the three.
    pub custody_key: Option<CustodyKey>,
    /// The notice, with the digest of the event it carried: never credited to another.
    pub notice: Option<AboutNotice>,
    /// The request; the only one for NEVER_RECEIVED.
    pub request_id: Option<RequestId>,
    /// The subscriber that states it, or that the facility states it about; none when it concerns nobody else.
    pub subscriber: Option<SubscriberId>,
    /// Who states it.
    pub side: OutcomeSide,
    /// What came of it.
    pub kind: OutcomeKind,
    /// Required for REQUEST_DECLINED_BY_LAW_OR_POLICY.
    pub rule_id: Option<String>,
    /// When it happened: never the date it was noticed.
    pub act: Option<Moment>,
    /// When it was recorded.
    pub t11_recorded: Moment,
    /// Role or badge id, or `machine`.
    pub by_whom: String,
    /// Free text of a person.
    pub text: Option<String>,
    /// Real or not.
    pub traffic: TrafficClass,
    /// Under which agreement.
    pub agreement: Option<AgreementId>,
    /// The outcome it takes the place of.
    pub supersedes: Option<OutcomeId>,
    /// For TRANSFERRED: the next custodian.
    pub transferred_to: Option<Ori>,
    /// When the way back ended at the jail; stated by the facility alone.
    pub way_back: Option<WayBack>,
}

/// The notice that an outcome concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AboutNotice {
    /// Which.
    pub notice_id: NoticeId,
    /// SHA-256 of the jail's message it carried.
    pub event_digest: Digest,
}

/// The end of the way back, all on the jail's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WayBack {
    /// The event was handed to the broker.
    pub event_published: Option<Moment>,
    /// The answer with the subscriber's receipt was stored.
    pub answer_at_jail: Option<Moment>,
    /// It was shown.
    pub answer_shown: Option<Moment>,
    /// A person answered it.
    pub human_answer: Option<Moment>,
}

impl Outcome {
    /// Signs it: the envelope that a subscriber publishes.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Outcome, wire::Outcome::from(self).encode_to_vec())
    }

    /// Signs it and gives the `Ingest` message that a facility publishes.
    pub fn seal_for_ingest(self, signer: &Signer) -> Vec<u8> {
        let outcome = self.seal(signer);
        wire::Ingest { item: Some(wire::ingest::Item::Outcome(outcome)) }.encode_to_vec()
    }

    /// Reads the claimed outcome from its envelope without checking the signature: to find whose key to ask for.
    pub fn claimed(envelope: &[u8]) -> Result<Self, SignedError> {
        signed::claimed::<wire::Outcome, _>(envelope, PayloadType::Outcome, "outcome")
    }

    /// Opens the envelope that `key` signed. That it is the key of the side that states it is the caller's to say.
    pub fn open(envelope: &[u8], key: &SigningKey) -> Result<Self, SignedError> {
        signed::open::<wire::Outcome, _>(envelope, PayloadType::Outcome, key, "outcome")
    }
}

impl TryFrom<wire::Outcome> for Outcome {
    type Error = FieldError;
    fn try_from(w: wire::Outcome) -> Result<Self, FieldError> {
        let side = OutcomeSide::from_wire("outcome.side", w.side)?;
        let kind = OutcomeKind::from_wire("outcome.kind", w.kind)?;
        let rule_id = field::optional(w.rule_id);
        if kind == OutcomeKind::RequestDeclinedByLawOrPolicy && rule_id.is_none() {
            return Err(FieldError::missing("outcome.rule_id"));
        }
        if side == OutcomeSide::Subscriber && w.way_back.is_some() {
            return Err(FieldError::malformed("outcome.way_back", "absent, as a subscriber's outcome asks"));
        }
        if w.text.len() > limits::TEXT_BYTES_MAX {
            return Err(FieldError::over("outcome.text", w.text.len(), limits::TEXT_BYTES_MAX));
        }
        let outcome = Self {
            provenance: Provenance::checked(w.provenance)?,
            outcome_id: field::parse_id("outcome.outcome_id", &w.outcome_id)?,
            ori: field::parse_id("outcome.ori", &w.ori)?,
            custody_key: field::optional_id("outcome.custody_key", &w.custody_key)?,
            notice: about_notice(&w.notice_id, &w.event_digest)?,
            request_id: field::optional_id("outcome.request_id", &w.request_id)?,
            subscriber: field::optional_id("outcome.subscriber_id", &w.subscriber_id)?,
            side,
            kind,
            rule_id,
            act: time::optional("outcome.act", w.act)?,
            t11_recorded: time::required("outcome.t11_recorded", w.t11_recorded)?,
            by_whom: field::required("outcome.by_whom", w.by_whom)?,
            text: field::optional(w.text),
            traffic: TrafficClass::checked(w.traffic)?,
            agreement: AgreementId::optional("outcome.agreement", w.agreement)?,
            supersedes: field::optional_id("outcome.supersedes", &w.supersedes)?,
            transferred_to: field::optional_id("outcome.transferred_to", &w.transferred_to)?,
            way_back: w.way_back.map(WayBack::try_from).transpose()?,
        };
        outcome.agrees_with_itself()?;
        Ok(outcome)
    }
}

impl Outcome {
    fn agrees_with_itself(&self) -> Result<(), FieldError> {
        if self.side == OutcomeSide::Subscriber && self.subscriber.is_none() {
            return Err(FieldError::missing("outcome.subscriber_id"));
        }
        let Some(AboutNotice { notice_id, .. }) = &self.notice else {
            let concerns_nothing = self.custody_key.is_none() && self.request_id.is_none();
            return if concerns_nothing { Err(FieldError::missing("outcome.custody_key")) } else { Ok(()) };
        };
        let disagrees =
            |field| FieldError { field, problem: FieldProblem::Disagrees { other: "outcome.notice_id" } };
        if notice_id.ori() != self.ori {
            return Err(disagrees("outcome.ori"));
        }
        if self.subscriber.as_ref() != Some(&notice_id.subscriber()) {
            return Err(disagrees("outcome.subscriber_id"));
        }
        Ok(())
    }
}

fn about_notice(notice_id: &str, event_digest: &[u8]) -> Result<Option<AboutNotice>, FieldError> {
    let Some(notice_id) = field::optional_id("outcome.notice_id", notice_id)? else {
        return if event_digest.is_empty() {
            Ok(None)
        } else {
            Err(FieldError::missing("outcome.notice_id"))
        };
    };
    Ok(Some(AboutNotice { notice_id, event_digest: field::digest("outcome.event_digest", event_digest)? }))
}

impl From<Outcome> for wire::Outcome {
    fn from(o: Outcome) -> Self {
        let (notice_id, event_digest) =
            o.notice.map(|about| (about.notice_id.into(), about.event_digest.to_vec())).unwrap_or_default();
        Self {
            provenance: Some(o.provenance.into()),
            outcome_id: o.outcome_id.into(),
            ori: o.ori.into(),
            custody_key: o.custody_key.map(Into::into).unwrap_or_default(),
            notice_id,
            event_digest,
            subscriber_id: o.subscriber.map(Into::into).unwrap_or_default(),
            side: o.side.into(),
            kind: o.kind.into(),
            rule_id: o.rule_id.unwrap_or_default(),
            act: o.act.map(Into::into),
            t11_recorded: Some(o.t11_recorded.into()),
            by_whom: o.by_whom,
            text: o.text.unwrap_or_default(),
            traffic: Some(o.traffic.into()),
            agreement: o.agreement.map(Into::into),
            supersedes: o.supersedes.map(Into::into).unwrap_or_default(),
            transferred_to: o.transferred_to.map(Into::into).unwrap_or_default(),
            request_id: o.request_id.map(Into::into).unwrap_or_default(),
            way_back: o.way_back.map(Into::into),
        }
    }
}

impl TryFrom<wire::WayBack> for WayBack {
    type Error = FieldError;
    fn try_from(w: wire::WayBack) -> Result<Self, FieldError> {
        Ok(Self {
            event_published: time::optional("outcome.way_back.event_published", w.event_published)?,
            answer_at_jail: time::optional("outcome.way_back.answer_at_jail", w.answer_at_jail)?,
            answer_shown: time::optional("outcome.way_back.answer_shown", w.answer_shown)?,
            human_answer: time::optional("outcome.way_back.human_answer", w.human_answer)?,
        })
    }
}

impl From<WayBack> for wire::WayBack {
    fn from(w: WayBack) -> Self {
        Self {
            event_published: w.event_published.map(Into::into),
            answer_at_jail: w.answer_at_jail.map(Into::into),
            answer_shown: w.answer_shown.map(Into::into),
            human_answer: w.human_answer.map(Into::into),
        }
    }
}
