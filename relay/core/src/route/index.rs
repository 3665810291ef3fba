//! The registry, laid out for routing: from a subscriber and a place to its subscriptions, best first.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use sallyport_proto::{
    disclosure::Disclosure,
    event::ReleaseHead,
    ids::{AgreementName, Jurisdiction, Ori, SubscriberId, SubscriptionId},
    registry::{EndDate, Registry, Subscription},
    vocabulary::{Priority, Purpose},
};

use super::{Terms, mask::Mask};

/// The kind of an agreement that lets release events through.
const RELEASE_KIND: &str = "release";

/// Built once per registry; holds everything a route needs.
#[derive(Debug, Clone)]
pub struct Index {
    version: u64,
    subscribers: BTreeMap<SubscriberId, Asked>,
    agreements: BTreeMap<AgreementName, Agreed>,
}

#[derive(Debug, Clone)]
struct Agreed {
    facility: Option<Ori>,
    subscriber: SubscriberId,
    over_at: Timestamp,
}

/// What one subscriber asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Best first: URGENT, then the shortest RECEIVED deadline, then by id.
    entries: Vec<Entry>,
    /// Places in `entries`, by facility, for filters that name facilities.
    by_facility: BTreeMap<Ori, Bucket>,
    /// The same for filters that name jurisdictions only.
    by_jurisdiction: BTreeMap<Jurisdiction, Bucket>,
    /// Filters that name no place.
    anywhere: Bucket,
}

/// Places in `entries`, best first, under what they admit: subscriptions with the same filter are looked at once, and the
/// filters lie side by side, so that looking through many that do not match touches little memory.
#[derive(Debug, Clone, Default)]
struct Bucket {
    masks: Vec<Mask>,
    places: Vec<Vec<u32>>,
}

/// One subscription.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: SubscriptionId,
    pub(super) priority: Priority,
    received_within_s: u32,
    seen_within_s: Option<u32>,
    case_number: String,
    legal_basis: String,
    purpose: Purpose,
    over_at: Timestamp,
    /// Named beside facilities: both must hold.
    jurisdictions: Vec<Jurisdiction>,
}

impl Index {
    /// Lays out `registry`. What is past its end date at `now` is left out; what ends later is checked at each route, so
    /// an index may be kept over midnight.
    pub fn build(registry: &Registry, now: Timestamp) -> Self {
        let agreements = registry.agreements.values().filter(|agreement| {
            agreement.kinds.iter().any(|kind| kind == RELEASE_KIND) && !agreement.ends.is_past(now)
        });
        Self {
            version: registry.version,
            subscribers: registry
                .subscribers
                .values()
                .map(|subscriber| (subscriber.id.clone(), Asked::of(&subscriber.subscriptions, now)))
                .collect(),
            agreements: agreements
                .map(|agreement| {
                    let agreed = Agreed {
                        facility: agreement.facility.clone(),
                        subscriber: agreement.subscriber.clone(),
                        over_at: over_at(agreement.ends),
                    };
                    (agreement.id.id.clone(), agreed)
                })
                .collect(),
        }
    }

    /// Of the registry it was built from: goes into notices and `routed` records.
    pub fn registry_version(&self) -> u64 {
        self.version
    }

    pub(super) fn subscriber(&self, id: &SubscriberId) -> Option<&Asked> {
        self.subscribers.get(id)
    }

    /// Whether the agreement that the disclosure names covers facility and subscriber, and has not ended.
    pub(super) fn agrees(&self, disclosure: &Disclosure, ori: &Ori, now: Timestamp) -> bool {
        self.agreements.get(&disclosure.agreement.id).is_some_and(|agreed| {
            agreed.subscriber == disclosure.subscriber_id
                && agreed.facility.as_ref().is_none_or(|facility| facility == ori)
                && now < agreed.over_at
        })
    }
}

