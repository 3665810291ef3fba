//! Loss, seen and made good. `sallyport-relay audit` against a real day: clean when nothing is missing, and every record that somebody takes out of
//! a stream is named, by the arrow it is missing from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    Day, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until, until_every},
};
use sallyport_proto::{
    answer::Body,
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

/// Every program runs all the time and every row is closed; the server dies, and comes back without DELIVER, as after a
/// disk that was replaced. What the relay found whole before says nothing about the new stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_deliver_that_is_lost_under_a_running_relay_is_named_alarmed_and_asked_for() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    // Compared, and found whole: all the heartbeat states is held, and every row is closed.
    until_every("everything was compared", SOON, DEAR_LOOK_EVERY, || async {
        let (_, metrics) = world.relay_page("a", "/metrics")?;
        let compared = metrics.contains("sallyport_relay_missing_events{ori=\"zz0010000\"} 0");
        Ok((compared && facility(&world)["seq"] == 16).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(world.ask("agent-zz0010000", &["status", "--json"]).unwrap()["outbox_depth"], 0);

    let handed_over = std::fs::read_to_string(world.instance.hand_over_log("demo-supervision")).unwrap();
    world.server.kill9().unwrap();
    remove_stream(&world, "DELIVER");
    world.server.restart().unwrap();
    world.provision().unwrap();
    let hub = world.hub().await.unwrap();
    let named = "\"seqs\":\"1-16\"";
    until_every("the loss is named and alarmed", AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
        let log = world.log_of(RELAY);
        Ok((log.contains("asked to send them again") && log.contains(named)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    until("the jail is asked", SOON, || async {
        let answers = hub.answers(&JAIL.parse().unwrap()).await?;
        let asked = answers.iter().find_map(|answer| match &answer.body {
            Body::Resend(request) => Some(request.seqs.clone()),
            _ => None,
        });
        Ok(asked.is_some_and(|seqs| seqs == (1..=16).collect::<Vec<u64>>()).then_some(()))
    })
    .await
    .unwrap();
    until("each is routed anew", AFTER_REDELIVERY, || async {
        Ok((hub.routed().await?.len() == 16).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    until_every("the alarm ends", SOON, DEAR_LOOK_EVERY, || async {
        let (status, health) = world.relay_page("a", "/healthz")?;
        Ok((status == 200 && health.contains("\"missing\":[]")).then_some(()))
    })
    .await
    .unwrap();
    day.acknowledged(&world, AFTER_REDELIVERY).await.unwrap();
    let after = std::fs::read_to_string(world.instance.hand_over_log("demo-supervision")).unwrap();
    assert_eq!(after, handed_over, "the office knew every notice already");
}

/// Messages taken out of streams that run on, as limits or a person would: nothing about a stream's name, age or end
/// changes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_of_running_streams_is_named_alarmed_and_sent_again() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    until_every("the heartbeat is folded", SOON, DEAR_LOOK_EVERY, || async {
        Ok((facility(&world)["seq"] == 16).then_some(()))
    })
    .await
    .unwrap();
    let hub = world.hub().await.unwrap();
    let routed = hub.all("DELIVER", "hub.v1.routed.>").await.unwrap();
    let (of_ninth, record) = (hub.routed().await.unwrap()[8].clone(), routed[8].sequence);
    assert_eq!(of_ninth.ingest_sequence, 9, "the ninth of a jail without copies");
    for (stream, sequences) in
        [("INGEST", &[1, 2, 3, 7][..]), ("DELIVER", &[record][..]), ("RECEIPTS", &[2][..])]
    {
        for sequence in sequences {
            hub.stream(stream).await.unwrap().delete_message(*sequence).await.unwrap();
        }
    }
    let gone = "messages are gone from the stream, and not by their age";
    let expected =
        [("INGEST", "1-3, 7".to_owned()), ("DELIVER", record.to_string()), ("RECEIPTS", "2".to_owned())];
    until_every("each loss is named", AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
        let log = world.log_of(RELAY);
        let named = |(stream, sequences): &(&str, String)| {
            let (stream, sequences) =
                (format!("\"stream\":\"{stream}\""), format!("\"sequences\":\"{sequences}\""));
            log.lines().any(|line| {
                line.contains(gone)
                    && line.contains("ERROR")
                    && line.contains(&stream)
                    && line.contains(&sequences)
            })
        };
        Ok(expected.iter().all(named).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    until("the jail is asked for the number of the lost record, too", AFTER_REDELIVERY, || async {
        let answers = hub.answers(&JAIL.parse().unwrap()).await?;
        let asked = answers.iter().filter_map(|answer| match &answer.body {
            Body::Resend(request) => Some(request.seqs.clone()),
            _ => None,
        });
        let asked: std::collections::BTreeSet<u64> = asked.flatten().collect();
        Ok([1, 2, 3, 7, 9].iter().all(|seq| asked.contains(seq)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    until("the lost events are on INGEST again", AFTER_REDELIVERY, || async {
        Ok((hub.count("INGEST").await? >= 16).then_some(()))
    })
    .await
    .unwrap();
    until("the lost record is committed again", AFTER_REDELIVERY, || async {
        Ok((hub.routed().await?.len() == 16).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}

/// As a disk that was replaced; the server does not run.
fn remove_stream(world: &World, stream: &str) {
    let accounts = world.server.dir().join("store").join("jetstream");
    let mut removed = 0;
    for account in std::fs::read_dir(accounts).unwrap() {
        let folder = account.unwrap().path().join("streams").join(stream);
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, 1, "{stream} lies in one account");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_states_an_absurd_number_is_an_alarm_and_the_relay_goes_on() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let event = jail.event(&["demo-supervision"]).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.acceptance(&event).await.unwrap();
    let range = RangeDigest::of(1, [Digest::of(&event.bytes)]);
    jail.heartbeat(u64::MAX - 1, range).await.unwrap();
    until_every("the alarm", SOON, DEAR_LOOK_EVERY, || async {
        Ok(world.log_of(RELAY).contains("states numbers that nobody can have given").then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    let hub = world.hub().await.unwrap();
    let asked = until("the first numbers are asked for", SOON, || async {
        let answers = hub.answers(&JAIL.parse().unwrap()).await?;
        let asked = answers.iter().filter_map(|answer| match &answer.body {
            Body::Resend(request) => Some(request.seqs.clone()),
            _ => None,
        });
        let asked: std::collections::BTreeSet<u64> = asked.flatten().collect();
        Ok((asked.len() >= 2_000).then_some(asked))
    })
    .await
    .unwrap();
    assert_eq!(asked, (2..=2_001).collect(), "the first range, and no more");
    let next = jail.event(&["demo-supervision"]).unwrap();
    jail.publish(&next.bytes).await.unwrap();
    jail.acceptance(&next).await.unwrap();
}
