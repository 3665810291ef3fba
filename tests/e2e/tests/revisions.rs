//! Corrections follow the told, in order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use sallyport_e2e::{
    World,
    patience::{SOON, until},
};
use sallyport_proto::{
    ids::SubscriberId,
    vocabulary::{ReleaseReason, ReleaseState, RoutedVerdict},
};

const A: &str = "zz0010000";
const OFFICE: &str = "demo-supervision";

fn office() -> SubscriberId {
    OFFICE.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retraction_reaches_whoever_was_told_although_the_subscription_is_gone() {
    let mut world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let first = jail.draft(&[OFFICE]).unwrap();
    let told = first.seal(&jail.signer).unwrap();
    jail.publish(&told.bytes).await.unwrap();
    assert_eq!(jail.acceptance(&told).await.unwrap().recipients, [office()]);

    let subscriber = world.instance.subscribers.iter_mut().find(|s| s.id == OFFICE).unwrap();
    subscriber.subscribed = false;
    world.instance.rewrite_registry().unwrap();
    let version = world.instance.version;
    world.routes_by(&mut jail, version).await.unwrap();

    let unheard = jail.event(&[OFFICE]).unwrap();
    jail.publish(&unheard.bytes).await.unwrap();
    let accepted = jail.acceptance(&unheard).await.unwrap();
    assert!(accepted.recipients.is_empty(), "without a subscription nothing new is told");

    let retraction = jail.draft(&[OFFICE]).unwrap().follows(&first).in_state(ReleaseState::Retracted);
    let retraction = retraction.seal(&jail.signer).unwrap();
    jail.publish(&retraction.bytes).await.unwrap();
    let accepted = jail.acceptance(&retraction).await.unwrap();
    assert_eq!(accepted.recipients, [office()]);

    let agency = world.agency(OFFICE).await.unwrap();
    let taken = agency.take(2).await.unwrap();
    let states: Vec<_> = taken.iter().map(|t| t.head.release_state).collect();
    assert_eq!(states, [ReleaseState::Released, ReleaseState::Retracted], "in order, and nothing between");
    let withdrawn = &taken[1];
    assert_eq!(withdrawn.notice.predecessor, Some(told.event_id));
    assert_eq!(withdrawn.notice.subscription, None);
    assert!(withdrawn.disclosure.part.is_none(), "it carries nothing but: disregard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_no_subscription_matches_still_reaches_whoever_was_told() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let first = jail.draft(&[OFFICE]).unwrap();
    let told = first.seal(&jail.signer).unwrap();
    // Nobody subscribes to this reason: only who was told before is told.
    let second = jail.draft(&[OFFICE]).unwrap().follows(&first).because(ReleaseReason::TimeServed);
    let second = second.seal(&jail.signer).unwrap();
    jail.publish(&told.bytes).await.unwrap();
    jail.publish(&second.bytes).await.unwrap();
    assert_eq!(jail.acceptance(&second).await.unwrap().recipients, [office()]);
    let taken = world.agency(OFFICE).await.unwrap().take(2).await.unwrap();
    assert_eq!(taken[0].notice.predecessor, None);
    assert_eq!(taken[1].notice.predecessor, Some(told.event_id));
    assert_eq!(taken[1].head.revision, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_comes_before_its_predecessor_waits_and_both_are_routed_in_order() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let first = jail.draft(&[OFFICE]).unwrap();
    let second = jail.draft(&[OFFICE]).unwrap().follows(&first).because(ReleaseReason::BondPosted);
    let (first, second) = (first.seal(&jail.signer).unwrap(), second.seal(&jail.signer).unwrap());

    jail.publish(&second.bytes).await.unwrap();
    let hub = world.hub().await.unwrap();
    // Delivered at least twice: it was looked at, put off, and looked at again.
    until("the early revision comes round again", SOON, || async {
        let durable = hub.durable("INGEST", "relay").await?;
        Ok((durable.delivered.consumer_sequence >= 2).then_some(()))
    })
    .await
    .unwrap();
    assert!(hub.routed_of(&jail.ori, &second.event_id).await.unwrap().is_empty(), "it waits");
    assert!(jail.heard().unwrap().is_empty(), "and nobody was told anything");

    jail.publish(&first.bytes).await.unwrap();
    jail.acceptance(&first).await.unwrap();
    let accepted = jail.acceptance(&second).await.unwrap();
    assert!(!accepted.predecessor_missing);
    let taken = world.agency(OFFICE).await.unwrap().take(2).await.unwrap();
    let revisions: Vec<_> = taken.iter().map(|t| t.head.revision).collect();
    assert_eq!(revisions, [1, 2]);
    hub.settled("INGEST", "relay", SOON).await.unwrap();
}

/// The one wait of a minute that the relay promises, in full; and what comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_without_its_predecessor_is_routed_after_a_minute_and_the_late_one_is_shown_as_superseded()
{
    let mut world = World::routing(|_| {}).await.unwrap();
    world.start_subscriber(OFFICE).unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let late = jail.draft(&[OFFICE]).unwrap();
    let orphan = jail.draft(&[OFFICE]).unwrap().follows(&late).seal(&jail.signer).unwrap();
    let late = late.seal(&jail.signer).unwrap();
    jail.publish(&orphan.bytes).await.unwrap();
    let began = tokio::time::Instant::now();
    let accepted = jail.acceptance_within(&orphan, Duration::from_secs(100)).await.unwrap();
    assert!(accepted.predecessor_missing);
    assert!(began.elapsed() >= Duration::from_secs(55), "it waited: {:?}", began.elapsed());
    let hub = world.hub().await.unwrap();
    let routed = hub.routed_of(&jail.ori, &orphan.event_id).await.unwrap();
    assert_eq!(routed.len(), 1);
    assert!(routed[0].predecessor_missing);
    assert_eq!(routed[0].verdict, RoutedVerdict::Routed);
    let notices = hub.notices_of(&orphan.event_id).await.unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].predecessor_missing);
    hub.settled("DELIVER", OFFICE, SOON).await.unwrap();

    jail.publish(&late.bytes).await.unwrap();
    jail.acceptance(&late).await.unwrap();
    hub.settled("DELIVER", OFFICE, SOON).await.unwrap();
    let log = std::fs::read_to_string(world.instance.hand_over_log(OFFICE)).unwrap();
    let told: Vec<_> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| (line["revision"].as_u64().unwrap(), line["superseded"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [(2, false), (1, true)], "the late older one is handed over as what it is");
    let receipts = hub.receipts().await.unwrap();
    let late_one = receipts
        .iter()
        .flat_map(|receipt| &receipt.notices)
        .find(|notice| notice.notice_id.event() == late.event_id)
        .expect("it is receipted");
    assert!(late_one.superseded);
}
