//! The release event: one signed head and the disclosures it commits to. Made by an agent, opened by a relay; a
//! subscriber opens the head and its own disclosure from a notice.

use std::fmt;

use prost::Message;

use crate::{
    disclosure::Disclosure,
    envelope::{self, Digest, OpenError, PayloadType, Unverified},
    field::{self, FieldError, FieldProblem},
    ids::{CustodyKey, EventId, Jurisdiction, Ori},
    key::{Signer, SigningKey},
    limits,
    provenance::{Provenance, TrafficClass},
    time::{self, Moment, Window},
    vocabulary::{Certainty, ReleaseReason, ReleaseState},
    wire,
};

/// What every recipient and the relay may read of one revision of a custody's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseHead {
    /// Who wrote it.
    pub provenance: Provenance,
    /// UUIDv7.
    pub event_id: EventId,
    /// The facility.
    pub ori: Ori,
    /// Its jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// Stands for the booking.
    pub custody_key: CustodyKey,
    /// From 1; counts only what left the jail.
    pub revision: u32,
    /// The revision that this one follows.
    pub supersedes: Option<EventId>,
    /// Where the release stands.
    pub release_state: ReleaseState,
    /// How sure the jail is.
    pub certainty: Certainty,
    /// Why, in canonical words.
    pub reason: ReleaseReason,
    /// Trigger.
    pub t0_trigger: Option<Moment>,
    /// Entered in the jail system.
    pub t1_entered: Option<Moment>,
    /// Observed by the agent.
    pub t2_observed: Moment,
    /// Disclosure decided.
    pub t3_decided: Moment,
    /// Release checks cleared.
    pub t9_cleared: Option<Moment>,
    /// The door.
    pub t10_released: Option<Moment>,
    /// When the release is expected.
    pub expected: Option<Window>,
    /// Real or not.
    pub traffic: TrafficClass,
    /// A lost or restored store starts a new one.
    pub epoch: String,
    /// Dense per facility and epoch over what is sent, from 1.
    pub seq: u64,
    /// SHA-256 of each disclosure, in order.
    pub disclosure_sha256: Vec<Digest>,
    /// Next custodian.
    pub transferred_to: Option<Ori>,
    /// Registry by which the facility decided.
    pub registry_version: u64,
    /// A replay of past records.
    pub backfill: bool,
    /// Mapping that read the record.
    pub mapping_version: String,
    /// Uncertainty of an INFERRED release, seconds.
    pub inferred_uncertainty_s: u32,
}

impl TryFrom<wire::ReleaseHead> for ReleaseHead {
    type Error = FieldError;
    fn try_from(w: wire::ReleaseHead) -> Result<Self, FieldError> {
        let recipients = w.disclosure_sha256.len();
        if recipients > limits::RECIPIENTS_MAX {
            return Err(FieldError::over("head.disclosure_sha256", recipients, limits::RECIPIENTS_MAX));
        }
        if recipients == 0 {
            return Err(FieldError::missing("head.disclosure_sha256"));
        }
        if w.revision == 0 {
            return Err(FieldError::missing("head.revision"));
        }
        if w.seq == 0 {
            return Err(FieldError::missing("head.seq"));
        }
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            event_id: field::parse_id("head.event_id", &w.event_id)?,
            ori: field::parse_id("head.ori", &w.ori)?,
            jurisdiction: field::parse_id("head.jurisdiction", &w.jurisdiction)?,
            custody_key: field::parse_id("head.custody_key", &w.custody_key)?,
            revision: w.revision,
            supersedes: field::optional_id("head.supersedes", &w.supersedes)?,
            release_state: ReleaseState::from_wire("head.release_state", w.release_state)?,
            certainty: Certainty::from_wire("head.certainty", w.certainty)?,
            reason: ReleaseReason::from_wire("head.reason", w.reason)?,
            t0_trigger: time::optional("head.t0_trigger", w.t0_trigger)?,
            t1_entered: time::optional("head.t1_entered", w.t1_entered)?,
            t2_observed: time::required("head.t2_observed", w.t2_observed)?,
            t3_decided: time::required("head.t3_decided", w.t3_decided)?,
            t9_cleared: time::optional("head.t9_cleared", w.t9_cleared)?,
            t10_released: time::optional("head.t10_released", w.t10_released)?,
            expected: time::window("head.expected", w.expected)?,
            traffic: TrafficClass::checked(w.traffic)?,
            epoch: field::required("head.epoch", w.epoch)?,
            seq: w.seq,
            disclosure_sha256: w
                .disclosure_sha256
                .iter()
                .map(|bytes| field::digest("head.disclosure_sha256", bytes))
                .collect::<Result<_, _>>()?,
            transferred_to: field::optional_id("head.transferred_to", &w.transferred_to)?,
            registry_version: w.registry_version,
            backfill: w.backfill,
            mapping_version: w.mapping_version,
            inferred_uncertainty_s: w.inferred_uncertainty_s,
        })
    }
}