impl Asked {
    fn of(subscriptions: &[Subscription], now: Timestamp) -> Self {
        let mut live: Vec<&Subscription> =
            subscriptions.iter().filter(|subscription| !subscription.expires.is_past(now)).collect();
        live.sort_by(|a, b| {
            let best_first = |s: &Subscription| (s.priority != Priority::Urgent, s.received_within_s);
            best_first(a).cmp(&best_first(b)).then_with(|| a.id.cmp(&b.id))
        });
        let mut asked = Self::default();
        for (place, subscription) in live.into_iter().enumerate() {
            let (place, mask) =
                (u32::try_from(place).unwrap_or(u32::MAX), Mask::of_subscription(subscription));
            let filter = &subscription.filter;
            if !filter.facilities.is_empty() {
                for ori in &filter.facilities {
                    asked.by_facility.entry(ori.clone()).or_default().push(mask, place);
                }
            } else if !filter.jurisdictions.is_empty() {
                for jurisdiction in &filter.jurisdictions {
                    asked.by_jurisdiction.entry(jurisdiction.clone()).or_default().push(mask, place);
                }
            } else {
                asked.anywhere.push(mask, place);
            }
            asked.entries.push(Entry::of(subscription));
        }
        asked
    }

    /// The best subscription that matches this disclosure of this event.
    pub(super) fn best_match(
        &self,
        head: &ReleaseHead,
        disclosure: &Disclosure,
        now: Timestamp,
    ) -> Option<&Entry> {
        let event = Mask::of_event(
            head.release_state,
            head.reason,
            head.certainty,
            disclosure.purpose,
            disclosure.request_id.is_some(),
        );
        let here = |entry: &Entry| {
            now < entry.over_at
                && (entry.jurisdictions.is_empty() || entry.jurisdictions.contains(&head.jurisdiction))
        };
        let buckets = [
            self.by_facility.get(&head.ori),
            self.by_jurisdiction.get(&head.jurisdiction),
            Some(&self.anywhere),
        ];
        let firsts =
            buckets.into_iter().flatten().flat_map(|bucket| bucket.admitting(event)).filter_map(|places| {
                places.iter().copied().find(|place| self.entries.get(*place as usize).is_some_and(here))
            });
        firsts.min().and_then(|place| self.entries.get(place as usize))
    }

    /// The best subscription left for a purpose, whatever its filter.
    pub(super) fn best_for(&self, purpose: Purpose, now: Timestamp) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.purpose == purpose && now < entry.over_at)
    }
}

impl Bucket {
    /// Places come best first, and stay so under each mask.
    fn push(&mut self, mask: Mask, place: u32) {
        match self.masks.iter().position(|known| *known == mask) {
            Some(at) => self.places[at].push(place),
            None => {
                self.masks.push(mask);
                self.places.push(vec![place]);
            }
        }
    }

    fn admitting(&self, event: Mask) -> impl Iterator<Item = &Vec<u32>> {
        self.masks
            .iter()
            .zip(&self.places)
            .filter(move |(mask, _)| mask.admits(event))
            .map(|(_, places)| places)
    }
}

impl Entry {
    fn of(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.clone(),
            priority: subscription.priority,
            received_within_s: subscription.received_within_s,
            seen_within_s: subscription.seen_within_s,
            case_number: subscription.case_number.clone(),
            legal_basis: subscription.legal_basis.clone(),
            purpose: subscription.purpose,
            over_at: over_at(subscription.expires),
            jurisdictions: subscription.filter.jurisdictions.iter().cloned().collect(),
        }
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            received_within_s: self.received_within_s,
            seen_within_s: self.seen_within_s,
            case_number: Some(self.case_number.clone()),
            legal_basis: Some(self.legal_basis.clone()),
            purpose: self.purpose,
        }
    }
}

/// The first instant at which an inclusive last day, in UTC, is over.
fn over_at(end: EndDate) -> Timestamp {
    end.0.tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC)).map_or(Timestamp::MAX, |day| day.timestamp())
}
