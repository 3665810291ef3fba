//! Figures of small stories.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use jiff::SignedDuration;
use sallyport_proto::{
    provenance::TrafficClass,
    receipt::Statement,
    registry::Registry,
    time::Moment,
    vocabulary::{ReceiptLevel, SourceClock},
};
use sallyport_relay_core::{
    fixture::{
        self,
        records::{Story, Told},
    },
    ledger::changes,
};

use super::*;
use crate::track::store::{Position, Positions, Store, StoreError};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn keep(dir: &Path, story: &Story, whole_age: SignedDuration) {
    let (mut store, _) = Store::open(dir).unwrap();
    let whole_at = Some(story.now() - whole_age);
    let position = Position { created: "x".into(), sequence: 9, stored: None, whole_at };
    let positions: Positions = Stream::ALL.iter().map(|stream| (*stream, position.clone())).collect();
    store.write(story.records.iter().flat_map(|record| changes(&record.record())), &positions).unwrap();
}

fn registry() -> Registry {
    fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[]).parse()
}

fn look(story: &Story) -> Lag {
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), story, SignedDuration::from_secs(1));
    Lag::read(dir.path(), &registry(), DAY, story.now()).unwrap()
}

/// An event whose door is `door` after it was routed; fed-b holds a disclosure and asked for nothing.
fn told(story: &mut Story, n: u32, door: SignedDuration) -> Told {
    let at = story.now() + door;
    let told = story.publish(n, &["fed-a", "fed-b"], |head| {
        head.custody_key =
            format!("{}BCDEFGHIJKLMNOPQRSTUVWXYZ", char::from(b'A' + n as u8)).parse().unwrap();
        head.t10_released = Some(Moment::exact(at, SourceClock::JailRecord));
    });
    story.route(&told, &["fed-a"]).accept(&told);
    told
}

fn stage(row: &Deliveries, stage: Stage) -> Option<Latency> {
    row.stages.iter().find(|figures| figures.stage == stage).map(|figures| figures.latency)
}

#[test]
fn what_waits_is_told_by_its_age_and_what_came_by_its_stages() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = told(&mut story, 1, SignedDuration::from_hours(2));
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    let late = told(&mut story, 2, SignedDuration::from_secs(-600));
    story.wait(SignedDuration::from_secs(40)).receipt(&late, "fed-a", ReceiptLevel::Received);
    let waiting = told(&mut story, 3, SignedDuration::from_hours(1));
    story.wait(SignedDuration::from_secs(20));

    let lag = look(&story);
    let [row] = &lag.deliveries[..] else { panic!("{lag:#?}") };
    assert_eq!((row.kind, row.state), (Kind::Live, State::Ok));
    assert_eq!((row.notices, row.received, row.late, row.pending), (3, 2, 1, 1));
    let oldest = row.oldest.as_ref().unwrap();
    assert_eq!((oldest.notice.event(), oldest.age_s), (waiting.head.event_id, 20));
    let deliver = stage(row, Stage::Deliver).unwrap();
    assert_eq!((deliver.count, deliver.skewed), (2, 0));
    assert!(deliver.p99_ms > 40_000.0 && deliver.p50_ms < 1_000.0, "{deliver:?}");
    assert_eq!(stage(row, Stage::See), None, "nobody said SEEN");
    assert_eq!(row.way_back.unwrap().count, 2);
    let lead = row.lead_received.unwrap();
    assert_eq!((lead.count, lead.negative), (2, 1));
    assert!(lead.min_s < -600.0, "never clamped: {lead:?}");
    assert_eq!(row.lead_answered, None);
    assert_eq!(lag.unsubscribed.len(), 1);
    assert_eq!((lag.unsubscribed[0].subscriber.as_str(), lag.unsubscribed[0].disclosures), ("fed-b", 3));

    story.wait(SignedDuration::from_secs(11));
    assert_eq!(look(&story).deliveries[0].state, State::Breached);
}

#[test]
fn a_stale_model_is_unknown_and_never_fine() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = told(&mut story, 1, DAY);
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), &story, SignedDuration::from_secs(31));
    let lag = Lag::read(dir.path(), &registry(), DAY, story.now()).unwrap();
    assert!(!lag.known);
    assert!(lag.deliveries.iter().all(|row| row.state == State::Unknown));
    let text = lag.to_string();
    assert!(text.starts_with(&format!("{}", story.now())) && text.contains("UNKNOWN: INGEST"), "{text}");

    let empty = tempfile::tempdir().unwrap();
    drop(Store::open(empty.path()).unwrap());
    assert!(
        !Lag::read(empty.path(), &registry(), DAY, story.now()).unwrap().known,
        "a model that was never filled"
    );
    let none = tempfile::tempdir().unwrap();
    assert!(matches!(Lag::read(none.path(), &registry(), DAY, story.now()), Err(StoreError::Missing(_))));
}

