//! Several relay nodes on the same events: exactly once, whoever is first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sallyport_e2e::{
    World,
    patience::{AFTER_REDELIVERY, SOON},
};
use sallyport_proto::{answer::Body, ids::SubscriberId};

const A: &str = "zz0010000";
const B: &str = "zz0020000";
const OFFICE: &str = "demo-supervision";

/// Under the relay's ack_wait, with room for a start.
const BEFORE_REDELIVERY: Duration = Duration::from_secs(7);

fn two_nodes(instance: &mut sallyport_ground::Instance) {
    instance.nodes = vec!["a".into(), "b".into()];
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_different_registries_route_each_of_300_events_once_and_consistently() {
    const EVENTS: usize = 300;
    const COPIES: usize = 3;
    const APART: usize = 100;
    let mut world = World::provisioned(two_nodes).await.unwrap();
    // By node b's newer registry the office asks for nothing any more.
    let mut newer = world.instance.clone();
    newer.version += 1;
    newer.subscribers.iter_mut().find(|s| s.id == OFFICE).unwrap().subscribed = false;
    newer.write_registry_for("b").unwrap();
    world.start_relay("a").unwrap();
    world.start_relay("b").unwrap();
    world.relays_are_up().await.unwrap();

    let mut jails = [world.jail(A).await.unwrap(), world.jail(B).await.unwrap()];
    let events: Vec<_> = (0..EVENTS).map(|n| jails[n % 2].event(&[OFFICE]).unwrap()).collect();
    // The shared durable gives each message to one node: copies are what makes both work on the same event.
    // They lie further apart than a pull is long, so that the nodes hold copies of one event at the same time.
    for chunk in events.chunks(APART) {
        let copies = (0..COPIES).flat_map(|_| chunk.iter().enumerate());
        let stored = copies.map(|(n, event)| jails[n % 2].publish(&event.bytes));
        for stored in futures_util::future::join_all(stored).await {
            stored.unwrap();
        }
    }
    for (n, event) in events.iter().enumerate() {
        jails[n % 2].acceptance_within(event, AFTER_REDELIVERY).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", AFTER_REDELIVERY).await.unwrap();
    let lost_races =
        ["relay-a", "relay-b"].map(|node| world.log_of(node).matches("batch not confirmed").count());
    eprintln!("batches that lost a race, per node: {lost_races:?}");

    let routed = hub.routed().await.unwrap();
    let ids: BTreeSet<_> = routed.iter().map(|r| r.event_id.clone()).collect();
    assert_eq!(routed.len(), EVENTS, "one record per event");
    assert_eq!(ids.len(), EVENTS, "and of different events");
    let nodes: BTreeSet<_> = routed.iter().map(|r| r.relay_node.to_string()).collect();
    assert_eq!(nodes.len(), 2, "both nodes won some: {nodes:?}");

    let mut told: BTreeMap<_, Vec<SubscriberId>> = BTreeMap::new();
    for notice in hub.notices("*").await.unwrap() {
        let routed = routed.iter().find(|r| r.event_id == notice.notice_id.event()).unwrap();
        assert_eq!(notice.registry_version, routed.registry_version, "notice and record of one batch");
        told.entry(notice.notice_id.event()).or_default().push(notice.subscriber());
    }
    for record in &routed {
        let recipients: Vec<_> = record.recipients.iter().map(|r| r.subscriber.clone()).collect();
        let by_first_registry = record.registry_version == world.instance.version;
        assert_eq!(recipients.len(), usize::from(by_first_registry), "{record:?}");
        assert_eq!(told.get(&record.event_id).cloned().unwrap_or_default(), recipients);
    }
    // Every answer, to whichever copy and by whichever node, says what the record says.
    for jail in &jails {
        for answer in hub.answers(&jail.ori).await.unwrap() {
            let Body::Acceptance(accepted) = answer.body else { panic!("{answer:?}") };
            for event in accepted {
                let record = routed.iter().find(|r| r.event_id == event.event_id).unwrap();
                assert_eq!(event.registry_version, record.registry_version);
                assert_eq!(event.recipients.len(), record.recipients.len());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_had_in_hand_is_routed_by_the_other() {
    const EVENTS: usize = 120;
    let mut world = World::routing(two_nodes).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let events: Vec<_> = (0..EVENTS).map(|_| jail.event(&[OFFICE]).unwrap()).collect();
    let half = EVENTS / 2;
    for event in &events[..half] {
        jail.publish(&event.bytes).await.unwrap();
    }
    world.kill9("relay-a").unwrap();
    for event in &events[half..] {
        jail.publish(&event.bytes).await.unwrap();
    }
    for event in &events {
        jail.acceptance_within(event, AFTER_REDELIVERY).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", AFTER_REDELIVERY).await.unwrap();
    assert_eq!(hub.routed().await.unwrap().len(), EVENTS);
    assert_eq!(hub.notices(OFFICE).await.unwrap().len(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_to_end_leaves_nothing_undone() {
    const EVENTS: usize = 100;
    let mut world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let events: Vec<_> = (0..EVENTS).map(|_| jail.event(&[OFFICE]).unwrap()).collect();
    for stored in futures_util::future::join_all(events.iter().map(|e| jail.publish(&e.bytes))).await {
        stored.unwrap();
    }
    jail.acceptance(&events[0]).await.unwrap();
    world.end("relay-a").unwrap();
    world.start_relay("a").unwrap();
    // What the node had fetched it has answered or given back: nothing waits for an ack_wait of 8 s to pass.
    for event in &events {
        jail.acceptance_within(event, BEFORE_REDELIVERY).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    assert_eq!(hub.routed().await.unwrap().len(), EVENTS);
    assert_eq!(hub.notices(OFFICE).await.unwrap().len(), EVENTS);
}
