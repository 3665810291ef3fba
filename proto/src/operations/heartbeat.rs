//! That a jail is alive: a silent one and a quiet one look different. Nothing in it changes because of an event that was
//! not sent.

use prost::Message;

use crate::{
    envelope::{self, Digest, PayloadType},
    field::{self, FieldError, FieldProblem},
    ids::{Jurisdiction, Ori},
    key::{Signer, SigningKey},
    provenance::{Provenance, TrafficClass},
    signed::{self, SignedError},
    time::{self, Moment},
    wire,
};

/// Signed by the facility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who wrote it.
    pub provenance: Provenance,
    /// Which facility.
    pub ori: Ori,
    /// Its jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// Events stored and not yet accepted.
    pub outbox_depth: u64,
    /// When the oldest of them was stored; there exactly when there is one.
    pub outbox_oldest: Option<Moment>,
    /// When the jail system last gave anything.
    pub last_intake: Option<Moment>,
    /// What the agent knows of its own clock.
    pub clock_offset: Option<ClockOffset>,
    /// Of the agent's store.
    pub epoch: String,
    /// The last number of the epoch before the first that still waits to be sent: every number up to it was sent. 0: none.
    pub seq: u64,
    /// When it was written.
    pub at: Moment,
    /// Real or not.
    pub traffic: TrafficClass,
    /// The lowest number of the epoch that could be sent again.
    pub kept_from: Option<u64>,
    /// What the newest numbers stand for.
    pub range: Option<RangeDigest>,
}

/// What the numbers from `first` to a heartbeat's `seq` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeDigest {
    /// The lowest number in it.
    pub first: u64,
    /// See [`RangeDigest::of`].
    pub sha256: Digest,
}

impl RangeDigest {
    /// SHA-256 over the digests of the messages, in the order of their numbers, of which `first` is the lowest.
    pub fn of(first: u64, messages: impl IntoIterator<Item = Digest>) -> Self {
        let bytes: Vec<u8> = messages.into_iter().flat_map(|digest| *digest.as_bytes()).collect();
        Self { first, sha256: Digest::of(&bytes) }
    }
}

/// An estimate of how far the agent's clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// Agent minus true time.
    pub offset_ms: i64,
    /// How wrong the estimate can be; never 0.
    pub bound_ms: u64,
}

impl Heartbeat {
    /// Signs it: the bytes that travel.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Heartbeat, wire::Heartbeat::from(self).encode_to_vec())
    }

    /// Reads the claimed heartbeat without checking its signature: to find whose key to ask for.
    pub fn claimed(bytes: &[u8]) -> Result<Self, SignedError> {
        signed::claimed::<wire::Heartbeat, _>(bytes, PayloadType::Heartbeat, "heartbeat")
    }

    /// Opens what `key` signed.
    pub fn open(bytes: &[u8], key: &SigningKey) -> Result<Self, SignedError> {
        signed::open::<wire::Heartbeat, _>(bytes, PayloadType::Heartbeat, key, "heartbeat")
    }
}

impl TryFrom<wire::Heartbeat> for Heartbeat {
    type Error = FieldError;
    fn try_from(w: wire::Heartbeat) -> Result<Self, FieldError> {
        let outbox_oldest = time::optional("heartbeat.outbox_oldest", w.outbox_oldest)?;
        if (w.outbox_depth == 0) != outbox_oldest.is_none() {
            return Err(FieldError {
                field: "heartbeat.outbox_oldest",
                problem: FieldProblem::Disagrees { other: "heartbeat.outbox_depth" },
            });
        }
        // A bound of 0 says that there is no estimate: an unknown offset is absent, never zero.
        let clock_offset = match (w.clock_offset_ms, w.clock_bound_ms) {
            (0, 0) => None,
            (_, 0) => return Err(FieldError::missing("heartbeat.clock_bound_ms")),
            (offset_ms, bound_ms) => Some(ClockOffset { offset_ms, bound_ms }),
        };
        let range = match (w.range_first, w.range_sha256.is_empty()) {
            (0, true) => None,
            (first, false) if (1..=w.seq).contains(&first) => {
                Some(RangeDigest { first, sha256: field::digest("heartbeat.range_sha256", &w.range_sha256)? })
            }
            _ => {
                return Err(FieldError {
                    field: "heartbeat.range_first",
                    problem: FieldProblem::Disagrees { other: "heartbeat.seq" },
                });
            }
        };
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            ori: field::parse_id("heartbeat.ori", &w.ori)?,
            jurisdiction: field::parse_id("heartbeat.jurisdiction", &w.jurisdiction)?,
            outbox_depth: w.outbox_depth,
            outbox_oldest,
            last_intake: time::optional("heartbeat.last_intake", w.last_intake)?,
            clock_offset,
            epoch: field::required("heartbeat.epoch", w.epoch)?,
            seq: w.seq,
            at: time::required("heartbeat.at", w.at)?,
            traffic: TrafficClass::checked(w.traffic)?,
            kept_from: (w.kept_from > 0).then_some(w.kept_from),
            range,
        })
    }
}

impl From<Heartbeat> for wire::Heartbeat {
    fn from(h: Heartbeat) -> Self {
        Self {
            provenance: Some(h.provenance.into()),
            ori: h.ori.into(),
            jurisdiction: h.jurisdiction.into(),
            outbox_depth: h.outbox_depth,
            outbox_oldest: h.outbox_oldest.map(Into::into),
            last_intake: h.last_intake.map(Into::into),
            clock_offset_ms: h.clock_offset.map(|clock| clock.offset_ms).unwrap_or_default(),
            clock_bound_ms: h.clock_offset.map(|clock| clock.bound_ms).unwrap_or_default(),
            epoch: h.epoch,
            seq: h.seq,
            at: Some(h.at.into()),
            traffic: Some(h.traffic.into()),
            kept_from: h.kept_from.unwrap_or_default(),
            range_first: h.range.map(|range| range.first).unwrap_or_default(),
            range_sha256: h.range.map(|range| range.sha256.to_vec()).unwrap_or_default(),
        }
    }
}
