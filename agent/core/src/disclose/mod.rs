//! Who may be told of a custody, and which fields: the jail's decision, made here and nowhere else.
//!
//! The rules are an explicit allow-list in the agent's configuration; default nobody. The floor comes before every
//! rule and cannot be switched. What is sent follows in `revise`. A richer set of rules (three-valued, with referral to
//! a person) takes this place with the same `Input` and `Decisions`.

mod allow;
mod cut;
mod fields;
mod grants;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::Part,
    ids::{Ori, RequestId, SubscriberId},
    provenance::AgreementId,
    vocabulary::Purpose,
};

use crate::custody::{Custody, FacilitySecret, FloorKind, paper_request_id};

pub use allow::{AllowForm, AllowList};
pub use cut::cut;
pub use fields::{KnownNames, PART_FIELDS};
pub use grants::{Grant, Grants, RegistryGrants};

/// Everything a decision may depend on.
pub struct Input<'a> {
    /// The custody as it was read.
    pub custody: &'a Custody,
    /// The facility that decides.
    pub ori: &'a Ori,
    /// Derives the ids of requests on paper.
    pub secret: &'a FacilitySecret,
    /// Which agreements stand.
    pub grants: &'a dyn Grants,
    /// When it is decided: nothing goes to an agreement past its end.
    pub now: Timestamp,
}

/// Who may be told, and who of those the rules name may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// Version of the rules that decided.
    pub pack_version: String,
    /// Sorted by subscriber, one per subscriber.
    pub allowed: Vec<Allowed>,
    /// Every other subscriber of the rules, with the reason. Stays at the jail.
    pub denied: BTreeMap<SubscriberId, Denial>,
}

/// One subscriber may be told these fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Who.
    pub subscriber: SubscriberId,
    /// The request that it answers.
    pub request_id: Option<RequestId>,
    /// Under which agreement.
    pub agreement: AgreementId,
    /// For what.
    pub purpose: Purpose,
    /// The rule that allowed it.
    pub rule_id: String,
    /// Version of the rules.
    pub pack_version: String,
    /// Names of the fields the part may hold, sorted.
    pub fields: Vec<String>,
    /// Exactly these fields of the custody.
    pub part: Part,
}

/// Why a subscriber is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The custody is marked: before every rule.
    Floor(FloorKind),
    /// There is no release to tell of.
    NoRelease,
    /// No rule that names this subscriber matches.
    NoRule,
    /// A rule matches, but its agreement does not exist or has ended.
    NoAgreement,
}

/// Decides for every subscriber that the rules name.
pub fn decide(input: &Input<'_>, allow: &AllowList) -> Decisions {
    let mut allowed = Vec::new();
    let mut denied = BTreeMap::new();
    for subscriber in allow.subscribers() {
        match decide_one(input, allow, subscriber) {
            Ok(decision) => allowed.push(decision),
            Err(denial) => {
                denied.insert(subscriber.clone(), denial);
            }
        }
    }
    Decisions { pack_version: allow.version().to_owned(), allowed, denied }
}

fn decide_one(input: &Input<'_>, allow: &AllowList, subscriber: &SubscriberId) -> Result<Allowed, Denial> {
    let custody = input.custody;
    if let Some(kind) = custody.floor {
        return Err(Denial::Floor(kind));
    }
    let release = custody.release.as_ref().ok_or(Denial::NoRelease)?;
    let mut denial = Denial::NoRule;
    for rule in allow.rules_for(subscriber).filter(|rule| rule.matches(release, &custody.flags)) {
        let Some(grant) = input.grants.grant(subscriber, &rule.agreement, input.now) else {
            denial = Denial::NoAgreement;
            continue;
        };
        let fields: Vec<String> = rule.fields.intersection(&grant.fields).cloned().collect();
        let booking_number = custody.booking_number.expose();
        return Ok(Allowed {
            subscriber: subscriber.clone(),
            request_id: rule
                .as_request
                .then(|| paper_request_id(input.secret, input.ori, booking_number, subscriber)),
            agreement: grant.agreement,
            purpose: rule.purpose,
            rule_id: rule.rule_id.clone(),
            pack_version: allow.version().to_owned(),
            part: cut(&custody.part, &fields),
            fields,
        });
    }
    Err(denial)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
