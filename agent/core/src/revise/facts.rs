//! The facts of a head: what everyone who is told sees. Not the times of the agent's own work (t2, t3), which differ
//! with every reading.

use sallyport_proto::{
    ids::Ori,
    time::{Moment, Window},
    vocabulary::{Certainty, ReleaseReason, ReleaseState},
    wire,
};

use crate::custody::ReleaseFact;

/// What a head says of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadFacts {
    /// Where the release stands.
    pub state: ReleaseState,
    /// How sure the jail is.
    pub certainty: Certainty,
    /// The reason as the head shows it.
    pub reason: ReleaseReason,
    /// Trigger.
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
}

impl HeadFacts {
    /// The facts of a release, without what the head hides.
    pub fn of(release: &ReleaseFact) -> Self {
        Self {
            state: release.state,
            certainty: release.certainty,
            reason: release.head_reason(),
            t0: release.t0,
            t1: release.t1,
            t10: release.t10,
            expected: release.expected,
            transferred_to: release.head_transferred_to().cloned(),
            inferred_uncertainty_s: release.inferred_uncertainty_s,
        }
    }

    /// RETRACTED or CLOSED: nothing but "disregard".
    pub fn withdrawal(state: ReleaseState) -> Self {
        Self {
            state,
            certainty: Certainty::Confirmed,
            reason: ReleaseReason::Unknown,
            t0: None,
            t1: None,
            t10: None,
            expected: None,
            transferred_to: None,
            inferred_uncertainty_s: 0,
        }
    }

    /// The same facts as a wire head that holds nothing else: a form that does not depend on this type's own.
    pub(super) fn to_wire(&self) -> wire::ReleaseHead {
        wire::ReleaseHead {
            release_state: self.state.into(),
            certainty: self.certainty.into(),
            reason: self.reason.into(),
            t0_trigger: self.t0.map(Into::into),
            t1_entered: self.t1.map(Into::into),
            t10_released: self.t10.map(Into::into),
            expected: self.expected.map(|window| wire::Window {
                earliest: window.earliest.map(Into::into),
                latest: window.latest.map(Into::into),
            }),
            transferred_to: self.transferred_to.clone().map(Into::into).unwrap_or_default(),
            inferred_uncertainty_s: self.inferred_uncertainty_s,
            ..Default::default()
        }
    }
}
