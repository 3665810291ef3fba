//! The fold on a real server, as a user with exactly a relay node's permissions.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{path::Path, time::Duration};

use async_nats::jetstream::{self, stream::Config};
use sallyport_harness::{Server, wait};
use sallyport_proto::{ids::NoticeId, vocabulary::ReceiptLevel};
use sallyport_relay_core::{
    delivery::Status,
    fixture::{
        self,
        records::{Stored, Story, Told},
    },
};

use super::*;
use crate::track::store::Loaded;

/// Generous: a busy machine must not fail a test.
const SOON: Duration = Duration::from_secs(60);

const SUBJECTS: [(Stream, &[&str]); 7] = [
    (Stream::Ingest, &["ingest.v1.release.*.*"]),
    (Stream::Deliver, &["hub.v1.deliver.>", "hub.v1.routed.>"]),
    (Stream::Receipts, &["hub.v1.receipt.>"]),
    (Stream::Answers, &["hub.v1.answer.>"]),
    (Stream::Control, &["hub.v1.control.>"]),
    (Stream::Parked, &["hub.v1.parked.>"]),
    (Stream::Heartbeats, &["ingest.v1.heartbeat.*.*"]),
];

fn start() -> Server {
    Server::start(|_| {
        r#"
        jetstream { sync_interval: always }
        accounts { HUB { jetstream: enabled, users: [
          { user: all, password: p }
          { user: node, password: p, permissions: {
              publish: { allow: ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*",
                "$JS.API.CONSUMER.CREATE.*.track-a", "$JS.API.CONSUMER.DELETE.*.track-a",
                "$JS.API.CONSUMER.INFO.*.track-a", "$JS.API.CONSUMER.MSG.NEXT.*.track-a"] }
              subscribe: { allow: ["_INBOX_node.>"] } } }
        ] } }"#
            .into()
    })
    .unwrap()
}

async fn login(server: &Server, user: &str) -> jetstream::Context {
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into())
        .custom_inbox_prefix(format!("_INBOX_{user}"))
        .reconnect_delay_callback(|_| Duration::from_millis(50));
    jetstream::new(options.connect(server.url()).await.unwrap())
}

async fn make_stream(js: &jetstream::Context, stream: Stream) {
    let subjects = SUBJECTS.iter().find(|(known, _)| *known == stream).unwrap().1;
    let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
    js.create_stream(Config { name: stream.name().into(), subjects, ..Config::default() }).await.unwrap();
}

/// A server with every stream, a folder for the model, and somebody who may do anything.
async fn streams() -> (Server, tempfile::TempDir, jetstream::Context) {
    let server = start();
    let js = login(&server, "all").await;
    for (stream, _) in SUBJECTS {
        make_stream(&js, stream).await;
    }
    (server, tempfile::tempdir().unwrap(), js)
}

async fn publish(js: &jetstream::Context, records: &[Stored]) {
    for record in records {
        let ack = js.publish(record.subject.clone(), record.payload.clone().into()).await.unwrap();
        assert_eq!(ack.await.unwrap().sequence, record.sequence);
    }
}

