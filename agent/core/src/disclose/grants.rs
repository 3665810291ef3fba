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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nkeys::KeyPair;

    use super::*;
    use crate::sample::{at, ori, subscriber};

    /// An instance with one facility, one subscriber and one agreement. Each `@V` and `@U` becomes a key of its own.
    const REGISTRY: &str = r#"
instance = "zz-demo"
version = 1
issued = "2026-11-01T00:00:00Z"
[[relay]]
node = "a"
signing_key = "@V"
connect_key = "@U"
[operator]
provision_key = "@U"
monitor_key = "@U"
[[facility]]
ori = "zz0010000"
jurisdiction = "zz"
name = "Northgate"
signing_key = "@V"
connect_key = "@U"
releases_per_day = 60
ends = "2027-12-31"
[[subscriber]]
id = "fed-a"
ori = "zzfed0001"
name = "Office"
class = "SUPERVISION"
signing_key = "@V"
connect_key = "@U"
[[agreement]]
id = "a1"
version = 4
facility = "*"
subscriber = "fed-a"
kinds = ["release"]
fields = ["booked"]
attempts = 0
fallback = "none"
legal_basis = "EXAMPLE"
review = "2027-01-01"
ends = "2027-06-30"
"#;

    fn check(change: (&str, &str), asked: (&str, &str), now: &str, granted: bool) {
        let mut text = REGISTRY.replacen(change.0, change.1, 1);
        while text.contains("@V") {
            text = text.replacen("@V", &KeyPair::new_service().public_key(), 1);
        }
        while text.contains("@U") {
            text = text.replacen("@U", &KeyPair::new_user().public_key(), 1);
        }
        let registry = Registry::parse(&text).unwrap();
        let grants = RegistryGrants { registry: &registry, ori: &ori() };
        let grant = grants.grant(&subscriber(asked.0), &asked.1.parse().unwrap(), at(now));
        assert_eq!(grant.is_some(), granted, "{change:?} {asked:?} {now}");
        if let Some(grant) = grant {
            assert_eq!((grant.agreement.version, grant.fields.len()), (4, 1));
        }
    }

    const NOW: &str = "2026-11-21T12:00:00Z";
    const AS_IS: (&str, &str) = ("", "");

    #[test]
    fn an_agreement_stands_for_its_own_subscriber_facility_and_kind() {
        check(AS_IS, ("fed-a", "a1"), NOW, true);
        check(AS_IS, ("fed-b", "a1"), NOW, false);
        check(AS_IS, ("fed-a", "a2"), NOW, false);
        check(("kinds = [\"release\"]", "kinds = [\"request\"]"), ("fed-a", "a1"), NOW, false);
        check(("facility = \"*\"", "facility = \"zz0010000\""), ("fed-a", "a1"), NOW, true);
    }

    #[test]
    fn nothing_goes_past_the_end_of_an_agreement_or_of_the_facility() {
        check(AS_IS, ("fed-a", "a1"), "2027-06-30T23:59:59Z", true);
        check(AS_IS, ("fed-a", "a1"), "2027-07-01T00:00:00Z", false);
        check(("ends = \"2027-12-31\"", "ends = \"2026-11-20\""), ("fed-a", "a1"), NOW, false);
    }
}
