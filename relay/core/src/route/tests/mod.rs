//! Rules of routing, one claim each; `properties` has those that hold for any registry and event.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod properties;

use jiff::Timestamp;
use sallyport_proto::vocabulary::{Certainty, Priority, Purpose, ReleaseReason, ReleaseState, RoutedVerdict};

use super::*;
use crate::fixture::{self, RegistryText};

const NOW: &str = "2026-11-21T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Routes one disclosure to `fed-a` under agreement `agreed`, for SUPERVISION.
struct Case {
    registry: RegistryText,
    state: ReleaseState,
    reason: ReleaseReason,
    certainty: Certainty,
    purpose: Purpose,
    request: bool,
    told: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            registry: fixture::registry().subscriber("fed-a", &[fixture::subscription("s-1", "")]),
            state: ReleaseState::Released,
            reason: ReleaseReason::BondPosted,
            certainty: Certainty::Confirmed,
            purpose: Purpose::Supervision,
            request: false,
            told: false,
        }
    }
}

impl Case {
    fn asking(subscriptions: &[String]) -> Self {
        Self { registry: fixture::registry().subscriber("fed-a", subscriptions), ..Self::default() }
    }

    fn route(&self) -> Route {
        let index = Index::build(&self.registry.parse(), now());
        let mut head = fixture::head(1);
        (head.release_state, head.reason, head.certainty) = (self.state, self.reason, self.certainty);
        let mut disclosure = fixture::disclosure(&head, "fed-a");
        disclosure.purpose = self.purpose;
        disclosure.request_id = self.request.then(|| fixture::uuid(99).parse().unwrap());
        let before = BTreeSet::from(["fed-a".parse().unwrap()]);
        index.route(&head, [&disclosure], self.told.then_some(&before), now())
    }
}

/// The subscription by which `fed-a` is told; `-` without one; nothing when it is not told.
#[track_caller]
fn check(case: &Case, expect: Option<&str>) {
    let route = case.route();
    let told = route
        .recipients
        .first()
        .map(|matched| matched.recipient.subscription.as_ref().map_or("-".to_owned(), ToString::to_string));
    assert_eq!(told.as_deref(), expect);
    assert_eq!(route.unsubscribed.len(), usize::from(expect.is_none()), "nobody vanishes");
}

#[test]
fn an_empty_filter_matches_any_event_of_its_purpose() {
    check(&Case::default(), Some("s-1"));
    check(&Case { purpose: Purpose::CriminalWarrant, ..Case::default() }, None);
}

