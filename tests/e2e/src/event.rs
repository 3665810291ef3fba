//! Release events by hand, with any content a test wants: what an agent would write, and what it never would.

use anyhow::{Context, Result};
use jiff::Timestamp;
use sallyport_proto::{
    disclosure::{Disclosure, Part},
    envelope::Digest,
    event::{ReleaseHead, seal_event},
    ids::{CustodyKey, EventId, InstanceId, Jurisdiction, Ori, SubscriberId},
    key::Signer,
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    redact::Redacted,
    time::Moment,
    vocabulary::{Certainty, Purpose, ReleaseReason, ReleaseState, SourceClock},
};
use uuid::Uuid;

/// Of every store that a jail without an agent has.
pub(crate) const EPOCH: &str = "e2e";

/// An event to be signed. Every field of its head is open to a test.
#[derive(Clone)]
pub struct Draft {
    /// The head.
    pub head: ReleaseHead,
    told: Vec<(SubscriberId, Purpose)>,
    booking_number: String,
    salt: u8,
}

/// A signed event as it travels.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Its id.
    pub event_id: EventId,
    /// The message.
    pub bytes: Vec<u8>,
    /// SHA-256 of the message.
    pub digest: Digest,
}

impl Draft {
    /// A first, confirmed RELEASED of a new custody, for an own-recognizance reason, told to nobody yet.
    pub fn new(instance: &InstanceId, st: &Jurisdiction, ori: &Ori, seq: u64) -> Result<Self> {
        let now = Moment::exact(Timestamp::now(), SourceClock::Agent);
        let custody_key = custody_key(seq)?;
        let head = ReleaseHead {
            provenance: Provenance::of(instance, "sallyport-e2e/0"),
            event_id: Uuid::now_v7().into(),
            ori: ori.clone(),
            jurisdiction: st.clone(),
            custody_key,
            revision: 1,
            supersedes: None,
            release_state: ReleaseState::Released,
            certainty: Certainty::Confirmed,
            reason: ReleaseReason::OwnRecognizance,
            t0_trigger: None,
            t1_entered: None,
            t2_observed: now,
            t3_decided: now,
            t9_cleared: None,
            t10_released: Some(now),
            expected: None,
            traffic: TrafficClass::Exercise("demo".into()),
            epoch: EPOCH.into(),
            seq,
            disclosure_sha256: Vec::new(),
            transferred_to: None,
            registry_version: 1,
            backfill: false,
            mapping_version: "e2e 1".into(),
            inferred_uncertainty_s: 0,
        };
        Ok(Self { head, told: Vec::new(), booking_number: format!("B-{seq}"), salt: 0 })
    }

    /// May be told, for the purpose that the demonstration's agency of that id has.
    pub fn tells(self, subscriber: &str) -> Result<Self> {
        let purpose = match subscriber {
            "demo-marshals" => Purpose::CriminalWarrant,
            "demo-civil" => Purpose::CivilImmigration,
            _ => Purpose::Supervision,
        };
        self.tells_for(subscriber, purpose)
    }

    /// May be told, for this purpose.
    pub fn tells_for(mut self, subscriber: &str, purpose: Purpose) -> Result<Self> {
        self.told.push((subscriber.parse().context("a subscriber id")?, purpose));
        Ok(self)
    }

    /// In another release state.
    #[must_use]
    pub fn in_state(mut self, state: ReleaseState) -> Self {
        self.head.release_state = state;
        self
    }

    /// For another reason.
    #[must_use]
    pub fn because(mut self, reason: ReleaseReason) -> Self {
        self.head.reason = reason;
        self
    }

    /// The next revision of another event's custody.
    #[must_use]
    pub fn follows(mut self, before: &Draft) -> Self {
        self.head.custody_key = before.head.custody_key.clone();
        self.head.revision = before.head.revision + 1;
        self.head.supersedes = Some(before.head.event_id.clone());
        self
    }

    /// The same event id with other bytes.
    #[must_use]
    pub fn with_other_bytes(mut self) -> Self {
        self.salt = self.salt.wrapping_add(1);
        self
    }

    /// Signs it.
    pub fn seal(&self, signer: &Signer) -> Result<Sealed> {
        let withdrawn = self.head.release_state.withdraws();
        let disclosures = self
            .told
            .iter()
            .map(|(subscriber, purpose)| {
                Ok(Disclosure {
                    salt: [self.salt; limits::DISCLOSURE_SALT_BYTES],
                    event_id: self.head.event_id.clone(),
                    subscriber_id: subscriber.clone(),
                    request_id: None,
                    agreement: AgreementId {
                        id: format!("zz-{subscriber}").parse().context("an agreement id")?,
                        version: 1,
                    },
                    purpose: *purpose,
                    rule_id: "e2e-1".into(),
                    pack_version: "e2e".into(),
                    fields: vec!["booking_number".into()],
                    part: (!withdrawn).then(|| Part {
                        booking_number: Some(Redacted::new(self.booking_number.clone())),
                        ..Part::default()
                    }),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let bytes = seal_event(signer, self.head.clone(), disclosures);
        let digest = Digest::of(&bytes);
        Ok(Sealed { event_id: self.head.event_id.clone(), bytes, digest })
    }
}

/// 26 characters of base32 that no other event of a test has.
fn custody_key(seq: u64) -> Result<CustodyKey> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let number = Uuid::now_v7().as_u128() ^ u128::from(seq);
    let key: String = (0..26).map(|n| ALPHABET[(number >> (5 * n) & 31) as usize % 32] as char).collect();
    key.parse().context("a custody key")
}
