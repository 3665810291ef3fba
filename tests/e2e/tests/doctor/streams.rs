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
    checked.says("unsafe", "duplicate-window", "DELIVER");
    checked.says("unsafe", "stream-unsafe", "RECEIPTS");
    checked.says("warning", "drift", "ANSWERS: max_age");
    checked.says("unsafe", "not-provisioned", "stream CONTROL is not there");
    checked.says("unsafe", "not-provisioned", "hub.v1.control.check");
    checked.says("warning", "stream-filling", "PARKED");
    assert_eq!(checked.code, UNSAFE);
}

/// One setting after the other on a stream that is used rightly otherwise; afterwards `check` is content again.
#[tokio::test(flavor = "multi_thread")]
async fn every_setting_that_eats_evidence_or_stops_the_flow_is_unsafe_and_what_is_harmless_is_not() {
    use async_nats::jetstream::stream::Config;
    let Some(world) = provisioned(|text| text) else { return };
    let hub = world.hub().await.unwrap();
    let unsafe_before = check(&world, RELAY, &[]);
    assert_eq!(unsafe_before.of("unsafe"), BTreeSet::new(), "{:#?}", unsafe_before.findings);
    type Case = (&'static str, fn(&mut Config), &'static str, &'static str, &'static str);
    let cases: [Case; 16] = [
        // A count for each subject that drops the oldest: acknowledged receipts are gone.
        (
            "RECEIPTS",
            |c| (c.discard_new_per_subject, c.max_messages_per_subject) = (false, 5),
            "unsafe",
            "stream-unsafe",
            "RECEIPTS: discard_new_per_subject",
        ),
        (
            "RECEIPTS",
            |c| c.max_messages_per_subject = 5,
            "unsafe",
            "stream-unsafe",
            "max_msgs_per_subject is 5",
        ),
        ("INGEST", |c| c.discard_new_per_subject = false, "unsafe", "stream-unsafe", "loses its oldest"),
        (
            "ANSWERS",
            |c| c.max_messages_per_subject = 100_000,
            "unsafe",
            "stream-unsafe",
            "max_msgs_per_subject",
        ),
        ("DELIVER", |c| c.max_messages_per_subject = 1, "unsafe", "stream-unsafe", "max_msgs_per_subject"),
        ("INGEST", |c| c.max_message_size = 100, "unsafe", "stream-unsafe", "the protocol permits"),
        ("ANSWERS", |c| c.max_message_size = 100, "unsafe", "stream-unsafe", "the protocol permits"),
        ("INGEST", |c| c.max_bytes = 1_000_000, "unsafe", "stream-unsafe", "max_bytes is 1000000"),
        ("INGEST", |c| c.max_messages = 10_000, "unsafe", "stream-unsafe", "max_msgs"),
        ("CONTROL", |c| c.discard = DiscardPolicy::Old, "unsafe", "stream-unsafe", "drops the oldest"),
        (
            "INGEST",
            |c| c.max_age = Duration::from_secs(60 * 24 * 60 * 60),
            "unsafe",
            "retention-short",
            "60.0 days",
        ),
        ("INGEST", |c| c.deny_purge = false, "unsafe", "stream-unsafe", "emptied by one request"),
        (
            "INGEST",
            |c| c.duplicate_window = Duration::from_secs(3600),
            "unsafe",
            "duplicate-window",
            "swallowed",
        ),
        ("INGEST", |c| c.duplicate_window = Duration::from_secs(1), "warning", "duplicate-window", "twice"),
        ("INGEST", |c| c.max_messages_per_subject = 600_000, "warning", "drift", "max_msgs_per_subject"),
        ("ANSWERS", |c| c.description = Some("ours".into()), "warning", "drift", "description"),
    ];
    let mut refused = Vec::new();
    for (stream, change, severity, code, words) in cases {
        let was = hub.stream(stream).await.unwrap().cached_info().config.clone();
        let mut config = was.clone();
        change(&mut config);
        if let Err(error) = hub.login.js.update_stream(config).await {
            refused.push(format!("{stream} {words}: {error}"));
            continue;
        }
        let checked = check(&world, RELAY, &[]);
        checked.says(severity, code, words);
        assert_eq!(checked.code, if severity == "unsafe" { UNSAFE } else { OK }, "{stream} {words}");
        hub.login.js.update_stream(was).await.unwrap();
    }
    // The server itself does not let a purge be permitted again; all else it takes.
    assert!(refused.iter().all(|one| one.contains("emptied by one request")), "{refused:?}");
    assert_eq!(check(&world, RELAY, &[]).of("unsafe"), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_durable_that_stop_it_or_delete_it_are_found_by_the_relay_and_the_bridge() {
    let Some(world) = provisioned(|text| text) else { return };
    let hub = world.hub().await.unwrap();
    let (api, subscriber) = ("CONSUMER.DURABLE.CREATE.DELIVER.demo-supervision", "demo-supervision");
    let seconds = |s: u64| serde_json::json!(s * 1_000_000_000);
    let cases = [
        ("inactive_threshold", seconds(3_600), "unsafe", "durable-unsafe", "inactive_threshold"),
        ("max_ack_pending", serde_json::json!(1), "unsafe", "durable-unsafe", "max_ack_pending"),
        ("backoff", serde_json::json!([seconds(7_200)]), "unsafe", "ack-wait-over-deadline", "7200s"),
        ("max_deliver", serde_json::json!(7), "unsafe", "durable-unsafe", "after 7 tries"),
        ("max_batch", serde_json::json!(1), "unsafe", "durable-unsafe", "max_batch"),
        ("headers_only", serde_json::json!(true), "unsafe", "durable-unsafe", "without their content"),
    ];
    for (key, value, severity, code, words) in cases {
        let was = hub.durable("DELIVER", subscriber).await.unwrap().config;
        let was = serde_json::to_value(&was).unwrap();
        let mut config = was.clone();
        config[key] = value;
        let put = |config: Value| {
            let hub = hub.clone();
            async move {
                let request =
                    serde_json::json!({ "stream_name": "DELIVER", "config": config, "action": "update" });
                let answer: Value = hub.login.js.request(api, &request).await.unwrap();
                assert!(answer["error"].is_null(), "{key}: {answer}");
            }
        };
        put(config).await;
        for name in [RELAY, OFFICE] {
            let checked = check(&world, name, &[]);
            checked.says(severity, code, words);
            assert_eq!(checked.code, UNSAFE, "{name} {key}");
        }
        put(was).await;
    }
    // The relay's own, at which every event waits.
    let was = serde_json::to_value(hub.durable("INGEST", "relay").await.unwrap().config).unwrap();
    let mut config = was.clone();
    config["ack_wait"] = seconds(3_600);
    config["max_ack_pending"] = 1.into();
    let request = serde_json::json!({ "stream_name": "INGEST", "config": config, "action": "update" });
    let answer: Value = hub.login.js.request("CONSUMER.DURABLE.CREATE.INGEST.relay", &request).await.unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "durable-unsafe", "durable relay on INGEST: with 1 messages in work");
    checked.says("unsafe", "ack-wait-over-deadline", "durable relay on INGEST");
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
    relay.says("unsafe", "ack-wait-over-deadline", "demo-supervision-1");
    relay.says("unsafe", "durable-unsafe", "demo-civil");
    relay.says("unsafe", "durable-unsafe", "with 7 messages in work");

    let bridge = check(&world, OFFICE, &[]);
    bridge.says("unsafe", "durable-unsafe", "after 7 tries");
    bridge.says("warning", "ack-wait-long", "40s");
    bridge.says("unsafe", "ack-wait-over-deadline", "demo-supervision-1");
    assert_eq!(bridge.code, UNSAFE);
    check(&world, "subscriber-demo-civil", &[]).says("unsafe", "durable-unsafe", "filter");

    hub.stream("DELIVER").await.unwrap().delete_consumer("demo-supervision").await.unwrap();
    check(&world, OFFICE, &[]).says("unsafe", "not-provisioned", "demo-supervision");
    check(&world, RELAY, &[]).says("unsafe", "not-provisioned", "durable demo-supervision on DELIVER");
}
