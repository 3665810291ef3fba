//! `provision` on a real server: it makes what is missing, changes nothing twice, reports what differs, destroys nothing,
//! and works on no server that would lose what it acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use sallyport_e2e::{World, world::RELAY};
use serde_json::Value;

const UNSAFE: i32 = 78;
const FAILED: i32 = 1;
/// A refusal comes at once; the wait is for a busy machine.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(40);

fn report(ended: &sallyport_harness::program::Ended) -> Value {
    let line = ended.stdout.last().unwrap_or_else(|| panic!("no report: {ended:?}"));
    serde_json::from_str(line).unwrap()
}

fn lines(report: &Value, key: &str) -> Vec<String> {
    report[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn makes_every_stream_and_durable_and_a_second_run_changes_nothing() {
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    world.server.restart().unwrap();

    let first = world.run_provision("a").unwrap();
    assert_eq!(first.code().unwrap(), 0, "{first:?}");
    let created = lines(&report(&first), "created");
    for stream in ["INGEST", "HEARTBEATS", "DELIVER", "RECEIPTS", "ANSWERS", "REQUESTS", "CONTROL", "PARKED"]
    {
        assert!(created.contains(&format!("stream {stream}")), "{stream} is not in {created:?}");
    }
    for durable in ["relay on INGEST", "relay on RECEIPTS", "relay on REQUESTS", "demo-civil on DELIVER"] {
        assert!(created.contains(&format!("durable {durable}")), "{durable} is not in {created:?}");
    }

    let second = world.run_provision("a").unwrap();
    assert_eq!(second.code().unwrap(), 0, "{second:?}");
    let second = report(&second);
    for key in ["created", "updated", "drift"] {
        assert!(lines(&second, key).is_empty(), "{key} on the second run: {second}");
    }
    assert!(lines(&second, "unchanged").len() >= created.len(), "{second}");

    let hub = world.hub().await.unwrap();
    let deliver = hub.stream("DELIVER").await.unwrap();
    let config = &deliver.cached_info().config;
    assert!(config.allow_atomic_publish && config.deny_purge && !config.deny_delete, "{config:?}");
    assert_eq!(config.storage, StorageType::File);
    assert!(config.max_bytes > 0, "every stream has a bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_drift_of_a_stream_and_destroys_nothing() {
    let world = World::provisioned(|_| {}).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.login.js.publish("hub.v1.control.keep.me", "a fact".into()).await.unwrap().await.unwrap();
    let mut changed = hub.stream("CONTROL").await.unwrap().cached_info().config.clone();
    changed.subjects.push("hub.v1.extra.>".into());
    changed.max_age = Duration::from_secs(400 * 24 * 3600);
    hub.login.js.update_stream(changed.clone()).await.unwrap();

    let ended = world.run_provision("a").unwrap();
    assert_eq!(ended.code().unwrap(), FAILED, "drift is for a person: {ended:?}");
    let drift = lines(&report(&ended), "drift");
    assert!(drift.iter().any(|line| line.contains("CONTROL") && line.contains("subjects")), "{drift:?}");
    assert!(drift.iter().any(|line| line.contains("CONTROL") && line.contains("max_age")), "{drift:?}");

    let after = hub.stream("CONTROL").await.unwrap();
    assert_eq!(after.cached_info().config.subjects, changed.subjects, "nobody narrowed it");
    assert_eq!(after.cached_info().config.max_age, changed.max_age, "nobody shortened it");
    assert_eq!(after.cached_info().state.messages, 1, "the fact is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn brings_a_missing_stream_back_and_leaves_the_others() {
    let world = World::provisioned(|_| {}).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.login.js.delete_stream("HEARTBEATS").await.unwrap();
    let ended = world.run_provision("a").unwrap();
    assert_eq!(ended.code().unwrap(), 0, "{ended:?}");
    assert_eq!(lines(&report(&ended), "created"), ["stream HEARTBEATS"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn provision_and_run_refuse_a_server_that_does_not_sync_always() {
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    let rendered = std::fs::read_to_string(world.instance.server_config()).unwrap();
    let unsafe_text = rendered.replace("  sync_interval: always\n", "");
    assert_ne!(rendered, unsafe_text);
    world.server.rewrite(|_| unsafe_text.clone()).unwrap();
    world.server.restart().unwrap();

    let provisioned = world.run_provision("a").unwrap();
    assert_eq!(provisioned.code().unwrap(), UNSAFE, "{provisioned:?}");
    let run = world
        .recipe(RELAY)
        .unwrap()
        .args(["run", "--config"])
        .arg(world.instance.relay_config("a"))
        .run(REFUSAL_DEADLINE)
        .unwrap();
    assert_eq!(run.code().unwrap(), UNSAFE, "{run:?}");
    assert!(
        run.stderr.iter().any(|line| line.contains("sync_interval: always")),
        "it says what to do: {run:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_a_copy_of_the_traffic_a_lifted_bound_and_a_strange_consumer_and_touches_none() {
    use async_nats::jetstream::{consumer::pull, stream::Republish};
    let world = World::provisioned(|_| {}).await.unwrap();
    let hub = world.hub().await.unwrap();
    let config = |name: &'static str| {
        let hub = hub.clone();
        async move { hub.stream(name).await.unwrap().cached_info().config.clone() }
    };
    let mut copied = config("DELIVER").await;
    copied.republish = Some(Republish {
        source: "hub.v1.deliver.>".into(),
        destination: "copy.>".into(),
        headers_only: false,
    });
    hub.login.js.update_stream(copied.clone()).await.unwrap();
    let mut lifted = config("INGEST").await;
    lifted.discard_new_per_subject = false;
    lifted.deny_purge = false;
    let lifted = hub.login.js.update_stream(lifted).await;
    let strange = pull::Config { durable_name: Some("copy".into()), ..pull::Config::default() };
    hub.stream("RECEIPTS").await.unwrap().create_consumer(strange).await.unwrap();

    let ended = world.run_provision("a").unwrap();
    assert_eq!(ended.code().unwrap(), FAILED, "{ended:?}");
    let drift = lines(&report(&ended), "drift");
    let says = |stream: &str, key: &str| drift.iter().any(|line| line.contains(stream) && line.contains(key));
    assert!(says("DELIVER", "republish"), "{drift:?}");
    assert!(says("RECEIPTS", "consumer copy"), "{drift:?}");
    assert!(lifted.is_err() || says("INGEST", "deny_purge"), "{drift:?}");
    assert_eq!(config("DELIVER").await.republish, copied.republish, "a person decides");
    assert!(hub.stream("RECEIPTS").await.unwrap().consumer_info("copy").await.is_ok());
}
