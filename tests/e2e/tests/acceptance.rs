//! The good way of one event through the relay: committed once, addressed, answered, however often it comes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{World, jail::accepted, patience::SOON};
use sallyport_proto::{
    answer::Body,
    vocabulary::{RefusalCode, ReleaseReason, RoutedVerdict},
};

const A: &str = "zz0010000";
const B: &str = "zz0020000";

#[tokio::test(flavor = "multi_thread")]
async fn a_good_event_is_committed_once_accepted_and_addressed_under_both_signatures() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let event = jail.event(&["demo-supervision"]).unwrap();
    jail.publish(&event.bytes).await.unwrap();

    let accepted = jail.acceptance(&event).await.unwrap();
    assert_eq!(accepted.recipients, ["demo-supervision".parse().unwrap()]);
    assert!(accepted.unsubscribed.is_empty() && !accepted.predecessor_missing);

    // `take_and_settle` verifies the relay's signature over the notice and the jail's over head and disclosure.
    let agency = world.agency("demo-supervision").await.unwrap();
    let taken = agency.take_and_settle().await.unwrap();
    assert_eq!(taken.head.event_id, event.event_id);
    assert_eq!(taken.notice.event_digest, event.digest);
    assert_eq!(taken.notice.attempt, 0);
    assert_eq!(taken.disclosure.part.unwrap().booking_number.unwrap().expose(), "B-1");
    assert!(taken.notice.deadlines.received.is_some());

    let hub = world.hub().await.unwrap();
    let routed = hub.routed_of(&jail.ori, &event.event_id).await.unwrap();
    assert_eq!(routed.len(), 1, "exactly one record says how it was routed");
    assert_eq!(routed[0].event_digest, event.digest);
    assert_eq!(routed[0].verdict, RoutedVerdict::Routed);
    hub.settled("DELIVER", "demo-supervision", SOON).await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_disclosure_and_asked_for_nothing_is_not_told() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    // The supervision office subscribes to other reasons.
    let event = jail
        .draft(&["demo-supervision"])
        .unwrap()
        .because(ReleaseReason::TimeServed)
        .seal(&jail.signer)
        .unwrap();
    jail.publish(&event.bytes).await.unwrap();

    let accepted = jail.acceptance(&event).await.unwrap();
    assert!(accepted.recipients.is_empty());
    assert_eq!(accepted.unsubscribed, ["demo-supervision".parse().unwrap()]);
    let hub = world.hub().await.unwrap();
    assert!(hub.notices_of(&event.event_id).await.unwrap().is_empty());
    let routed = hub.routed_of(&jail.ori, &event.event_id).await.unwrap();
    assert_eq!(routed.len(), 1);
    assert_eq!(routed[0].verdict, RoutedVerdict::NoSubscription);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_copies_at_once_and_one_later_make_one_notice_and_each_is_answered() {
    const COPIES: usize = 50;
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let event = jail.event(&["demo-supervision"]).unwrap();
    let copies: Vec<_> = (0..COPIES).map(|_| jail.publish(&event.bytes)).collect();
    for stored in futures_util::future::join_all(copies).await {
        stored.unwrap();
    }
    jail.acceptance(&event).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    let before = jail.heard().unwrap().iter().filter(|a| accepted(a, &event).is_some()).count();
    assert!((1..=COPIES).contains(&before), "{before} answers");

    // Copies that came together share an answer; one that comes later gets its own.
    jail.publish(&event.bytes).await.unwrap();
    sallyport_e2e::patience::until("an answer to the late copy", SOON, || {
        let answers = jail.heard().unwrap().iter().filter(|a| accepted(a, &event).is_some()).count();
        async move { Ok((answers > before).then_some(())) }
    })
    .await
    .unwrap();
    assert_eq!(hub.routed_of(&jail.ori, &event.event_id).await.unwrap().len(), 1);
    assert_eq!(hub.notices_of(&event.event_id).await.unwrap().len(), 1);
    assert_eq!(hub.count("INGEST").await.unwrap(), COPIES as u64 + 1, "every copy was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_id_with_other_bytes_is_a_conflict_and_the_first_stays() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let draft = jail.draft(&["demo-supervision"]).unwrap();
    let first = draft.seal(&jail.signer).unwrap();
    let other = draft.with_other_bytes().seal(&jail.signer).unwrap();
    assert_eq!(first.event_id, other.event_id);
    assert_ne!(first.digest, other.digest);

    jail.publish(&first.bytes).await.unwrap();
    jail.acceptance(&first).await.unwrap();
    jail.publish(&other.bytes).await.unwrap();
    let refusal = jail.refusal(&other.bytes).await.unwrap();
    assert_eq!(refusal.code, RefusalCode::Conflict);
    assert!(refusal.permanent);
    assert_eq!(refusal.event_id, Some(first.event_id.clone()));

    let hub = world.hub().await.unwrap();
    let routed = hub.routed_of(&jail.ori, &first.event_id).await.unwrap();
    assert_eq!(routed.len(), 1);
    assert_eq!(routed[0].event_digest, first.digest);
    assert_eq!(hub.notices_of(&first.event_id).await.unwrap().len(), 1);
    let parked = hub.parked(&jail.ori).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].1.original, other.bytes);
    assert_eq!(parked[0].1.reason, "CONFLICT");

    // The jail that sends the first again is told again that it was accepted.
    jail.publish(&first.bytes).await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    let answers = hub.answers(&jail.ori).await.unwrap();
    let acceptances = answers.iter().filter(|a| matches!(a.body, Body::Acceptance(_))).count();
    assert_eq!(acceptances, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_one_event_in_one_batch_are_one_acceptance_and_one_conflict() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let draft = jail.draft(&["demo-supervision"]).unwrap();
    let first = draft.seal(&jail.signer).unwrap();
    let other = draft.with_other_bytes().seal(&jail.signer).unwrap();
    // Both lie there before the relay runs, so that it pulls them together.
    jail.publish(&first.bytes).await.unwrap();
    jail.publish(&other.bytes).await.unwrap();
    world.start_relay("a").unwrap();
    jail.acceptance(&first).await.unwrap();
    assert_eq!(jail.refusal(&other.bytes).await.unwrap().code, RefusalCode::Conflict);
    let hub = world.hub().await.unwrap();
    assert_eq!(hub.notices_of(&first.event_id).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_id_from_another_facility_is_another_event() {
    let world = World::routing(|_| {}).await.unwrap();
    let (mut here, mut there) = (world.jail(A).await.unwrap(), world.jail(B).await.unwrap());
    let draft = here.draft(&["demo-supervision"]).unwrap();
    let mut same_id = there.draft(&["demo-supervision"]).unwrap();
    same_id.head.event_id = draft.head.event_id.clone();
    let first = draft.seal(&here.signer).unwrap();
    let second = same_id.seal(&there.signer).unwrap();
    assert_eq!(first.event_id, second.event_id);

    here.publish(&first.bytes).await.unwrap();
    there.publish(&second.bytes).await.unwrap();
    here.acceptance(&first).await.unwrap();
    there.acceptance(&second).await.unwrap();
    let hub = world.hub().await.unwrap();
    assert_eq!(hub.notices_of(&first.event_id).await.unwrap().len(), 2);
    assert_eq!(hub.routed_of(&here.ori, &first.event_id).await.unwrap().len(), 1);
    assert_eq!(hub.routed_of(&there.ori, &first.event_id).await.unwrap().len(), 1);
}
