//! What an operator sees of a running relay, and what both sides can prove: `lag`, `trace`, `verify`, `/metrics`, `/healthz`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use sallyport_e2e::{
    FakeAgency, FakeJail, World,
    event::Sealed,
    patience::{SOON, until},
    world::RELAY,
};
use sallyport_harness::program::Ended;
use sallyport_proto::subject::ReceiptKind;
use serde_json::Value;

const A: &str = "zz0010000";
const OFFICE: &str = "demo-supervision";
const MARSHALS: &str = "demo-marshals";
const COMMAND_DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

struct Seen {
    world: World,
    agency: FakeAgency,
    event: Sealed,
}

/// A relay, and one event: told to one agency, which received it, and allowed to another that did
/// not ask.
async fn one_event() -> Seen {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail: FakeJail = world.jail(A).await.unwrap();
    let event = jail.event(&[OFFICE, MARSHALS]).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    let accepted = jail.acceptance(&event).await.unwrap();
    assert_eq!(accepted.unsubscribed[0].as_str(), MARSHALS);
    let agency = world.agency(OFFICE).await.unwrap();
    let taken = agency.take_and_settle().await.unwrap();
    let receipt = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, receipt).await.unwrap();
    Seen { world, agency, event }
}

/// The deliveries to the one agency, once the model holds its receipt.
async fn deliveries(world: &World) -> (Value, Value) {
    until("the model is current and has the receipt", SOON, || async {
        // Nothing to read before the relay has made its model.
        let Ok(lag) = world.ask("relay-a", &["lag", "--json"]) else { return Ok(None) };
        let one = lag["deliveries"].as_array().and_then(|rows| rows.first()).cloned();
        let one = one.filter(|row| row["received"] == 1 && lag["known"] == true);
        Ok(one.map(|row| (lag, row)))
    })
    .await
    .unwrap()
}

fn verify(world: &World, file: &std::path::Path) -> Ended {
    let registrar = world.instance.keys().registrar().unwrap().public_key();
    let recipe = world.recipe(RELAY).unwrap();
    recipe.args(["verify", "--json", "--registrar-key", &registrar]).arg(file).run(COMMAND_DEADLINE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_health_and_metrics_say_what_is_delivered() {
    let Seen { mut world, agency, .. } = one_event().await;
    let (lag, row) = deliveries(&world).await;
    assert_eq!(row["subscriber"], agency.id.as_str());
    assert_eq!((&row["state"], &row["pending"], &row["kind"]), (&"OK".into(), &0.into(), &"live".into()));
    let stages: Vec<&str> =
        row["stages"].as_array().unwrap().iter().filter_map(|s| s["stage"].as_str()).collect();
    assert_eq!(stages, ["t4-t2", "t5-t4", "t6-t5"], "no SEEN, no answer, no trigger: no figure");
    assert_eq!(row["way_back"]["count"], 1);
    assert_eq!(row["lead_received"]["negative"], 1, "released before it was told: {row}");
    assert_eq!(lag["unsubscribed"][0]["subscriber"], MARSHALS);
    assert_eq!(lag["unanswered"]["messages"], 0);

    until("healthy", SOON, || async { Ok((world.relay_page("a", "/healthz")?.0 == 200).then_some(())) })
        .await
        .unwrap();
    let (_, metrics) = world.relay_page("a", "/metrics").unwrap();
    for line in [
        r#"sallyport_relay_accepted_events_total{ori="zz0010000"} 1"#,
        r#"sallyport_relay_committed_notices_total{subscriber="demo-supervision"} 1"#,
        r#"sallyport_relay_forwarded_receipts_total{subscriber="demo-supervision"} 1"#,
        r#"sallyport_relay_pending_notices{subscriber="demo-supervision"} 0"#,
        "sallyport_relay_permission_violations_total 0",
        "sallyport_relay_rebuilds_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }

    // Deleted: built again from the streams, the same.
    world.end("relay-a").unwrap();
    fs::remove_dir_all(world.instance.dir.join("relay-a")).unwrap();
    world.start("relay-a", None).unwrap();
    let (_, rebuilt) = deliveries(&world).await;
    assert_eq!(row, rebuilt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_event_is_proved_offline_and_a_changed_byte_is_seen() {
    let Seen { world, event, .. } = one_event().await;
    deliveries(&world).await;
    let file = world.instance.dir.join("evidence.json");
    let id = event.event_id.to_string();
    let traced =
        world.command("relay-a", &["trace", &id, "--json", "--bundle", file.to_str().unwrap()]).unwrap();
    assert_eq!(traced.code().unwrap(), 0, "{traced:?}");
    let trace: Value = serde_json::from_str(traced.stdout.last().unwrap()).unwrap();
    let records = trace["records"].as_array().unwrap();
    assert!(records.iter().all(|record| record["verified"] == true), "{records:#?}");
    let mut streams: Vec<&str> = records.iter().filter_map(|record| record["stream"].as_str()).collect();
    streams.dedup();
    assert_eq!(streams, ["INGEST", "DELIVER", "RECEIPTS", "ANSWERS"]);
    assert_eq!(trace["notices"][0]["status"], "received");
    let times: Vec<&str> =
        trace["timeline"].as_array().unwrap().iter().filter_map(|line| line["t"].as_str()).collect();
    for t in ["t2", "t3", "t4", "t5", "t6", "t10"] {
        assert!(times.contains(&t), "{t} is missing in {times:?}");
    }

    let report = verify(&world, &file);
    assert_eq!(report.code().unwrap(), 0, "{report:?}");
    let checks: Value = serde_json::from_str(report.stdout.last().unwrap()).unwrap();
    let names: Vec<&str> =
        checks["checks"].as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    for name in ["registry", "head", "routed record", "notice 1", "receipt 1", "answer 1", "answer 2"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(verify(&world, &file).code().unwrap(), 1);
}
