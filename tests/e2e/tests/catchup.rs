//! A jail finds its missed answers by asking: all of its own, nobody else's, page by page.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use sallyport_e2e::{
    FakeJail, World,
    jail::accepted,
    patience::{SOON, until},
};
use sallyport_proto::{answer::Body, envelope::Digest, limits, subject};

const A: &str = "zz0010000";
const B: &str = "zz0020000";
const TO: &[&str] = &["demo-supervision"];

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_was_published_while_the_jail_was_away_is_found_by_catch_up() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    let away = world.jail(A).await.unwrap();
    let event = away.event(TO).unwrap();
    away.publish(&event.bytes).await.unwrap();
    away.login.client.drain().await.unwrap();
    drop(away);
    world.start_relay("a").unwrap();
    let hub = world.hub().await.unwrap();
    until("the acceptance is stored", SOON, || async {
        Ok((hub.count(subject::ANSWERS).await? == 1).then_some(()))
    })
    .await
    .unwrap();

    let mut back = world.jail(A).await.unwrap();
    let page = back.catch_up(0, None).await.unwrap();
    assert_eq!(page.answers.len(), 1);
    assert!(accepted(&page.answers[0].1, &event).is_some());
    assert!(!page.more);
    assert_eq!(page.sequence, page.answers[0].0);
    assert!(back.heard().unwrap().is_empty(), "live it was not heard");

    let again = back.catch_up(page.sequence, Some(page.stream_created)).await.unwrap();
    assert!(again.answers.is_empty() && !again.more, "asked after the last, there is nothing: {again:?}");
    assert_eq!(again.sequence, page.sequence);
}

/// Publishes `count` messages that each get a refusal of their own, and waits until all are answered.
async fn get_answers(world: &World, jail: &FakeJail, count: usize) -> BTreeSet<Digest> {
    let garbage: Vec<_> = (0..count).map(|n| format!("{} {n}", jail.ori).into_bytes()).collect();
    for stored in futures_util::future::join_all(garbage.iter().map(|bytes| jail.publish(bytes))).await {
        stored.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    garbage.iter().map(|bytes| Digest::of(bytes)).collect()
}

fn refused(page: &sallyport_e2e::jail::Page) -> Vec<Digest> {
    let digests = page.answers.iter().map(|(_, answer)| match &answer.body {
        Body::Refusal(refusal) => refusal.digest,
        other => panic!("{other:?}"),
    });
    digests.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_answers_than_a_page_holds_come_page_by_page_each_once_and_only_ones_own() {
    const MORE: usize = 44;
    let world = World::routing(|_| {}).await.unwrap();
    let (jail, other) = (world.jail(A).await.unwrap(), world.jail(B).await.unwrap());
    let (wanted, _) = tokio::join!(
        get_answers(&world, &jail, limits::CATCHUP_PAGE_MAX + MORE),
        get_answers(&world, &other, 40)
    );
    let first = jail.catch_up(0, None).await.unwrap();
    assert_eq!(first.answers.len(), limits::CATCHUP_PAGE_MAX);
    assert!(first.more);
    let second = jail.catch_up(first.sequence, Some(first.stream_created)).await.unwrap();
    assert_eq!(second.answers.len(), MORE);
    assert!(!second.more);
    let mut found = refused(&first);
    found.extend(refused(&second));
    assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "none twice");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
    let sequences: Vec<_> =
        first.answers.iter().chain(&second.answers).map(|(sequence, _)| *sequence).collect();
    assert!(sequences.is_sorted(), "in the order of the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_again_is_read_from_its_beginning() {
    let world = World::routing(|_| {}).await.unwrap();
    let jail = world.jail(A).await.unwrap();
    get_answers(&world, &jail, 5).await;
    let before = jail.catch_up(0, None).await.unwrap();
    assert_eq!(before.answers.len(), 5);

    let hub = world.hub().await.unwrap();
    hub.login.js.delete_stream(subject::ANSWERS).await.unwrap();
    world.provision().unwrap();
    let event = jail.event(TO).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    let after = until("the new stream's answer", SOON, || async {
        // Asked after sequence 5 of a stream that is gone: an honest service starts over.
        let page = jail.catch_up(before.sequence, Some(before.stream_created)).await?;
        Ok((!page.answers.is_empty()).then_some(page))
    })
    .await
    .unwrap();
    assert_ne!(after.stream_created, before.stream_created);
    assert!(accepted(&after.answers[0].1, &event).is_some());
    assert_eq!(after.answers[0].0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jail_cannot_ask_for_another_jails_answers() {
    let world = World::routing(|_| {}).await.unwrap();
    let (jail, other) = (world.jail(A).await.unwrap(), world.jail(B).await.unwrap());
    get_answers(&world, &other, 1).await;
    let asked = jail.ask_catch_up(&subject::notify_catchup(&other.st, &other.ori), Vec::new()).await;
    assert!(asked.is_err(), "{asked:?}");
    assert!(jail.login.was_refused(), "{:?}", jail.login.complaints());
    // Its own are served all the same.
    assert!(jail.catch_up(0, None).await.unwrap().answers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_with_an_error_and_spoils_nothing() {
    let world = World::routing(|_| {}).await.unwrap();
    let jail = world.jail(A).await.unwrap();
    let own = subject::notify_catchup(&jail.st, &jail.ori);
    let answer = jail.ask_catch_up(&own, b"\xff\xff nonsense".to_vec()).await;
    let error = answer.expect_err("an error is answered");
    assert!(error.to_string().contains("catchup_request: not protobuf of this message"), "{error:#}");
    assert!(jail.catch_up(0, None).await.unwrap().answers.is_empty());
}
