//! Every agency is told how far its notices reach, and sees by that alone what never came.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    Day, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until, until_every},
};
use sallyport_proto::operations::SubscriberHead;
use serde_json::Value;

const JAIL: &str = "zz0010000";
const OFFICE: &str = "demo-supervision";
const BRIDGE: &str = "subscriber-demo-supervision";
const HEADS: &str = "hub.v1.head.demo-supervision";

/// A minute's head every second.
fn in_a_hurry(world: &World) {
    for node in &world.instance.nodes {
        let file = world.instance.relay_config(node);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("[audit]\nhead_every_s = 1\n{text}")).unwrap();
    }
}

fn relay_says(world: &World) -> Value {
    world.ask(BRIDGE, &["status", "--json"]).unwrap()["relay"].clone()
}

/// The heads that HEARTBEATS holds of the office, in order.
async fn heads(world: &World) -> Vec<SubscriberHead> {
    let registry = world.registry().unwrap();
    let messages = world.hub().await.unwrap().all("HEARTBEATS", HEADS).await.unwrap();
    let open = |bytes: &[u8]| SubscriberHead::open(bytes, registry.relay_keys()).unwrap();
    messages.iter().map(|message| open(&message.payload)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_sees_its_number_rise_and_a_notice_that_was_taken_from_it() {
    let (mut world, mut day) = World::after_a_day(JAIL, in_a_hurry).await.unwrap();
    let hub = world.hub().await.unwrap();
    let sent = async || hub.notices(OFFICE).await.unwrap().len() as u64;
    let agree = async |what: &str, number: u64, missing: u64| {
        let agreed = until_every(what, AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
            let says = relay_says(&world);
            let agreed = says["rank"] == number && says["missing"] == missing;
            Ok(agreed.then_some(says))
        });
        agreed.await.unwrap_or_else(|error| panic!("{error:#}: {}\n{}", relay_says(&world), world.logs()))
    };
    let first = sent().await;
    assert!(first > 0);
    let says = agree("the first day is whole", first, 0).await;
    assert_eq!((&says["silent"], &says["alarm"]), (&Value::Bool(false), &Value::Bool(false)));

    // While the bridge is away, somebody with all rights takes one of its notices out of the stream.
    world.end(BRIDGE).unwrap();
    day.export(&world, 16).unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    let second = sent().await;
    assert!(second > first + 1);
    until("the relay has counted all of them", SOON, || async {
        Ok(heads(&world).await.last().is_some_and(|head| head.rank == second).then_some(()))
    })
    .await
    .unwrap();
    let all = hub.all("DELIVER", &format!("hub.v1.deliver.{OFFICE}.>")).await.unwrap();
    hub.stream("DELIVER").await.unwrap().delete_message(all.last().unwrap().sequence).await.unwrap();
    world.start(BRIDGE, None).unwrap();
    let missed = until_every("the office misses one", AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
        let says = relay_says(&world);
        Ok((says["rank"] == second && says["missing"] == 1).then_some(says))
    });
    let says = missed.await.unwrap_or_else(|error| panic!("{error:#}: {}", relay_says(&world)));
    assert!(says["since"].as_u64().unwrap() < says["through"].as_u64().unwrap(), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_an_alarm_at_the_agency_until_its_notices_are_there_again() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_relay("a").unwrap();
    world.start(BRIDGE, None).unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let events: Vec<_> = (0..3).map(|_| jail.event(&[OFFICE]).unwrap()).collect();
    for event in &events {
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(event).await.unwrap();
    }
    let says = async |what: &str, is: &dyn Fn(&Value) -> bool| {
        let said = until_every(what, AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
            let says = relay_says(&world);
            Ok(is(&says).then_some(says))
        });
        said.await.unwrap_or_else(|error| panic!("{error:#}: {}\n{}", relay_says(&world), world.logs()))
    };
    let whole = says("all came", &|says| says["rank"] == 3 && says["missing"] == 0).await;
    assert_eq!((&whole["made_anew"], &whole["lost"]), (&Value::Null, &Value::Bool(false)), "{whole}");

    // Everything runs on.
    let hub = world.hub().await.unwrap();
    hub.delete_stream("DELIVER").await.unwrap();
    world.provision().unwrap();
    let lost = says("the alarm", &|says| says["lost"] == true).await;
    assert_eq!((&lost["not_there"], &lost["rank"]), (&Value::from(3), &Value::from(0)), "{lost}");
    let words = world.command(BRIDGE, &["status"]).unwrap().stdout.join("\n");
    assert!(words.contains("MADE ANEW") && words.contains("we hold 3 notices that it does not"), "{words}");
    let log = world.log_of(BRIDGE);
    assert!(log.contains("was made anew and does not hold what it held for us"), "{log}");

    // The jail sends the same bytes again, as it does when it is asked to.
    for event in &events {
        jail.publish(&event.bytes).await.unwrap();
    }
    let again = says("all are there again", &|says| says["rank"] == 3 && says["lost"] == false).await;
    assert_eq!((&again["not_there"], &again["missing"]), (&Value::from(0), &Value::from(0)), "{again}");
    assert_ne!(again["made_anew"], Value::Null, "that it happened stays known");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_state_one_number_and_the_next_goes_on_from_the_last() {
    let mut world =
        World::provisioned(|instance| instance.nodes = vec!["a".into(), "b".into()]).await.unwrap();
    in_a_hurry(&world);
    world.start_everything().unwrap();
    world.start_relay("b").unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let hub = world.hub().await.unwrap();
    let sent = hub.notices(OFFICE).await.unwrap().len() as u64;
    let whole = async || heads(&world).await.last().is_some_and(|head| head.rank == sent).then_some(());
    until("both nodes have stated heads", SOON, || async {
        let nodes: std::collections::BTreeSet<String> =
            hub.all("HEARTBEATS", "hub.v1.head.*").await?.iter().map(|m| m.subject.to_string()).collect();
        Ok(if nodes.len() == 3 { whole().await } else { None })
    })
    .await
    .unwrap();
    let numbers: Vec<u64> = heads(&world).await.iter().map(|head| head.rank).collect();
    assert!(numbers.is_sorted() && numbers.iter().all(|number| *number <= sent), "{numbers:?}");

    // What DELIVER no longer keeps stays counted: the model that counts is made anew from what is left.
    let all = hub.all("DELIVER", &format!("hub.v1.deliver.{OFFICE}.>")).await.unwrap();
    for name in ["relay-a", "relay-b"] {
        world.end(name).unwrap();
    }
    let deliver = hub.stream("DELIVER").await.unwrap();
    for message in all.iter().take(3) {
        deliver.delete_message(message.sequence).await.unwrap();
    }
    for name in ["relay-a", "relay-b"] {
        std::fs::remove_dir_all(world.instance.dir.join(name)).unwrap();
        world.start(name, None).unwrap();
    }
    let before = heads(&world).await.len();
    day.export(&world, 8).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let sent = sent + hub.notices(OFFICE).await.unwrap().len() as u64 - (sent - 3);
    until("the number goes on", SOON, || async {
        let heads = heads(&world).await;
        Ok((heads.len() >= before.min(10) && heads.last().is_some_and(|head| head.rank == sent))
            .then_some(()))
    })
    .await
    .unwrap();
    let quiet = relay_says(&world);
    assert_eq!(quiet["silent"], false, "{quiet}");
}
