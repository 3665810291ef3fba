//! What the relay and the bridge find at streams and durables.

use std::time::Duration;

use async_nats::jetstream::{consumer::pull, stream::DiscardPolicy};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn streams_under_which_messages_are_lost_are_found_by_the_relay() {
    let Some(world) = provisioned(|text| text) else { return };
    let hub = world.hub().await.unwrap();
    let config = |name: &'static str| {
        let hub = hub.clone();
        async move { hub.stream(name).await.unwrap().cached_info().config.clone() }
    };
    let day = Duration::from_secs(24 * 60 * 60);
    let mut ingest = config("INGEST").await;
    ingest.max_age = 27 * day;
    ingest.max_bytes = -1;
    hub.login.js.update_stream(ingest).await.unwrap();
    let mut deliver = config("DELIVER").await;
    // Long enough for any outage, and too short to know what was routed before it.
    deliver.max_age = 29 * day;
    deliver.duplicate_window = day;
    hub.login.js.update_stream(deliver).await.unwrap();
    let mut receipts = config("RECEIPTS").await;
    receipts.discard = DiscardPolicy::Old;
    receipts.discard_new_per_subject = false;
    hub.login.js.update_stream(receipts).await.unwrap();
    let mut answers = config("ANSWERS").await;
    answers.max_age = 100 * day;
    hub.login.js.update_stream(answers).await.unwrap();
    hub.delete_stream("CONTROL").await.unwrap();
    let mut parked = config("PARKED").await;
    parked.max_bytes = 2_000;
    parked.discard = DiscardPolicy::New;
    hub.login.js.update_stream(parked).await.unwrap();
    hub.login.js.publish("hub.v1.parked.a", vec![0; 1_500].into()).await.unwrap().await.unwrap();

    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "retention-short", "INGEST keeps 27.0 days");
    checked.says("unsafe", "retention-short", "DELIVER keeps 29.0 days, and must keep 30");
    checked.says("unsafe", "disk-share", "stream INGEST has no bound");
    checked.says("warning", "duplicate-window", "DELIVER");
    checked.says("unsafe", "stream-unsafe", "RECEIPTS");
    checked.says("warning", "drift", "ANSWERS: max_age");
    checked.says("unsafe", "not-provisioned", "stream CONTROL is not there");
    checked.says("unsafe", "not-provisioned", "hub.v1.control.check");
    checked.says("warning", "stream-filling", "PARKED");
    assert_eq!(checked.code, UNSAFE);
}

#[tokio::test(flavor = "multi_thread")]
async fn durables_that_pass_messages_over_are_found_by_the_relay_and_the_bridge() {
    let Some(world) = provisioned(|text| text) else { return };
    let hub = world.hub().await.unwrap();
    let update = |stream: &'static str, name: &'static str, change: fn(&mut pull::Config)| {
        let hub = hub.clone();
        async move {
            let durable =
                hub.login.js.get_consumer_from_stream::<pull::Config, _, _>(name, stream).await.unwrap();
            let mut config = serde_json::to_value(&durable.cached_info().config).unwrap();
            config["name"] = name.into();
            let mut config: pull::Config = serde_json::from_value(config).unwrap();
            change(&mut config);
            hub.stream(stream).await.unwrap().update_consumer(config).await.unwrap();
        }
    };
    update("INGEST", "relay", |c| c.ack_wait = Duration::from_secs(2)).await;
    update("RECEIPTS", "relay", |c| c.ack_wait = Duration::from_secs(60)).await;
    update("DELIVER", "demo-supervision", |c| {
        c.max_deliver = 7;
        c.backoff = vec![Duration::from_secs(40)];
        c.ack_wait = Duration::from_secs(40);
    })
    .await;
    update("DELIVER", "demo-civil", |c| c.filter_subject = "hub.v1.deliver.demo-civil.zz.>".into()).await;
    update("DELIVER", "demo-marshals", |c| c.max_ack_pending = 7).await;

    let relay = check(&world, RELAY, &[]);
    relay.says("unsafe", "ack-wait-short", "durable relay on INGEST");
    relay.says("warning", "ack-wait-long", "durable relay on RECEIPTS");
    relay.says("unsafe", "durable-unsafe", "demo-supervision");
    relay.says("warning", "ack-wait-over-deadline", "demo-supervision-1");
    relay.says("unsafe", "durable-unsafe", "demo-civil");
    relay.says("warning", "drift", "demo-marshals on DELIVER: max_ack_pending");

    let bridge = check(&world, OFFICE, &[]);
    bridge.says("unsafe", "durable-unsafe", "after 7 tries");
    bridge.says("warning", "ack-wait-long", "40s");
    assert_eq!(bridge.code, UNSAFE);
    check(&world, "subscriber-demo-civil", &[]).says("unsafe", "durable-unsafe", "filter");

    hub.stream("DELIVER").await.unwrap().delete_consumer("demo-supervision").await.unwrap();
    check(&world, OFFICE, &[]).says("unsafe", "not-provisioned", "demo-supervision");
    check(&world, RELAY, &[]).says("unsafe", "not-provisioned", "durable demo-supervision on DELIVER");
}
