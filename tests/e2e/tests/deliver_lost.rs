//! DELIVER is lost under a relay that runs on: what was committed there counts no more, whatever the relay remembers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    FakeJail, Hub, Sealed, World,
    jail::accepted,
    patience::{AFTER_REDELIVERY, SOON, until},
};

const JAIL: &str = "zz0010000";

/// Sends the same bytes again, and waits for an answer to this copy.
async fn sent_again(jail: &mut FakeJail, hub: &Hub, event: &Sealed) {
    let before = jail.heard().unwrap().iter().filter(|a| accepted(a, event).is_some()).count();
    jail.publish(&event.bytes).await.unwrap();
    until("an answer to the copy", AFTER_REDELIVERY, || {
        let answers = jail.heard().unwrap().iter().filter(|a| accepted(a, event).is_some()).count();
        async move { Ok((answers > before).then_some(())) }
    })
    .await
    .unwrap();
    // When it is answered, it stands there.
    assert_eq!(hub.routed_of(&jail.ori, &event.event_id).await.unwrap().len(), 1, "accepted, and not there");
    assert_eq!(hub.notices_of(&event.event_id).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_deliver_was_made_anew_under_a_running_relay_is_committed_again_before_it_is_accepted()
{
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let events: Vec<_> = (0..3).map(|_| jail.event(&["demo-supervision"]).unwrap()).collect();
    for event in &events {
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(event).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();

    hub.delete_stream("DELIVER").await.unwrap();
    world.provision().unwrap();
    assert!(hub.routed().await.unwrap().is_empty());
    sent_again(&mut jail, &hub, &events[0]).await;
    // What was committed since does not make the rest true.
    sent_again(&mut jail, &hub, &events[2]).await;
    assert_eq!(hub.routed().await.unwrap().len(), 2, "nobody sent the second again");
    let log = world.log_of("relay-a");
    assert!(log.contains("DELIVER does not hold any more what was committed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_records_were_cut_off_deliver_is_committed_again_before_it_is_accepted() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let (first, last) =
        (jail.event(&["demo-supervision"]).unwrap(), jail.event(&["demo-supervision"]).unwrap());
    for event in [&first, &last] {
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(event).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();

    // The stream is the same one; its last messages are gone.
    let routed = format!("hub.v1.routed.*.*.{}", last.event_id);
    let notices = format!("hub.v1.deliver.*.*.*.{}.*", last.event_id);
    let deliver = hub.stream("DELIVER").await.unwrap();
    for filter in [routed, notices] {
        for message in hub.all("DELIVER", &filter).await.unwrap() {
            deliver.delete_message(message.sequence).await.unwrap();
        }
    }
    assert!(hub.routed_of(&jail.ori, &last.event_id).await.unwrap().is_empty());
    sent_again(&mut jail, &hub, &last).await;
    // What is still there is answered as it stands.
    sent_again(&mut jail, &hub, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_while_there_is_no_deliver() {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let event = jail.event(&["demo-supervision"]).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.acceptance(&event).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    let answers = async || hub.answers(&jail.ori).await.unwrap().len();
    let before = answers().await;

    hub.delete_stream("DELIVER").await.unwrap();
    jail.publish(&event.bytes).await.unwrap();
    until("the relay has had the copy in hand more than once", AFTER_REDELIVERY, || async {
        Ok((hub.durable("INGEST", "relay").await?.num_redelivered > 0).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(answers().await, before);
    world.provision().unwrap();
    until("an answer", AFTER_REDELIVERY, || async { Ok((answers().await > before).then_some(())) })
        .await
        .unwrap();
    assert_eq!(hub.routed_of(&jail.ori, &event.event_id).await.unwrap().len(), 1);
}