impl From<ReleaseHead> for wire::ReleaseHead {
    fn from(h: ReleaseHead) -> Self {
        Self {
            provenance: Some(h.provenance.into()),
            event_id: h.event_id.into(),
            ori: h.ori.into(),
            jurisdiction: h.jurisdiction.into(),
            custody_key: h.custody_key.into(),
            revision: h.revision,
            supersedes: h.supersedes.map(Into::into).unwrap_or_default(),
            release_state: h.release_state.into(),
            certainty: h.certainty.into(),
            reason: h.reason.into(),
            t0_trigger: h.t0_trigger.map(Into::into),
            t1_entered: h.t1_entered.map(Into::into),
            t2_observed: Some(h.t2_observed.into()),
            t3_decided: Some(h.t3_decided.into()),
            t9_cleared: h.t9_cleared.map(Into::into),
            t10_released: h.t10_released.map(Into::into),
            expected: h.expected.map(time::window_to_wire),
            traffic: Some(h.traffic.into()),
            epoch: h.epoch,
            seq: h.seq,
            disclosure_sha256: h.disclosure_sha256.iter().map(Digest::to_vec).collect(),
            transferred_to: h.transferred_to.map(Into::into).unwrap_or_default(),
            registry_version: h.registry_version,
            backfill: h.backfill,
            mapping_version: h.mapping_version,
            inferred_uncertainty_s: h.inferred_uncertainty_s,
        }
    }
}

/// Signs `head` over `disclosures` and gives the `Ingest` message as it will travel, always the same bytes. The head's
/// digests are filled in here.
pub fn seal_event(signer: &Signer, mut head: ReleaseHead, disclosures: Vec<Disclosure>) -> Vec<u8> {
    let (encoded, digests) = disclosures.into_iter().map(Disclosure::encode).unzip::<_, _, Vec<_>, Vec<_>>();
    head.disclosure_sha256 = digests;
    let payload = wire::ReleaseHead::from(head).encode_to_vec();
    let event = wire::ReleaseEvent {
        head: envelope::seal(signer, PayloadType::ReleaseHead, payload),
        disclosures: encoded,
    };
    wire::Ingest { item: Some(wire::ingest::Item::ReleaseEvent(event)) }.encode_to_vec()
}

/// Why bytes are not a release event of this facility. The relay answers each with a refusal code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an `Ingest` message with a release event.
    #[error("not a release event")]
    NotAnEvent,
    /// The head's envelope does not open.
    #[error("head: {0}")]
    Head(#[from] OpenError),
    /// A field of head or disclosure is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The head is over its limit.
    #[error("head of {0} bytes is over the limit")]
    HeadTooLarge(usize),
    /// The disclosures are not those the head commits to, or name another event or the same subscriber twice.
    #[error("disclosures are not those the head commits to")]
    DisclosuresDiffer,
    /// More disclosures than an event may have.
    #[error("{0} recipients are over the limit")]
    TooManyRecipients(usize),
}

impl EventError {
    /// Another build of the reader might read it.
    pub fn is_newer_schema(&self) -> bool {
        matches!(self, Self::Field(FieldError { problem: FieldProblem::NewerSchema(_), .. }))
    }
}

/// A release event that was read but whose signature is not yet checked.
pub struct UnverifiedEvent {
    head_bytes: Vec<u8>,
    disclosure_bytes: Vec<Vec<u8>>,
    envelope: Unverified,
    claimed: Result<ReleaseHead, FieldError>,
    claimed_event_id: String,
}

/// A release event whose head this facility signed and whose disclosures are those the head commits to. Debug shows
/// neither bytes nor parts.
#[derive(Clone)]
pub struct VerifiedEvent {
    /// The head.
    pub head: ReleaseHead,
    /// The head's envelope, the jail's original bytes.
    pub head_bytes: Vec<u8>,
    /// Each disclosure with its original bytes.
    pub disclosures: Vec<(Disclosure, Vec<u8>)>,
}