#[test]
fn pings_and_backfills_have_rows_of_their_own() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    told(&mut story, 1, DAY);
    let ping = story.publish(2, &["fed-a"], |head| head.traffic = TrafficClass::Ping);
    story.route(&ping, &["fed-a"]).receipt(&ping, "fed-a", ReceiptLevel::Received);
    let past = story.publish(3, &["fed-a"], |head| head.backfill = true);
    story.route(&past, &["fed-a"]).receipt(&past, "fed-a", ReceiptLevel::Received);
    let lag = look(&story);
    let kinds: Vec<_> = lag.deliveries.iter().map(|row| (row.kind, row.notices, row.pending)).collect();
    assert_eq!(kinds, [(Kind::Live, 1, 1), (Kind::Backfill, 1, 0), (Kind::Ping, 1, 0)]);
    let backfill = &lag.deliveries[1];
    assert_eq!((backfill.lead_received, backfill.late), (None, 0));
    assert!(stage(backfill, Stage::Whole).unwrap().p50_ms < 1_000.0, "counts from the reading");
    assert!(lag.to_string().contains("t6-t2"), "{lag}");
}

#[test]
fn two_clocks_that_disagree_are_shown_with_the_size() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = told(&mut story, 1, DAY);
    let early = Moment::exact(story.now() - SignedDuration::from_secs(5), SourceClock::Subscriber);
    story.receipt_with(&first, "fed-a", Statement::Level(ReceiptLevel::Received), |receipt| {
        receipt.t6_received = Some(early);
    });
    let lag = look(&story);
    let deliver = stage(&lag.deliveries[0], Stage::Deliver).unwrap();
    assert!(deliver.p50_ms < -4_000.0 && deliver.skewed == 1 && deliver.skew_max_ms.unwrap() > 4_000.0);
}

#[test]
fn a_receipt_that_the_relay_did_not_pass_on_is_counted_and_credited_to_nobody() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = told(&mut story, 1, DAY);
    story.say_with(&first, "fed-a", Statement::Level(ReceiptLevel::Received), |_| {});
    assert_eq!(look(&story).not_passed_on, [], "the relay has its time");
    story.wait(SignedDuration::from_secs(61));
    let lag = look(&story);
    let not = &lag.not_passed_on;
    assert_eq!((not.len(), not[0].subscriber.as_str(), not[0].receipts), (1, "fed-a", 1));
    assert_eq!((lag.deliveries[0].received, lag.deliveries[0].pending), (0, 1));
}

#[test]
fn what_was_refused_parked_and_not_readable_is_counted() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = told(&mut story, 1, DAY);
    story.refuse(&first, RefusalCode::Conflict).park("conflict", Stream::Ingest, 1);
    story.put(Stream::Answers, "hub.v1.answer.zz.zz0010000.accepted", b"garbage".to_vec());
    let unanswered = story.publish(2, &["fed-a"], |_| {});
    story.wait(SignedDuration::from_secs(7));
    let lag = look(&story);
    assert_eq!((lag.refused[0].code, lag.refused[0].messages), (RefusalCode::Conflict, 1));
    assert_eq!((lag.parked[0].reason.as_str(), lag.parked[0].messages), ("conflict", 1));
    assert_eq!((lag.unreadable[0].stream, lag.unreadable[0].records), (Stream::Answers, 1));
    assert_eq!((lag.unanswered.messages, lag.unanswered.oldest_age_s), (1, Some(7)));
    assert_eq!(unanswered.ingest_sequence, 2);
    let json = serde_json::to_value(&lag).unwrap();
    assert_eq!(json["unreadable"][0]["stream"], "ANSWERS");
    assert_eq!(json["deliveries"][0]["stages"][0]["stage"], "t4-t2");
    for text in ["allowed, no subscription matched", "CONFLICT", "parked", "passed over", "without an answer"]
    {
        assert!(lag.to_string().contains(text), "{lag}");
    }
}

#[test]
fn a_facility_that_never_sent_a_heartbeat_is_named_and_has_no_age() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    told(&mut story, 1, DAY);
    let lag = look(&story);
    let jail =
        |lag: &Lag| lag.facilities.iter().find(|one| one.ori.as_str() == "zz0010000").cloned().unwrap();
    let facility = jail(&lag);
    assert_eq!((facility.ori.as_str(), facility.heartbeat_age_s, facility.silent), ("zz0010000", None, true));
    assert!(lag.to_string().contains("never sent a heartbeat"), "{lag}");
    story.beat("e1", 1).wait(SignedDuration::from_secs(60));
    let facility = jail(&look(&story));
    assert_eq!((facility.heartbeat_age_s, facility.silent), (Some(60), false));
}
