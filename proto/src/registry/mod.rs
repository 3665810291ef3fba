//! The registry of an instance: who is who, with which keys, and what each subscriber asks for. The one source of
//! keys, accounts and subscriptions; signed by the registrar whose key agents and subscribers pin.
//!
//! A value of `Registry` is valid by construction. Reading files is the caller's; so is the clock.

mod check;
mod file;
mod signature;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    envelope::Digest,
    ids::{AgreementName, InstanceId, Jurisdiction, NodeId, Ori, SubscriberId, SubscriptionId},
    key::{ConnectKey, SigningKey},
    problem::Problem,
    provenance::AgreementId,
    version::Version,
    vocabulary::{Certainty, Priority, Purpose, ReleaseReason, ReleaseState},
};

pub use signature::{SignatureError, sign, verify};

/// A checked registry file.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The relay network.
    pub instance: InstanceId,
    /// Rises with every change.
    pub version: u64,
    /// When the registrar issued it.
    pub issued: Timestamp,
    /// Past it no new grants; notices go on.
    pub refresh_by: Option<Timestamp>,
    /// The oldest version of a program that starts by this registry, as the program states its own in every message
    /// (`provenance.build`). What runs already goes on, and what an older program says counts like anybody's
    /// (docs/adr/0008).
    pub minimum_version: Option<Version>,
    /// The relay's nodes.
    pub relays: Vec<RelayNode>,
    /// Users of the operator.
    pub operator: Operator,
    /// By ORI.
    pub facilities: BTreeMap<Ori, Facility>,
    /// By id.
    pub subscribers: BTreeMap<SubscriberId, Subscriber>,
    /// By id; the newest version of each.
    pub agreements: BTreeMap<AgreementName, Agreement>,
    /// SHA-256 of the file as it was read: one version has one content.
    pub digest: Digest,
}

/// One relay node: its name is in its permissions.
#[derive(Debug, Clone)]
pub struct RelayNode {
    /// Name.
    pub node: NodeId,
    /// Verifies notices and answers.
    pub signing_key: SigningKey,
    /// NATS user.
    pub connect_key: ConnectKey,
}

/// Users that provision, and that watch the server.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The only user that creates streams and durables.
    pub provision_key: ConnectKey,
    /// Reads the server's settings (SYS account).
    pub monitor_key: ConnectKey,
}

/// One jail.
#[derive(Debug, Clone)]
pub struct Facility {
    /// ORI.
    pub ori: Ori,
    /// Jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// For people.
    pub name: String,
    /// Verifies its events.
    pub signing_key: SigningKey,
    /// NATS user.
    pub connect_key: ConnectKey,
    /// For sizing streams.
    pub releases_per_day: u32,
    /// Last day on which it may publish.
    pub ends: Option<EndDate>,
}

/// One receiving agency.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Id.
    pub id: SubscriberId,
    /// ORI.
    pub ori: Ori,
    /// For people.
    pub name: String,
    /// Recipient class.
    pub class: Purpose,
    /// Verifies its receipts.
    pub signing_key: SigningKey,
    /// NATS user.
    pub connect_key: ConnectKey,
    /// What it asks for.
    pub subscriptions: Vec<Subscription>,
}

/// A standing interest.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Id, unique within the subscriber.
    pub id: SubscriptionId,
    /// For what.
    pub purpose: Purpose,
    /// By what right.
    pub legal_basis: String,
    /// The subscriber's case.
    pub case_number: String,
    /// Last day.
    pub expires: EndDate,
    /// Of its notices.
    pub priority: Priority,
    /// RECEIVED is due after so many seconds.
    pub received_within_s: u32,
    /// SEEN is due after so many seconds.
    pub seen_within_s: Option<u32>,
    /// Which events.
    pub filter: Filter,
}

/// Which events a subscription wants. Empty sets: any. Nothing about a person, charge or offence.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of these facilities.
    pub facilities: BTreeSet<Ori>,
    /// Of facilities in these jurisdictions.
    pub jurisdictions: BTreeSet<Jurisdiction>,
    /// In these states.
    pub release_states: BTreeSet<ReleaseState>,
    /// For these canonical reasons.
    pub reasons: BTreeSet<ReleaseReason>,
    /// At least so sure.
    pub minimum_certainty: Certainty,
    /// Only what answers a request of this subscriber.
    pub requests_only: bool,
}

/// What a facility and a subscriber agreed.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// Id and version.
    pub id: AgreementId,
    /// The facility; none: every one of the instance.
    pub facility: Option<Ori>,
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// Message kinds: `release`, `request`, `outcome`.
    pub kinds: Vec<String>,
    /// Field names a disclosure may carry at most.
    pub fields: BTreeSet<String>,
    /// Attempts before the fallback; 0: for ever.
    pub attempts: u32,
    /// `none`, `mail`, `fax`.
    pub fallback: String,
    /// By what right.
    pub legal_basis: String,
    /// To be reviewed by.
    pub review: EndDate,
    /// Last day.
    pub ends: EndDate,
}

/// A last day, inclusive, in UTC: over with the end of that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndDate(pub Date);

impl EndDate {
    /// Whether the day is over at `now`.
    pub fn is_past(self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() > self.0
    }

    /// Whole days that remain at `now`; negative when past.
    pub fn days_left(self, now: Timestamp) -> i32 {
        let today = now.to_zoned(TimeZone::UTC).date();
        today.until(self.0).map(|span| span.get_days()).unwrap_or_default()
    }
}

impl Registry {
    /// Parses and checks the whole file; every problem is listed.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        check::registry(text)
    }

    /// Keys of all nodes: any of them may have signed a notice or an answer.
    pub fn relay_keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.relays.iter().map(|relay| &relay.signing_key)
    }

    /// Whether the facility may still publish.
    pub fn live_facility(&self, ori: &Ori, now: Timestamp) -> Option<&Facility> {
        self.facilities.get(ori).filter(|facility| !facility.ends.is_some_and(|end| end.is_past(now)))
    }

    /// The agreement, if it covers this facility and subscriber and has not ended.
    pub fn live_agreement(
        &self,
        id: &AgreementName,
        ori: &Ori,
        subscriber: &SubscriberId,
        now: Timestamp,
    ) -> Option<&Agreement> {
        self.agreements.get(id).filter(|agreement| {
            agreement.subscriber == *subscriber
                && agreement.facility.as_ref().is_none_or(|facility| facility == ori)
                && !agreement.ends.is_past(now)
        })
    }
}
