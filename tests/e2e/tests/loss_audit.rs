//! `sallyport-relay audit` against a real day: clean when nothing is missing, and every record that somebody takes out of a
//! stream is named, by the arrow it is missing from. What a running relay sees and mends by itself: `loss_mended.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::World;
use sallyport_proto::{
    receipt::{Receipt, Statement},
    vocabulary::ReceiptLevel,
};
use serde_json::Value;

const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";

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
    let (world, _) = World::after_a_day(JAIL, |_| {}).await.unwrap();
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
