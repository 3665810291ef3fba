//! Loss, seen and made good. `sallyport-relay audit` against a real day: clean when nothing is missing, and every record that somebody takes out of
//! a stream is named, by the arrow it is missing from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    Day, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until, until_every},
};
use sallyport_proto::{
    envelope::Digest,
    operations::RangeDigest,
    receipt::{Receipt, Statement},
    vocabulary::ReceiptLevel,
};
use serde_json::Value;

const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";

async fn a_day() -> World {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    world
}

/// What `audit` says, and its exit code. Nothing is on its way any more: there is no grace.
fn audit(world: &World, more: &[&str]) -> (i32, Value) {
    let ended = world.command(RELAY, &[&["audit", "--json", "--grace-s", "0"], more].concat()).unwrap();
    let verdict = serde_json::from_str(ended.stdout.last().unwrap()).unwrap();
    (ended.code().unwrap(), verdict)
}

fn arrows(verdict: &Value) -> Vec<&str> {
    verdict["findings"].as_array().unwrap().iter().map(|f| f["arrow"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_clean_and_what_is_taken_out_of_a_stream_is_named() {
    let world = a_day().await;
    let (code, whole) = audit(&world, &[]);
    assert_eq!((code, &whole["clean"]), (0, &Value::Bool(true)), "{whole:#}");
    assert_eq!(whole["counts"]["events"], 16, "{whole:#}");
    assert_eq!(whole["counts"]["routed"], 16);
    assert_eq!(whole["counts"]["receipts"], whole["counts"]["progressed"]);
    let (code, recent) = audit(&world, &["--since", "1h"]);
    assert_eq!((code, &recent["counts"]["events"]), (0, &whole["counts"]["events"]), "{recent:#}");
    let (code, later) = audit(&world, &["--since", "0s"]);
    assert_eq!((code, &later["counts"]["events"]), (0, &Value::from(0)), "{later:#}");

    // As somebody with all rights could: one notice, one message of the jail, one receipt.
    let hub = world.hub().await.unwrap();
    let notice = hub.all("DELIVER", "hub.v1.deliver.*.*.*.*.*").await.unwrap().remove(0);
    let notice_subject = notice.subject.to_string();
    hub.stream("DELIVER").await.unwrap().delete_message(notice.sequence).await.unwrap();
    hub.stream("INGEST").await.unwrap().delete_message(5).await.unwrap();
    // A RECEIVED, and every copy of it.
    let received = |bytes: &[u8]| {
        let said = Receipt::claimed(bytes).map(|receipt| receipt.statement);
        matches!(said, Ok(Statement::Level(ReceiptLevel::Received)))
    };
    let receipts = hub.all("RECEIPTS", "hub.v1.receipt.>").await.unwrap();
    let one = receipts.iter().find(|message| received(&message.payload)).unwrap();
    for copy in receipts.iter().filter(|message| message.payload == one.payload) {
        hub.stream("RECEIPTS").await.unwrap().delete_message(copy.sequence).await.unwrap();
    }
    let (_, recent) = audit(&world, &["--since", "1h"]);
    let gaps: Vec<_> = recent["findings"].as_array().unwrap().iter().map(|f| &f["missing"]).collect();
    assert!(gaps.contains(&&serde_json::json!({ "first": 5, "last": 5 })), "{recent:#}");
    let (code, verdict) = audit(&world, &[]);
    assert_eq!(code, 1);
    let found = arrows(&verdict);
    for arrow in ["sequence_gap", "routed_without_ingest", "routed_without_notice", "notice_without_receipt"]
    {
        assert!(found.contains(&arrow), "{arrow}: {verdict:#}");
    }
    let findings = verdict["findings"].as_array().unwrap();
    let gap = findings.iter().find(|f| f["arrow"] == "sequence_gap").unwrap();
    assert_eq!((&gap["missing"]["first"], &gap["missing"]["last"]), (&5.into(), &5.into()), "{gap}");
    let missing = findings.iter().find(|f| f["arrow"] == "routed_without_notice").unwrap();
    let event = missing["event_id"].as_str().unwrap();
    assert!(notice_subject.contains(event), "{notice_subject}: {missing}");

    // The first of them, too: the front of the time that is audited.
    hub.stream("INGEST").await.unwrap().delete_message(1).await.unwrap();
    let (code, recent) = audit(&world, &["--since", "1h"]);
    let gaps: Vec<_> = recent["findings"].as_array().unwrap().iter().map(|f| &f["missing"]).collect();
    assert!(code == 1 && gaps.contains(&&serde_json::json!({ "first": 1, "last": 1 })), "{recent:#}");
    // And all of them.
    let ingest = hub.stream("INGEST").await.unwrap();
    for sequence in (2..=16).filter(|n| *n != 5) {
        ingest.delete_message(sequence).await.unwrap();
    }
    let (code, recent) = audit(&world, &["--since", "1h"]);
    assert_eq!((code, &recent["counts"]["events"]), (1, &0.into()), "{recent:#}");
    let routed = arrows(&recent).into_iter().filter(|arrow| *arrow == "routed_without_ingest").count();
    assert_eq!(routed, 16, "{recent:#}");
}

/// Short times in the configurations: a minute's heartbeat every second, a grace time of 2 s.
fn in_a_hurry(world: &World) {
    let edit = |file: std::path::PathBuf, more: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{more}\n{text}")).unwrap();
    };
    edit(world.instance.agent_config(JAIL), "[heartbeat]\nevery_s = 1\n");
    edit(world.instance.relay_config("a"), "[audit]\ngrace_s = 2\n");
}

fn facility(world: &World) -> Value {
    // A model that is not known to be whole yet shows what it has, and exits 1.
    let ended = world.command(RELAY, &["lag", "--json"]).unwrap();
    let Some(line) = ended.stdout.last() else { return Value::Null };
    let lag: Value = serde_json::from_str(line).unwrap();
    lag["facilities"].as_array().unwrap().iter().find(|f| f["ori"] == JAIL).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_ingest_and_deliver_held_is_sent_again_without_an_operator_and_nobody_is_told_twice() {
    made_good_after_the_loss_of(&["INGEST", "DELIVER"], 16).await;
}

/// The relay has answered these events and settled them: only the missing `routed` records say that something is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_deliver_alone_held_is_sent_again_and_routed_anew_and_nobody_is_told_twice() {
    made_good_after_the_loss_of(&["DELIVER"], 32).await;
}

/// As after a disk that was replaced; what the relay answered stays. Afterwards INGEST holds so many messages.
async fn made_good_after_the_loss_of(streams: &[&str], ingest: u64) {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    until_every("a heartbeat is folded", SOON, DEAR_LOOK_EVERY, || async {
        Ok((facility(&world)["seq"] == 16).then_some(()))
    })
    .await
    .unwrap();
    let before = facility(&world);
    assert_eq!((&before["silent"], &before["missing"]), (&false.into(), &serde_json::json!([])), "{before}");
    let agent = "agent-zz0010000";
    assert_eq!(world.ask(agent, &["status", "--json"]).unwrap()["outbox_depth"], 0, "every row is closed");
    let handed_over = std::fs::read_to_string(world.instance.hand_over_log("demo-supervision")).unwrap();

    let names =
        ["relay-a", "subscriber-demo-supervision", "subscriber-demo-civil", "subscriber-demo-marshals"];
    for name in names {
        world.end(name).unwrap();
    }
    let hub = world.hub().await.unwrap();
    for stream in streams {
        hub.delete_stream(stream).await.unwrap();
    }
    world.provision().unwrap();
    for name in names {
        world.start(name, None).unwrap();
    }
    until("the lost events are on INGEST again", AFTER_REDELIVERY, || async {
        Ok((hub.count("INGEST").await? >= ingest).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    day.acknowledged(&world, AFTER_REDELIVERY).await.unwrap();
    until_every("nothing is missing any more", SOON, DEAR_LOOK_EVERY, || async {
        Ok((facility(&world)["missing"] == serde_json::json!([])).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(hub.routed().await.unwrap().len(), 16, "each was routed anew, once");
    let after = std::fs::read_to_string(world.instance.hand_over_log("demo-supervision")).unwrap();
    assert_eq!(after, handed_over, "the office knew every notice already");
    let log = world.log_of(RELAY);
    assert!(log.contains("asked to send them again") && log.contains("1-16"), "{log}");
    until_every("the alarm ends", SOON, DEAR_LOOK_EVERY, || async {
        let (_, metrics) = world.relay_page("a", "/metrics")?;
        Ok(metrics.contains("sallyport_relay_missing_events{ori=\"zz0010000\"} 0").then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_a_known_number_are_an_alarm_although_every_number_is_held() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let event = jail.event(&["demo-supervision"]).unwrap();
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(&event).await.unwrap();
        sent.push(Digest::of(&event.bytes));
    }
    let says = |number: usize| {
        let range = RangeDigest::of(1, sent[..number].iter().copied());
        let others = RangeDigest::of(1, sent[..number].iter().rev().copied());
        (range, others)
    };
    jail.heartbeat(3, says(3).0).await.unwrap();
    until_every("the heartbeat is folded", SOON, DEAR_LOOK_EVERY, || async {
        Ok((facility(&world)["seq"] == 3).then_some(()))
    })
    .await
    .unwrap();
    let alarm = "what the jail numbered and what INGEST holds under these numbers differ";
    assert!(!world.log_of(RELAY).contains(alarm), "what agrees is no alarm");
    jail.heartbeat(3, says(3).1).await.unwrap();
    until_every("the alarm", SOON, DEAR_LOOK_EVERY, || async {
        Ok(world.log_of(RELAY).contains(alarm).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(facility(&world)["missing"], serde_json::json!([]), "no number is missing");
}