/// A node's fold that runs until it is dropped.
struct Running {
    tasks: tokio::task::JoinSet<Result<(), Error>>,
    shutdown: CancellationToken,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

async fn fold(server: &Server, dir: &Path) -> Running {
    let registry = fixture::registry().subscriber("fed-a", &[]).parse();
    let (shutdown, health) = (CancellationToken::new(), Arc::new(Health::default()));
    let metrics = Arc::new(Metrics::new(Arc::default()));
    let fold = Fold {
        js: login(server, "node").await,
        node: "a".parse().unwrap(),
        registry: Arc::new(ArcSwap::from_pointee(registry)),
        store_dir: dir.to_owned(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run(fold, shutdown.clone()));
    Running { tasks, shutdown, metrics, health }
}

impl Running {
    async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
    }
}

/// Waits until the model holds so many notices and receipts.
fn until_folded(dir: &Path, notices: i64, receipts: i64) {
    wait::until("the model holds what was published", SOON, || {
        let Ok(loaded) = Loaded::open(dir) else { return Ok(None) };
        let sql = "SELECT (SELECT count(*) FROM notice) AS n, (SELECT count(*) FROM receipt) AS r";
        let found = loaded.rows(sql, [], |row| Ok((row.get("n")?, row.get("r")?)));
        Ok(found.is_ok_and(|rows| rows == [(notices, receipts)]).then_some(()))
    })
    .unwrap();
}

fn status(dir: &Path, told: &Told) -> Status {
    let id = NoticeId::new(&told.head.ori, &told.head.event_id, &"fed-a".parse().unwrap());
    let facts = Loaded::open(dir).unwrap().notice(&id).unwrap().unwrap();
    facts.standing().unwrap().delivery.status()
}

fn told(story: &mut Story, n: u32) -> Told {
    let told = story.publish(n, &["fed-a"], |head| {
        head.custody_key =
            format!("{}BCDEFGHIJKLMNOPQRSTUVWXYZ", char::from(b'A' + n as u8)).parse().unwrap();
    });
    story.route(&told, &["fed-a"]).accept(&told);
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn folds_what_is_there_follows_what_comes_and_builds_the_same_again() {
    let (server, dir, js) = streams().await;
    let mut story = Story::of(&["fed-a"]);
    let first = told(&mut story, 1);
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    publish(&js, &story.records).await;

    let running = fold(&server, dir.path()).await;
    until_folded(dir.path(), 1, 1);
    assert_eq!(status(dir.path(), &first), Status::Received);
    let so_far = story.records.len();
    let second = told(&mut story, 2);
    story.receipt(&first, "fed-a", ReceiptLevel::Seen);
    publish(&js, &story.records[so_far..]).await;
    until_folded(dir.path(), 2, 2);
    assert_eq!((status(dir.path(), &first), status(dir.path(), &second)), (Status::Seen, Status::Relayed));
    wait::until("healthy", SOON, || {
        Ok(running.health.judge(true, sallyport_link::clock::now()).healthy.then_some(()))
    })
    .unwrap();
    let text = running.metrics.export().unwrap();
    assert!(text.contains(r#"sallyport_relay_folded_records_total{stream="INGEST"} 2"#), "{text}");
    running.stop().await;

    // Stopped and started: goes on where it stood.
    let so_far = story.records.len();
    story.receipt(&second, "fed-a", ReceiptLevel::Received);
    publish(&js, &story.records[so_far..]).await;
    let running = fold(&server, dir.path()).await;
    until_folded(dir.path(), 2, 3);
    let text = running.metrics.export().unwrap();
    assert!(!text.contains(r#"folded_records_total{stream="INGEST"}"#), "INGEST was not read again: {text}");
    running.stop().await;

    // Deleted: built again, the same.
    let kept = Loaded::open(dir.path()).unwrap();
    let again = tempfile::tempdir().unwrap();
    let running = fold(&server, again.path()).await;
    until_folded(again.path(), 2, 3);
    running.stop().await;
    let rebuilt = Loaded::open(again.path()).unwrap();
    for told in [&first, &second] {
        let id = NoticeId::new(&told.head.ori, &told.head.event_id, &"fed-a".parse().unwrap());
        assert_eq!(kept.notice(&id).unwrap(), rebuilt.notice(&id).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_means_building_again() {
    let (server, dir, js) = streams().await;
    let mut story = Story::of(&["fed-a"]);
    told(&mut story, 1);
    told(&mut story, 2);
    publish(&js, &story.records).await;
    let running = fold(&server, dir.path()).await;
    until_folded(dir.path(), 2, 0);

    js.delete_stream("DELIVER").await.unwrap();
    make_stream(&js, Stream::Deliver).await;
    let mut story = Story::of(&["fed-a"]);
    let third = told(&mut story, 3);
    let deliver: Vec<_> = story.records.iter().filter(|r| r.stream == Stream::Deliver).cloned().collect();
    publish(&js, &deliver).await;
    until_folded(dir.path(), 1, 0);
    assert_eq!(status(dir.path(), &third), Status::Relayed);
    let text = running.metrics.export().unwrap();
    assert!(text.contains("sallyport_relay_rebuilds_total 1"), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_and_a_deleted_reader_lose_nothing() {
    let (mut server, dir, js) = streams().await;
    let mut story = Story::of(&["fed-a"]);
    told(&mut story, 1);
    publish(&js, &story.records).await;
    let running = fold(&server, dir.path()).await;
    until_folded(dir.path(), 1, 0);

    let deliver = js.get_stream("DELIVER").await.unwrap();
    deliver.delete_consumer("track-a").await.unwrap();
    let so_far = story.records.len();
    told(&mut story, 2);
    publish(&js, &story.records[so_far..]).await;
    until_folded(dir.path(), 2, 0);

    // Readers live in the server's memory: after this they are gone.
    server.kill9().unwrap();
    server.restart().unwrap();
    let js = login(&server, "all").await;
    let so_far = story.records.len();
    let third = told(&mut story, 3);
    publish(&js, &story.records[so_far..]).await;
    until_folded(dir.path(), 3, 0);
    assert_eq!(status(dir.path(), &third), Status::Relayed);
    let text = running.metrics.export().unwrap();
    assert!(text.contains("sallyport_relay_rebuilds_total 0"), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_of_a_stream_that_runs_on_is_taken_out_of_the_model() {
    let (server, dir, js) = streams().await;
    let mut story = Story::of(&["fed-a"]);
    let first = told(&mut story, 1);
    let second = told(&mut story, 2);
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    story.receipt(&second, "fed-a", ReceiptLevel::Received);
    publish(&js, &story.records).await;
    let running = fold(&server, dir.path()).await;
    until_folded(dir.path(), 2, 2);
    for (stream, sequence) in [("INGEST", 1), ("DELIVER", 3), ("RECEIPTS", 1)] {
        js.get_stream(stream).await.unwrap().delete_message(sequence).await.unwrap();
    }
    until_folded(dir.path(), 1, 1);
    assert_eq!(status(dir.path(), &first), Status::Relayed, "its receipt is gone");
    wait::until("the losses are counted", SOON, || {
        let text = running.metrics.export().unwrap();
        let counted =
            |stream| text.contains(&format!("sallyport_relay_lost_records{{stream=\"{stream}\"}} 1"));
        Ok(["INGEST", "DELIVER", "RECEIPTS"].into_iter().all(counted).then_some(()))
    })
    .unwrap();
    let text = running.metrics.export().unwrap();
    assert!(text.contains("sallyport_relay_rebuilds_total 0"), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_not_there_yet_are_waited_for() {
    let (server, dir) = (start(), tempfile::tempdir().unwrap());
    let js = login(&server, "all").await;
    let running = fold(&server, dir.path()).await;
    for (stream, _) in SUBJECTS {
        make_stream(&js, stream).await;
    }
    let mut story = Story::of(&["fed-a"]);
    told(&mut story, 1);
    publish(&js, &story.records).await;
    until_folded(dir.path(), 1, 0);
    running.stop().await;
}

#[test]
fn what_was_whole_by_a_clock_that_was_ahead_is_not_whole_for_as_long_as_that() {
    use jiff::{SignedDuration, Timestamp};
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
    let whole = |age: SignedDuration| {
        let whole_at = Some(now - age);
        super::store::Position { created: "s".into(), sequence: 1, stored: None, whole_at }.is_whole(now)
    };
    assert!(whole(SignedDuration::from_secs(30)) && whole(SignedDuration::from_secs(-2)));
    assert!(!whole(SignedDuration::from_secs(31)));
    assert!(!whole(SignedDuration::from_hours(-5 * 24)));
}
