//! Whom the revision before was addressed to: corrections follow the told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{ids::SubscriberId, time::Moment};

use super::known::Accepted;

/// A predecessor that is not routed yet is waited for, by redelivery, this long in all; then the event is routed all the
/// same and says so.
pub const WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);
/// Between looks.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of the revision before.
pub(super) enum Predecessor {
    /// There is none.
    None,
    /// Routed.
    Routed(Arc<Accepted>),
    /// Not routed, and waited for long enough.
    Missing,
}

impl Predecessor {
    pub(super) fn told(&self) -> Option<&BTreeSet<SubscriberId>> {
        match self {
            Self::Routed(accepted) => Some(&accepted.told),
            Self::None | Self::Missing => None,
        }
    }
}

/// Whether an event has waited for its predecessor for long enough, counted from when the broker stored it.
pub(super) fn waited_enough(t4_stored: &Moment, now: Timestamp) -> bool {
    now.duration_since(t4_stored.at) > WAIT_MAX
}
