//! The registry, read a second time: what each subscriber asked for, and what has ended.
//! Out of scope: signatures and keys, which say nothing about who should have been told.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::mapping::Certainty;

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    facility: Vec<FacilityTable>,
    #[serde(default)]
    subscriber: Vec<SubscriberTable>,
    #[serde(default)]
    agreement: Vec<Agreement>,
}

#[derive(Debug, Deserialize)]
struct FacilityTable {
    ori: String,
    ends: Option<Date>,
}

#[derive(Debug, Deserialize)]
struct SubscriberTable {
    id: String,
    #[serde(default)]
    subscription: Vec<Subscription>,
}

#[derive(Debug, Deserialize)]
struct Subscription {
    expires: Option<Date>,
    #[serde(default)]
    filter: Filter,
}

/// Empty lists: any. An unknown key is refused: it could narrow what the audit would then take for asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    facilities: Vec<String>,
    jurisdictions: Vec<String>,
    release_states: Vec<String>,
    reasons: Vec<String>,
    minimum_certainty: Option<Certainty>,
    requests_only: bool,
}

#[derive(Debug, Deserialize)]
struct Agreement {
    id: String,
    facility: String,
    subscriber: String,
    kinds: Vec<String>,
    fields: Vec<String>,
    ends: Option<Date>,
}

/// What an agreement says today.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Terms<'a> {
    /// It lets release events through, with these fields at most.
    Standing { fields: &'a [String] },
    /// It, or the facility itself, has ended, or it was never about release events.
    Nothing,
}

/// The message kind of agreements that release events go under.
const RELEASE_KIND: &str = "release";

/// What a subscription can see of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) ori: &'a str,
    pub(crate) jurisdiction: &'a str,
    pub(crate) state: &'a str,
    /// The head's reason; absent when the head says none (CLOSED).
    pub(crate) reason: Option<&'a str>,
    pub(crate) certainty: Certainty,
    /// The disclosure answers a request of this subscriber.
    pub(crate) as_request: bool,
}

/// The subscriptions and agreements of one registry on one day.
#[derive(Debug)]
pub(crate) struct Registry {
    facilities: Vec<FacilityTable>,
    filters: BTreeMap<String, Vec<Filter>>,
    agreements: Vec<Agreement>,
    today: Date,
}

impl Registry {
    pub(crate) fn read(path: &Path, as_of: Timestamp) -> anyhow::Result<Self> {
        let file: File = toml::from_str(&std::fs::read_to_string(path)?)?;
        let today = as_of.to_zoned(TimeZone::UTC).date();
        let mut filters = BTreeMap::new();
        for subscriber in file.subscriber {
            let unexpired =
                subscriber.subscription.into_iter().filter(|s| s.expires.is_none_or(|last| today <= last));
            let unexpired: Vec<Filter> = unexpired.map(|s| s.filter).collect();
            ensure!(
                filters.insert(subscriber.id.clone(), unexpired).is_none(),
                "subscriber {} stands twice",
                subscriber.id
            );
        }
        Ok(Self { facilities: file.facility, filters, agreements: file.agreement, today })
    }

    /// What the agreement of these two says today; absent when the facility or the agreement is not listed.
    pub(crate) fn terms(&self, id: &str, ori: &str, subscriber: &str) -> Option<Terms<'_>> {
        let facility = self.facilities.iter().find(|facility| facility.ori == ori)?;
        let stands = |last: Option<Date>| last.is_none_or(|last| self.today <= last);
        let mut of_both = self
            .agreements
            .iter()
            .filter(|a| a.id == id && a.subscriber == subscriber && (a.facility == "*" || a.facility == ori))
            .peekable();
        of_both.peek()?;
        let standing = of_both.find(|a| stands(a.ends) && a.kinds.iter().any(|kind| kind == RELEASE_KIND));
        let standing = standing.filter(|_| stands(facility.ends));
        Some(standing.map_or(Terms::Nothing, |a| Terms::Standing { fields: &a.fields }))
    }

    /// Whether one of the subscriber's unexpired subscriptions asks for this.
    pub(crate) fn wants(&self, subscriber: &str, seen: Seen<'_>) -> bool {
        self.filters.get(subscriber).is_some_and(|filters| filters.iter().any(|filter| filter.matches(seen)))
    }
}

impl Filter {
    fn matches(&self, seen: Seen<'_>) -> bool {
        let any_or = |list: &[String], value: Option<&str>| {
            list.is_empty() || list.iter().any(|item| Some(item.as_str()) == value)
        };
        any_or(&self.facilities, Some(seen.ori))
            && any_or(&self.jurisdictions, Some(seen.jurisdiction))
            && any_or(&self.release_states, Some(seen.state))
            && any_or(&self.reasons, seen.reason)
            && self.minimum_certainty.is_none_or(|least| seen.certainty >= least)
            && (!self.requests_only || seen.as_request)
    }
}
