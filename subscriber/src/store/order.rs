//! Which of two revisions of a custody is the newer one. Pure.
//!
//! Within an epoch of a facility the revision says so. A facility that lost its store starts a new epoch and counts
//! from 1 again; across epochs the time of observation decides, so that what is newer is never hidden by what is old.

use jiff::Timestamp;

/// Where a revision stands among the others of its custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The facility's epoch.
    pub epoch: String,
    /// From 1.
    pub revision: u32,
    /// Observed by the agent.
    pub t2: Timestamp,
}

impl Standing {
    /// Whether `self` supersedes `other`. Two that cannot be told apart supersede neither: both are shown.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        if self.epoch == other.epoch { self.revision > other.revision } else { self.t2 > other.t2 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn standing(epoch: &str, revision: u32, second: i64) -> Standing {
        Standing { epoch: epoch.into(), revision, t2: Timestamp::from_second(second).unwrap() }
    }

    fn check(newer: Standing, older: Standing, expect: bool) {
        assert_eq!(newer.is_newer_than(&older), expect, "{newer:?} over {older:?}");
    }

    #[test]
    fn within_an_epoch_the_revision_decides_and_across_epochs_the_observation() {
        check(standing("a", 2, 10), standing("a", 1, 10), true);
        check(standing("a", 1, 20), standing("a", 2, 10), false);
        check(standing("b", 1, 20), standing("a", 7, 10), true);
        check(standing("a", 7, 10), standing("b", 1, 20), false);
    }

    #[test]
    fn two_that_cannot_be_told_apart_supersede_neither() {
        check(standing("a", 1, 10), standing("a", 1, 20), false);
        check(standing("a", 1, 20), standing("a", 1, 10), false);
        check(standing("a", 1, 10), standing("b", 1, 10), false);
    }
}
