//! What disclosure needs to know of the registry: whether an agreement stands, and what it lets through at most.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_proto::{
    ids::{AgreementName, Ori, SubscriberId},
    provenance::AgreementId,
    registry::Registry,
};

/// Message kind of agreements that release events go under.
const RELEASE: &str = "release";

/// An agreement that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id and version.
    pub agreement: AgreementId,
    /// The fields it lets through at most.
    pub fields: BTreeSet<String>,
}

/// Which agreements stand at a time.
pub trait Grants {
    /// The agreement of this name with this subscriber, if both exist and neither has ended at `now`.
    fn grant(&self, subscriber: &SubscriberId, agreement: &AgreementName, now: Timestamp) -> Option<Grant>;
}

/// The grants of a facility, as the registry lists them.
pub struct RegistryGrants<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// The facility.
    pub ori: &'a Ori,
}

impl Grants for RegistryGrants<'_> {
    fn grant(&self, subscriber: &SubscriberId, agreement: &AgreementName, now: Timestamp) -> Option<Grant> {
        self.registry.live_facility(self.ori, now)?;
        self.registry.subscribers.get(subscriber)?;
        let agreement = self.registry.live_agreement(agreement, self.ori, subscriber, now)?;
        agreement
            .kinds
            .iter()
            .any(|kind| kind == RELEASE)
            .then(|| Grant { agreement: agreement.id.clone(), fields: agreement.fields.clone() })
    }
}
