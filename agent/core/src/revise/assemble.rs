//! From a draft and what only the shell can give (id, number, salts, time) to the head and disclosures that get signed.

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::Disclosure,
    event::ReleaseHead,
    ids::{EventId, InstanceId, Jurisdiction, Ori},
    limits::DISCLOSURE_SALT_BYTES,
    provenance::{Provenance, TrafficClass},
    time::Moment,
    vocabulary::SourceClock,
};

use super::plan::Draft;

/// What is new with every event.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// A UUIDv7 of now.
    pub event_id: EventId,
    /// One per recipient, random.
    pub salts: Vec<[u8; DISCLOSURE_SALT_BYTES]>,
    /// Epoch of the store.
    pub epoch: String,
    /// The next number of the facility in this epoch, given in the transaction that stores the event.
    pub seq: u64,
    /// t3.
    pub now: Timestamp,
}

/// What is the same for every event of a facility, or of one intake.
#[derive(Debug, Clone)]
pub struct Context {
    /// The relay network.
    pub instance: InstanceId,
    /// Program and version.
    pub build: String,
    /// The facility.
    pub ori: Ori,
    /// Its jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// Real or not.
    pub traffic: TrafficClass,
    /// The registry that was decided by.
    pub registry_version: u64,
    /// The mapping that read the record; for a caller's event, the form it came in.
    pub mapping_version: String,
    /// A replay of past records.
    pub backfill: bool,
}

/// Why a draft cannot be assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// Every disclosure needs a salt of its own.
    #[error("{salts} salts for {recipients} recipients")]
    Salts {
        /// How many were given.
        salts: usize,
        /// How many are needed.
        recipients: usize,
    },
}

/// The head and the disclosures of a draft, in the same order as its recipients. `seal_event` fills in the digests.
pub fn assemble(
    draft: &Draft,
    fresh: Fresh,
    context: &Context,
) -> Result<(ReleaseHead, Vec<Disclosure>), AssembleError> {
    let (salts, recipients) = (fresh.salts.len(), draft.recipients.len());
    if salts != recipients {
        return Err(AssembleError::Salts { salts, recipients });
    }
    let disclosures = draft
        .recipients
        .iter()
        .zip(&fresh.salts)
        .map(|(recipient, salt)| Disclosure {
            salt: *salt,
            event_id: fresh.event_id.clone(),
            subscriber_id: recipient.subscriber.clone(),
            request_id: recipient.request_id.clone(),
            agreement: recipient.agreement.clone(),
            purpose: recipient.purpose,
            rule_id: recipient.rule_id.clone(),
            pack_version: recipient.pack_version.clone(),
            fields: recipient.fields.clone(),
            part: recipient.part.clone(),
        })
        .collect();
    let facts = &draft.facts;
    let head = ReleaseHead {
        provenance: Provenance::of(&context.instance, &context.build),
        event_id: fresh.event_id,
        ori: context.ori.clone(),
        jurisdiction: context.jurisdiction.clone(),
        custody_key: draft.custody_key.clone(),
        revision: draft.revision,
        supersedes: draft.supersedes.clone(),
        release_state: facts.state,
        certainty: facts.certainty,
        reason: facts.reason,
        t0_trigger: facts.t0,
        t1_entered: facts.t1,
        t2_observed: draft.observed,
        t3_decided: Moment::exact(fresh.now, SourceClock::Agent),
        t9_cleared: None,
        t10_released: facts.t10,
        expected: facts.expected,
        traffic: context.traffic.clone(),
        epoch: fresh.epoch,
        seq: fresh.seq,
        disclosure_sha256: Vec::new(),
        transferred_to: facts.transferred_to.clone(),
        registry_version: context.registry_version,
        backfill: context.backfill,
        mapping_version: context.mapping_version.clone(),
        inferred_uncertainty_s: facts.inferred_uncertainty_s,
    };
    Ok((head, disclosures))
}