impl fmt::Debug for VerifiedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disclosures = self.disclosures.iter().map(|(disclosure, _)| disclosure).collect::<Vec<_>>();
        f.debug_struct("VerifiedEvent")
            .field("head", &self.head)
            .field("disclosures", &disclosures)
            .finish_non_exhaustive()
    }
}

impl UnverifiedEvent {
    /// Reads an `Ingest` message.
    pub fn read(bytes: &[u8]) -> Result<Self, EventError> {
        let ingest = wire::Ingest::decode(bytes).map_err(|_| EventError::NotAnEvent)?;
        let Some(wire::ingest::Item::ReleaseEvent(event)) = ingest.item else {
            return Err(EventError::NotAnEvent);
        };
        if event.head.len() > limits::HEAD_BYTES_MAX {
            return Err(EventError::HeadTooLarge(event.head.len()));
        }
        if event.disclosures.len() > limits::RECIPIENTS_MAX {
            return Err(EventError::TooManyRecipients(event.disclosures.len()));
        }
        let envelope = Unverified::read(&event.head, PayloadType::ReleaseHead)?;
        let wire_head = wire::ReleaseHead::decode(envelope.claimed_payload())
            .map_err(|_| FieldError::undecodable("head"))?;
        let claimed_event_id = wire_head.event_id.clone();
        Ok(Self {
            head_bytes: event.head,
            disclosure_bytes: event.disclosures,
            envelope,
            claimed: wire_head.try_into(),
            claimed_event_id,
        })
    }

    /// The event id it claims, for naming it in a refusal; may be any text.
    pub fn claimed_event_id(&self) -> &str {
        &self.claimed_event_id
    }

    /// The head it claims, before any check of the signature.
    pub fn claimed_head(&self) -> Result<&ReleaseHead, &FieldError> {
        self.claimed.as_ref()
    }

    /// Checks the signature, then the fields, then that the disclosures are the head's.
    pub fn verify(self, key: &SigningKey) -> Result<VerifiedEvent, EventError> {
        self.envelope.verify(key)?;
        let head = self.claimed?;
        if head.disclosure_sha256.len() != self.disclosure_bytes.len() {
            return Err(EventError::DisclosuresDiffer);
        }
        let mut disclosures = Vec::with_capacity(self.disclosure_bytes.len());
        let mut told = std::collections::BTreeSet::new();
        for (bytes, digest) in self.disclosure_bytes.into_iter().zip(&head.disclosure_sha256) {
            let disclosure = checked_disclosure(&head, &bytes, digest)?;
            if !told.insert(disclosure.subscriber_id.clone()) {
                return Err(EventError::DisclosuresDiffer);
            }
            disclosures.push((disclosure, bytes));
        }
        Ok(VerifiedEvent { head, head_bytes: self.head_bytes, disclosures })
    }
}

/// Opens a head and one of its disclosures, as a notice carries them.
pub fn open_disclosed(
    head_bytes: &[u8],
    disclosure_bytes: &[u8],
    key: &SigningKey,
) -> Result<(ReleaseHead, Disclosure), EventError> {
    let payload = envelope::open(head_bytes, PayloadType::ReleaseHead, key)?;
    let head: ReleaseHead =
        wire::ReleaseHead::decode(&*payload).map_err(|_| FieldError::undecodable("head"))?.try_into()?;
    let digest = Digest::of(disclosure_bytes);
    if !head.disclosure_sha256.contains(&digest) {
        return Err(EventError::DisclosuresDiffer);
    }
    let disclosure = checked_disclosure(&head, disclosure_bytes, &digest)?;
    Ok((head, disclosure))
}

fn checked_disclosure(head: &ReleaseHead, bytes: &[u8], digest: &Digest) -> Result<Disclosure, EventError> {
    if Digest::of(bytes) != *digest {
        return Err(EventError::DisclosuresDiffer);
    }
    let disclosure = Disclosure::decode(bytes)?;
    if disclosure.event_id != head.event_id {
        return Err(EventError::DisclosuresDiffer);
    }
    if head.release_state.withdraws() && disclosure.part.is_some() {
        return Err(FieldError::malformed("disclosure.part", "absent, as RETRACTED and CLOSED ask").into());
    }
    Ok(disclosure)
}
