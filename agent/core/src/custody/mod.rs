//! One booking as the jail's record states it now: what every intake gives, and everything after it works on.
//!
//! Holds person data (in `part` and `booking_number`), which never leaves except cut to a field list by `disclose`.

mod key;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::Part,
    ids::Ori,
    redact::Redacted,
    time::{Moment, Window},
    vocabulary::{Certainty, ReleaseReason, ReleaseState},
};

pub(crate) use key::normalised;
pub use key::{FacilitySecret, SECRET_BYTES_MIN, SecretError, custody_key, paper_request_id};

/// A custody as it was read, whole: each reading replaces what was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custody {
    /// The jail's booking number, as the jail writes it, trimmed.
    pub booking_number: Redacted<String>,
    /// t2: when the agent read it. Never makes a difference between two readings.
    pub observed: Moment,
    /// The moment that the record speaks of: an older record never takes the place of a newer one.
    pub as_of: Timestamp,
    /// What the record says of a release; none: still in custody.
    pub release: Option<ReleaseFact>,
    /// A mark that lets nothing leave.
    pub floor: Option<FloorKind>,
    /// Mapped flags that are set: inputs of the disclosure decision.
    pub flags: BTreeSet<String>,
    /// Everything that was mapped, before any cut.
    pub part: Part,
    /// Its charge rows map to more than one reason.
    pub disagreeing: bool,
}

/// Whether a record that speaks of `as_of` is older than the newest one that was read of the same custody. A newest
/// moment that still lies ahead at `now` proves only that a clock was wrong, and counts for nothing.
pub fn is_outdated(as_of: Timestamp, newest: Option<Timestamp>, now: Timestamp) -> bool {
    newest.is_some_and(|newest| newest <= now && as_of < newest)
}

impl Custody {
    /// Whether the record, without saying so, takes a release back: none is in it, and nothing forbids saying that.
    pub fn shows_no_release(&self) -> bool {
        self.release.is_none() && self.floor.is_none()
    }
}

/// The release of a custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFact {
    /// Where the release stands.
    pub state: ReleaseState,
    /// Why, really: disclosure decides on this one.
    pub reason: ReleaseReason,
    /// How sure the jail is.
    pub certainty: Certainty,
    /// The trigger, and only when it is the trigger of this reason.
    pub t0: Option<Moment>,
    /// Entered in the jail system.
    pub t1: Option<Moment>,
    /// The door.
    pub t10: Option<Moment>,
    /// When it is expected.
    pub expected: Option<Window>,
    /// Next custodian.
    pub transferred_to: Option<Ori>,
    /// Uncertainty of an INFERRED release, seconds.
    pub inferred_uncertainty_s: u32,
    /// The reason is a health fact: the head says another, the jail's words for it never leave.
    pub health: bool,
}

impl ReleaseFact {
    /// The reason that the head shows to everyone who is told.
    pub fn head_reason(&self) -> ReleaseReason {
        match (self.health, self.reason, self.state) {
            (false, reason, _) => reason,
            (true, ReleaseReason::TransferHospital, _) | (true, _, ReleaseState::Transferred) => {
                ReleaseReason::TransferAgency
            }
            // A health release that is no transfer has no other canonical word that would be true.
            (true, _, _) => ReleaseReason::Unknown,
        }
    }

    /// The next custodian that the head shows: never where it would name a hospital.
    pub fn head_transferred_to(&self) -> Option<&Ori> {
        self.transferred_to.as_ref().filter(|_| !self.health)
    }
}

/// Why nothing of a custody may leave, whatever any rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FloorKind {
    /// Sealed by a court.
    Sealed,
    /// Expunged.
    Expunged,
    /// Juvenile court.
    Juvenile,
    /// Protected victim (8 U.S.C. 1367), witness protection.
    ProtectedVictim,
}

impl FloorKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Sealed, Self::Expunged, Self::Juvenile, Self::ProtectedVictim];

    /// The word that configuration and callers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Expunged => "expunged",
            Self::Juvenile => "juvenile",
            Self::ProtectedVictim => "protected_victim",
        }
    }
}

/// Not a kind of floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of sealed, expunged, juvenile, protected_victim")]
pub struct UnknownFloor;

impl std::str::FromStr for FloorKind {
    type Err = UnknownFloor;
    fn from_str(text: &str) -> Result<Self, UnknownFloor> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownFloor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(state: ReleaseState, reason: ReleaseReason, health: bool) -> ReleaseFact {
        ReleaseFact {
            state,
            reason,
            certainty: Certainty::Confirmed,
            t0: None,
            t1: None,
            t10: None,
            expected: None,
            transferred_to: "zzhosp001".parse().ok(),
            inferred_uncertainty_s: 0,
            health,
        }
    }

    #[test]
    fn a_hospital_is_neither_the_reason_nor_the_next_custodian_in_a_head() {
        let hospital = fact(ReleaseState::Transferred, ReleaseReason::TransferHospital, true);
        assert_eq!(hospital.head_reason(), ReleaseReason::TransferAgency);
        assert_eq!(hospital.head_transferred_to(), None);
    }

    #[test]
    fn a_health_release_that_is_no_transfer_does_not_claim_to_be_one() {
        let treatment = fact(ReleaseState::Released, ReleaseReason::TreatmentCourt, true);
        assert_eq!(treatment.head_reason(), ReleaseReason::Unknown);
    }

    #[test]
    fn only_a_record_older_than_one_that_can_have_been_read_is_outdated() {
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        assert!(is_outdated(at(5), Some(at(6)), at(10)));
        assert!(!is_outdated(at(6), Some(at(6)), at(10)), "the same record again");
        assert!(!is_outdated(at(5), None, at(10)), "the first");
        assert!(!is_outdated(at(5), Some(at(11)), at(10)), "the clock was ahead and is right again");
    }

    #[test]
    fn other_reasons_stand_in_the_head_as_they_are() {
        let agency = fact(ReleaseState::Transferred, ReleaseReason::TransferPrison, false);
        assert_eq!(agency.head_reason(), ReleaseReason::TransferPrison);
        assert!(agency.head_transferred_to().is_some());
    }
}
