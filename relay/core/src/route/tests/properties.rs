//! What holds for any registry, event and predecessor.

use proptest::prelude::*;

use super::*;

/// The slow reading of the rules: every subscription, one condition after the other.
fn matches_slowly(
    registry: &sallyport_proto::registry::Registry,
    head: &ReleaseHead,
    d: &Disclosure,
) -> bool {
    let Some(subscriber) = registry.subscribers.get(&d.subscriber_id) else { return false };
    let agreed = registry
        .live_agreement(&d.agreement.id, &head.ori, &d.subscriber_id, now())
        .is_some_and(|agreement| agreement.kinds.iter().any(|kind| kind == "release"));
    let any_or = |empty: bool, holds: bool| empty || holds;
    agreed
        && subscriber.subscriptions.iter().any(|s| {
            let f = &s.filter;
            !s.expires.is_past(now())
                && s.purpose == d.purpose
                && any_or(f.facilities.is_empty(), f.facilities.contains(&head.ori))
                && any_or(f.jurisdictions.is_empty(), f.jurisdictions.contains(&head.jurisdiction))
                && any_or(f.release_states.is_empty(), f.release_states.contains(&head.release_state))
                && any_or(f.reasons.is_empty(), f.reasons.contains(&head.reason))
                && head.certainty >= f.minimum_certainty
                && (!f.requests_only || d.request_id.is_some())
        })
}

fn any_filter() -> impl Strategy<Value = String> {
    let words = |all: &'static [&'static str]| prop::sample::subsequence(all, 0..=all.len());
    (
        words(&["zz0010000", "zz0020000"]),
        words(&["zz", "yy"]),
        words(&["RELEASED", "EXPECTED", "RETRACTED"]),
        words(&["BOND_POSTED", "ESCAPE", "UNKNOWN"]),
        prop::sample::select(vec!["INFERRED", "LIKELY", "CONFIRMED"]),
        any::<bool>(),
    )
        .prop_map(|(facilities, jurisdictions, states, reasons, certainty, requests)| {
            format!(
                "facilities = {facilities:?}, jurisdictions = {jurisdictions:?}, release_states = {states:?}, \
                 reasons = {reasons:?}, minimum_certainty = \"{certainty}\", requests_only = {requests}"
            )
        })
}

fn any_case()
-> impl Strategy<Value = (RegistryText, ReleaseHead, Vec<Disclosure>, Option<BTreeSet<SubscriberId>>)> {
    let ids = ["fed-a", "fed-b", "fed-c", "unknown-d"];
    let until = prop::sample::select(vec!["2026-11-20", "2026-11-21", "2027-01-01"]);
    let subscription = (any_filter(), until.clone(), 0..3_u32);
    let subscribers = prop::collection::vec(prop::collection::vec(subscription, 0..4), 3);
    let event = (
        prop::sample::select(ReleaseState::ALL),
        prop::sample::select(ReleaseReason::ALL),
        prop::sample::select(Certainty::ALL),
    );
    let disclosed = prop::sample::subsequence(ids.to_vec(), 0..=4);
    let purpose = prop::sample::select(vec![Purpose::Supervision, Purpose::CriminalWarrant]);
    let told = prop::option::of(prop::sample::subsequence(ids.to_vec(), 0..=4));
    (subscribers, event, disclosed, purpose, any::<bool>(), told, until).prop_map(
        |(subscribers, event, disclosed, purpose, request, told, agreement_ends)| {
            let mut registry = fixture::registry().agreement_ends(agreement_ends);
            for (id, subscriptions) in ["fed-a", "fed-b", "fed-c"].into_iter().zip(subscribers) {
                let texts: Vec<String> = subscriptions
                    .iter()
                    .enumerate()
                    .map(|(n, (filter, expires, quick))| {
                        let terms = format!(r#"priority = "ROUTINE", received_within_s = {quick}"#);
                        fixture::subscription_full(&format!("s-{n}"), filter, expires, &terms)
                    })
                    .collect();
                registry = registry.subscriber(id, &texts);
            }
            let mut head = fixture::head(1);
            (head.release_state, head.reason, head.certainty) = event;
            let disclosures = disclosed
                .into_iter()
                .map(|id| {
                    let mut disclosure = fixture::disclosure(&head, id);
                    disclosure.purpose = purpose;
                    disclosure.request_id = request.then(|| fixture::uuid(99).parse().unwrap());
                    disclosure
                })
                .collect();
            let told = told.map(|ids| ids.into_iter().map(|id| id.parse().unwrap()).collect());
            (registry, head, disclosures, told)
        },
    )
}

proptest! {
    #[test]
    fn a_route_never_widens_and_loses_nobody((registry, head, disclosures, told) in any_case()) {
        let registry = registry.parse();
        let route = Index::build(&registry, now()).route(&head, &disclosures, told.as_ref(), now());
        let mut named: Vec<&SubscriberId> = route
            .recipients
            .iter()
            .map(|m| &m.recipient.subscriber)
            .chain(&route.unsubscribed)
            .collect();
        named.sort();
        let mut disclosed: Vec<&SubscriberId> = disclosures.iter().map(|d| &d.subscriber_id).collect();
        disclosed.sort();
        prop_assert_eq!(named, disclosed, "recipients and unsubscribed together are those with a disclosure");
        for matched in &route.recipients {
            let disclosure = &disclosures[matched.disclosure];
            prop_assert_eq!(&disclosure.subscriber_id, &matched.recipient.subscriber);
            prop_assert_eq!(disclosure.purpose, matched.terms.purpose);
            prop_assert!(matched.recipient.subscription.is_some() || matched.recipient.predecessor);
            prop_assert!(registry.subscribers.contains_key(&disclosure.subscriber_id));
        }
    }

    #[test]
    fn the_index_agrees_with_the_slow_reading_of_the_rules((registry, head, disclosures, _) in any_case()) {
        let registry = registry.parse();
        let route = Index::build(&registry, now()).route(&head, &disclosures, None, now());
        for disclosure in &disclosures {
            let matched = route.recipients.iter().any(|m| m.recipient.subscriber == disclosure.subscriber_id);
            prop_assert_eq!(matched, matches_slowly(&registry, &head, disclosure));
        }
    }
}