#[test]
fn every_condition_of_a_filter_must_hold() {
    let filters = [
        (r#"release_states = ["RELEASED"]"#, true),
        (r#"release_states = ["EXPECTED", "SCHEDULED"]"#, false),
        (r#"reasons = ["BOND_POSTED"]"#, true),
        (r#"reasons = ["ESCAPE"]"#, false),
        (r#"facilities = ["zz0010000"]"#, true),
        (r#"facilities = ["zz0020000"]"#, false),
        (r#"jurisdictions = ["zz"]"#, true),
        (r#"jurisdictions = ["yy"]"#, false),
        (r#"facilities = ["zz0010000"], jurisdictions = ["yy"]"#, false),
        (r#"facilities = ["zz0010000"], jurisdictions = ["zz", "yy"]"#, true),
        (r#"minimum_certainty = "CONFIRMED""#, true),
    ];
    for (filter, matches) in filters {
        check(&Case::asking(&[fixture::subscription("s-1", filter)]), matches.then_some("s-1"));
    }
    let sure = fixture::subscription("s-1", r#"minimum_certainty = "CONFIRMED""#);
    check(&Case { certainty: Certainty::Likely, ..Case::asking(&[sure]) }, None);
}

#[test]
fn requests_only_matches_what_answers_a_request() {
    let asks = || Case::asking(&[fixture::subscription("s-1", "requests_only = true")]);
    check(&asks(), None);
    check(&Case { request: true, ..asks() }, Some("s-1"));
    check(&Case { request: true, ..Case::default() }, Some("s-1"));
}

#[test]
fn the_best_of_several_matches_is_taken() {
    let with = |id, terms| fixture::subscription_with(id, "", terms);
    let slow = with("a-slow", r#"priority = "ROUTINE", received_within_s = 60"#);
    let quick = with("b-quick", r#"priority = "ROUTINE", received_within_s = 20"#);
    let also_quick = with("c-quick", r#"priority = "ROUTINE", received_within_s = 20"#);
    let urgent = with("d-urgent", r#"priority = "URGENT", received_within_s = 300"#);
    let elsewhere = fixture::subscription_with(
        "e-elsewhere",
        r#"facilities = ["zz0020000"]"#,
        r#"priority = "URGENT", received_within_s = 1"#,
    );
    let of = |list: &[&String]| Case::asking(&list.iter().map(|s| (*s).clone()).collect::<Vec<_>>());
    check(&of(&[&slow, &also_quick, &quick, &elsewhere]), Some("b-quick"));
    check(&of(&[&slow, &quick, &urgent]), Some("d-urgent"));
    let urgent_here = fixture::subscription_with(
        "z-here",
        r#"facilities = ["zz0010000"]"#,
        r#"priority = "URGENT", received_within_s = 10"#,
    );
    check(&of(&[&urgent, &urgent_here]), Some("z-here"));
    let terms = of(&[&urgent]).route().recipients.remove(0);
    assert_eq!((terms.recipient.priority, terms.terms.received_within_s), (Priority::Urgent, 300));
    assert_eq!(terms.terms.case_number.as_deref(), Some("EX-1"));
}

#[test]
fn nothing_goes_to_a_subscription_or_agreement_past_its_last_day() {
    let ends = |subscription: &str, agreement: &str| Case {
        registry: fixture::registry()
            .agreement_ends(agreement)
            .subscriber("fed-a", &[fixture::subscription_until("s-1", subscription)]),
        ..Case::default()
    };
    check(&ends("2026-11-21", "2026-11-21"), Some("s-1"));
    check(&ends("2026-11-20", "2026-11-21"), None);
    check(&ends("2026-11-21", "2026-11-20"), None);
    for told in [ends("2026-11-20", "2026-11-21"), ends("2026-11-21", "2026-11-20")] {
        check(&Case { told: true, ..told }, None);
    }
}

#[test]
fn an_index_that_outlives_midnight_stops_at_the_end_date() {
    let registry =
        fixture::registry().subscriber("fed-a", &[fixture::subscription_until("s-1", "2026-11-21")]);
    let index = Index::build(&registry.parse(), now());
    let head = fixture::head(1);
    let disclosure = fixture::disclosure(&head, "fed-a");
    let routed = |at: &str| index.route(&head, [&disclosure], None, at.parse().unwrap()).recipients.len();
    assert_eq!(routed("2026-11-21T23:59:59Z"), 1);
    assert_eq!(routed("2026-11-22T00:00:00Z"), 0);
}

#[test]
fn an_agreement_of_another_facility_or_kind_lets_nothing_through() {
    let with = |facility: &str, kinds: &str| Case {
        registry: fixture::registry()
            .agreement_for(facility, kinds)
            .subscriber("fed-a", &[fixture::subscription("s-1", "")]),
        ..Case::default()
    };
    check(&with("zz0010000", r#"["release"]"#), Some("s-1"));
    check(&with("zz0020000", r#"["release"]"#), None);
    check(&with("*", r#"["request"]"#), None);
}

#[test]
fn who_was_told_before_is_told_again_whatever_its_filter_says_now() {
    let other = fixture::subscription("s-1", r#"reasons = ["ESCAPE"]"#);
    check(&Case { told: true, ..Case::asking(std::slice::from_ref(&other)) }, Some("-"));
    check(&Case { told: false, ..Case::asking(&[other]) }, None);
    check(&Case { told: true, ..Case::default() }, Some("s-1"));
}

#[test]
fn a_withdrawal_reaches_whoever_was_told_whatever_the_rules_say_now() {
    for state in [ReleaseState::Retracted, ReleaseState::Closed] {
        let gone = || Case {
            registry: fixture::registry()
                .agreement_ends("2020-01-01")
                .subscriber("fed-a", &[fixture::subscription_until("s-1", "2020-01-01")]),
            state,
            told: true,
            ..Case::default()
        };
        check(&gone(), Some("-"));
        check(&Case { told: false, ..gone() }, None);
        check(&Case { registry: fixture::registry().subscriber("fed-a", &[]), ..gone() }, Some("-"));
        let unknown = Case { registry: fixture::registry().subscriber("fed-b", &[]), ..gone() };
        check(&unknown, None);
        let terms = gone().route().recipients.remove(0).terms;
        assert_eq!(terms.received_within_s, CORRECTION_RECEIVED_WITHIN_S);
    }
}

#[test]
fn the_predecessors_recipient_without_a_disclosure_is_not_told() {
    let registry = Case::default().registry;
    let index = Index::build(&registry.parse(), now());
    let mut head = fixture::head(1);
    head.release_state = ReleaseState::Retracted;
    let before = BTreeSet::from(["fed-a".parse().unwrap()]);
    let route = index.route(&head, [], Some(&before), now());
    assert_eq!(route, Route::default());
    assert_eq!(route.verdict(), RoutedVerdict::NoSubscription);
}
