//! Joins what a jail allows with what subscribers ask for. It can only narrow: a recipient always holds a disclosure.
//!
//! Out of scope: signatures, who may publish, and how far the predecessor got (the shell reads its `routed` record and
//! passes whom it was addressed to).

mod index;
mod mask;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::Disclosure,
    event::ReleaseHead,
    ids::SubscriberId,
    provenance::TrafficClass,
    registry::Registry,
    routed::Recipient,
    vocabulary::{Priority, Purpose, RoutedVerdict},
};

pub use index::Index;

/// When RECEIVED is due from somebody who is told only because the predecessor was, and has no subscription left whose
/// terms could be taken: the machine deadline of a registry that names none.
pub const CORRECTION_RECEIVED_WITHIN_S: u32 = 30;

/// A registry with its routing index: one thing, so that a route names the version it was made by.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Its index.
    pub index: Index,
}

impl Routing {
    /// Indexes a registry.
    pub fn new(registry: Arc<Registry>, now: Timestamp) -> Self {
        let index = Index::build(&registry, now);
        Self { registry, index }
    }
}

/// Who is told of one event, and who holds a disclosure and is not told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// In the order of the disclosures.
    pub recipients: Vec<Matched>,
    /// Hold a disclosure, and neither match a subscription nor were told of the predecessor.
    pub unsubscribed: Vec<SubscriberId>,
}

/// One recipient, with the terms of its notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// As it goes into the `routed` record.
    pub recipient: Recipient,
    /// Index of its disclosure in the event.
    pub disclosure: usize,
    /// What its notice says beside the head and the disclosure.
    pub terms: Terms,
}

/// The terms under which a notice goes out: those of the subscription that matched, or, for a correction that follows
/// the told, those of the best subscription the subscriber still has for the purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// RECEIVED is due after so many seconds.
    pub received_within_s: u32,
    /// SEEN is due after so many seconds.
    pub seen_within_s: Option<u32>,
    /// The subscriber's case.
    pub case_number: Option<String>,
    /// The subscriber's legal basis.
    pub legal_basis: Option<String>,
    /// What it is told for: disclosure and subscription agree on it.
    pub purpose: Purpose,
}

impl Route {
    /// The verdict of the `routed` record.
    pub fn verdict(&self) -> RoutedVerdict {
        if self.recipients.is_empty() { RoutedVerdict::NoSubscription } else { RoutedVerdict::Routed }
    }
}

impl Index {
    /// Decides who is told. `predecessor`: whom the event that this one supersedes was addressed to, when it is known.
    ///
    /// A subscriber with a disclosure is told when one of its unexpired subscriptions matches, or when it was told of
    /// the predecessor; both under a live agreement. A withdrawal (RETRACTED, CLOSED) goes to whoever was told before as
    /// long as the registry knows them: it carries nothing but "disregard", and no end date may keep a false fact alive.
    pub fn route<'d>(
        &self,
        head: &ReleaseHead,
        disclosures: impl IntoIterator<Item = &'d Disclosure>,
        predecessor: Option<&BTreeSet<SubscriberId>>,
        now: Timestamp,
    ) -> Route {
        let mut route = Route::default();
        for (number, disclosure) in disclosures.into_iter().enumerate() {
            let told = predecessor.is_some_and(|before| before.contains(&disclosure.subscriber_id));
            match self.decide(head, disclosure, told, now) {
                Some((subscription, priority, terms)) => route.recipients.push(Matched {
                    recipient: Recipient {
                        subscriber: disclosure.subscriber_id.clone(),
                        subscription,
                        predecessor: told,
                        priority,
                    },
                    disclosure: number,
                    terms,
                }),
                None => route.unsubscribed.push(disclosure.subscriber_id.clone()),
            }
        }
        route
    }

    fn decide(
        &self,
        head: &ReleaseHead,
        disclosure: &Disclosure,
        told: bool,
        now: Timestamp,
    ) -> Option<(Option<sallyport_proto::ids::SubscriptionId>, Priority, Terms)> {
        let asked = self.subscriber(&disclosure.subscriber_id)?;
        let agreed = self.agrees(disclosure, &head.ori, now);
        // A ping asks whether the path works, not what travels on it: the filter has no say, the agreement has.
        if agreed
            && head.traffic == TrafficClass::Ping
            && let Some(entry) = asked.best_for(disclosure.purpose, now)
        {
            return Some((Some(entry.id.clone()), entry.priority, entry.terms()));
        }
        if agreed && let Some(entry) = asked.best_match(head, disclosure, now) {
            return Some((Some(entry.id.clone()), entry.priority, entry.terms()));
        }
        if !told {
            return None;
        }
        let kept = asked.best_for(disclosure.purpose, now);
        if !(head.release_state.withdraws() || agreed && kept.is_some()) {
            return None;
        }
        Some(match kept {
            Some(entry) => (None, entry.priority, entry.terms()),
            None => (
                None,
                Priority::Routine,
                Terms {
                    received_within_s: CORRECTION_RECEIVED_WITHIN_S,
                    seen_within_s: None,
                    case_number: None,
                    legal_basis: None,
                    purpose: disclosure.purpose,
                },
            ),
        })
    }
}
