//! Loss under a running relay: seen without anybody looking, named, alarmed, asked for, and made good; nobody is told twice.
//! What the command finds on demand: `loss_audit.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use async_nats::jetstream::message::StreamMessage;
use sallyport_e2e::{
    Hub, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until, until_every},
};
use sallyport_proto::{envelope::Digest, notice::Notice, operations::RangeDigest};
use serde_json::Value;

const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";
const AGENT: &str = "agent-zz0010000";
const OFFICE: &str = "demo-supervision";

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

async fn heartbeat_is_folded(world: &World, seq: u64) {
    until_every("a heartbeat is folded", SOON, DEAR_LOOK_EVERY, || async {
        Ok((facility(world)["seq"] == seq).then_some(()))
    })
    .await
    .unwrap();
}

/// What the office was handed over; nothing before its bridge has started.
fn handed_over(world: &World) -> String {
    std::fs::read_to_string(world.instance.hand_over_log(OFFICE)).unwrap_or_default()
}

/// All that the jail sent has its `routed` record.
async fn all_is_routed(world: &World, hub: &Hub) {
    until("each has a record", AFTER_REDELIVERY, || async {
        Ok((hub.routed().await?.len() == 16).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
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

/// Nothing says that these were ever accepted: only that the relays' durable is done with them.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_deliver_and_the_lost_answers_held_is_sent_again_and_routed_anew_and_nobody_is_told_twice()
 {
    made_good_after_the_loss_of(&["DELIVER", "ANSWERS"], 32).await;
}

/// As after a disk that was replaced; what the relay answered stays. Afterwards INGEST holds so many messages.
async fn made_good_after_the_loss_of(streams: &[&str], ingest: u64) {
    let (mut world, day) = World::after_a_day(JAIL, in_a_hurry).await.unwrap();
    heartbeat_is_folded(&world, 16).await;
    let before = facility(&world);
    assert_eq!((&before["silent"], &before["missing"]), (&false.into(), &serde_json::json!([])), "{before}");
    assert_eq!(world.ask(AGENT, &["status", "--json"]).unwrap()["outbox_depth"], 0, "every row is closed");
    let told = handed_over(&world);

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
    assert_eq!(handed_over(&world), told, "the office knew every notice already");
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
    let (mut world, day) = World::after_a_day(JAIL, in_a_hurry).await.unwrap();
    // Compared, and found whole: all the heartbeat states is held, and every row is closed.
    until_every("everything was compared", SOON, DEAR_LOOK_EVERY, || async {
        let (_, metrics) = world.relay_page("a", "/metrics")?;
        let compared = metrics.contains("sallyport_relay_missing_events{ori=\"zz0010000\"} 0");
        Ok((compared && facility(&world)["seq"] == 16).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(world.ask(AGENT, &["status", "--json"]).unwrap()["outbox_depth"], 0);

    let told = handed_over(&world);
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
        Ok((hub.asked_again(&JAIL.parse().unwrap()).await? == (1..=16).collect()).then_some(()))
    })
    .await
    .unwrap();
    all_is_routed(&world, &hub).await;
    until_every("the alarm ends", SOON, DEAR_LOOK_EVERY, || async {
        let (status, health) = world.relay_page("a", "/healthz")?;
        Ok((status == 200 && health.contains("\"missing\":[]")).then_some(()))
    })
    .await
    .unwrap();
    day.acknowledged(&world, AFTER_REDELIVERY).await.unwrap();
    assert_eq!(handed_over(&world), told, "the office knew every notice already");
}

/// Messages taken out of streams that run on, as limits or a person would: nothing about a stream's name, age or end
/// changes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_of_running_streams_is_named_alarmed_and_sent_again() {
    let (world, _) = World::after_a_day(JAIL, in_a_hurry).await.unwrap();
    heartbeat_is_folded(&world, 16).await;
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
        let asked = hub.asked_again(&JAIL.parse().unwrap()).await?;
        Ok([1, 2, 3, 7, 9].iter().all(|seq| asked.contains(seq)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    until("the lost events are on INGEST again", AFTER_REDELIVERY, || async {
        Ok((hub.count("INGEST").await? >= 16).then_some(()))
    })
    .await
    .unwrap();
    all_is_routed(&world, &hub).await;
}

/// A block of the stream's file, or a person: the record that it was told stands, and what was told does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_deliver_lost_alone_is_put_back_before_its_agency_ever_had_it() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    in_a_hurry(&world);
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let events: Vec<_> = (0..4).map(|_| jail.event(&[OFFICE, "demo-marshals"]).unwrap()).collect();
    for event in &events {
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(event).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    let told = hub.notices_of(&events[1].event_id).await.unwrap().len();
    let lost = format!("hub.v1.deliver.{OFFICE}.*.*.{}.0", events[1].event_id);
    let before = hub.all("DELIVER", &lost).await.unwrap().remove(0);
    hub.stream("DELIVER").await.unwrap().delete_message(before.sequence).await.unwrap();
    let found = until("it stands there again", AFTER_REDELIVERY, || async {
        Ok(hub.all("DELIVER", &lost).await?.pop())
    });
    let again = found.await.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    let log = world.log_of(RELAY);
    assert!(log.contains("notices that routed records name are not on DELIVER"), "{log}");
    assert!(log.contains(&format!("{JAIL}.{}.{OFFICE}", events[1].event_id)), "it is named: {log}");
    // The others got nothing a second time, and the event was not routed anew.
    assert_eq!(hub.notices_of(&events[1].event_id).await.unwrap().len(), told);
    assert_eq!(hub.routed_of(&jail.ori, &events[1].event_id).await.unwrap().len(), 1);
    assert_eq!(hub.asked_again(&jail.ori).await.unwrap().len(), 0, "its jail was not needed");
    let registry = world.registry().unwrap();
    let opened = |message: &StreamMessage| Notice::open(&message.payload, registry.relay_keys()).unwrap();
    let [one, other] = [&before, &again].map(opened);
    assert!(again.sequence > before.sequence);
    assert_eq!(
        (&one.notice_id, &one.head, &one.disclosure),
        (&other.notice_id, &other.head, &other.disclosure)
    );
    assert_eq!((&one.deadlines, one.t5_routed), (&other.deadlines, other.t5_routed), "its clock ran on");
    // Its agency comes, and has each once.
    world.start_subscriber(OFFICE).unwrap();
    until("all four are handed over", AFTER_REDELIVERY, || async {
        Ok((handed_over(&world).lines().count() >= 4).then_some(()))
    })
    .await
    .unwrap();
    let handed_over = handed_over(&world);
    for event in &events {
        assert_eq!(
            handed_over.matches(&format!("{JAIL}.{}.{OFFICE}", event.event_id)).count(),
            1,
            "{handed_over}"
        );
    }
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
    heartbeat_is_folded(&world, 3).await;
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
        let asked = hub.asked_again(&JAIL.parse().unwrap()).await?;
        Ok((asked.len() >= 2_000).then_some(asked))
    })
    .await
    .unwrap();
    assert_eq!(asked, (2..=2_001).collect(), "the first range, and no more");
    let next = jail.event(&["demo-supervision"]).unwrap();
    jail.publish(&next.bytes).await.unwrap();
    jail.acceptance(&next).await.unwrap();
}
