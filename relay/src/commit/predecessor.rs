//! Whom the revision before was addressed to: corrections follow the told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use sallyport_link::clock;
use sallyport_proto::ids::SubscriberId;

use super::known::Accepted;
use crate::intake::Pulled;

/// A predecessor that is not routed yet is waited for, by redelivery, this long in all; then the event is routed all the
/// same and says so.
const WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);
/// Between looks.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
pub(super) fn waited_enough(pulled: &Pulled) -> bool {
    clock::now().duration_since(pulled.t4_stored.at) > WAIT_MAX
}
