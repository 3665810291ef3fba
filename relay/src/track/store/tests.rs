//! The model on disk equals the model in memory, whatever was read first and however often.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use jiff::SignedDuration;
use sallyport_proto::{
    envelope::Digest,
    receipt::{EndpointRefusal, Statement},
    vocabulary::{EndpointRefusalCode, ReceiptLevel, RefusalCode, Severity},
};
use sallyport_relay_core::{
    fixture::records::{Stored, Story},
    ledger::{Model, changes},
};

use super::*;

/// A story with everything that crosses streams: a parked receipt, a refusal, a resend, a second attempt, a supersession.
fn story() -> Story {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let first = story.publish(1, &["fed-a", "fed-b"], |_| {});
    story.route(&first, &["fed-a"]).accept(&first);
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    let resent = story.publish_bytes(story.records[0].payload.clone());
    story.accept(&resent);
    let conflict = story.publish(1, &["fed-a"], |head| head.revision = 9);
    story.refuse(&conflict, RefusalCode::Conflict).park("conflict", Stream::Ingest, conflict.ingest_sequence);
    let second = story.publish(2, &["fed-a", "fed-b"], |head| head.revision = 2);
    story.route(&second, &["fed-a", "fed-b"]).accept(&second).again(&second, "fed-a", 1);
    let bad = story.say_with(&second, "fed-a", Statement::Level(ReceiptLevel::Seen), |_| {});
    story.say_with(&second, "fed-a", Statement::Level(ReceiptLevel::Staged), |_| {});
    story.park("bad_signature", Stream::Receipts, bad);
    story.receipt_with(&second, "fed-a", Statement::Level(ReceiptLevel::Seen), |r| r.notices[0].attempt = 1);
    let failed = EndpointRefusal {
        code: EndpointRefusalCode::StagingFailed,
        severity: Severity::Failure,
        text: String::new(),
    };
    story.receipt_with(&second, "fed-b", Statement::Refusal(failed), |_| {});
    story.receipt_with(&second, "fed-b", Statement::Level(ReceiptLevel::Received), |r| {
        r.notices[0].event_digest = Digest::of(b"other");
    });
    let third = story.publish(3, &["fed-b"], |head| {
        head.custody_key = "BBCDEFGHIJKLMNOPQRSTUVWXYZ".parse().unwrap();
    });
    story.route(&third, &["fed-b"]).dead_letter(&third, "fed-b");
    story.put(Stream::Ingest, "ingest.v1.release.zz.zz0010000", b"garbage".to_vec());
    story.put(Stream::Answers, "hub.v1.answer.zz.zz0010000.accepted", b"garbage".to_vec());
    story
}

/// Orders the streams so that the last ones come first: receipts before their notices, answers before their events.
fn backwards(records: &[Stored]) -> Vec<Stored> {
    let mut records = records.to_vec();
    records.sort_by_key(|record| (std::cmp::Reverse(record.stream), record.sequence));
    records
}

fn in_memory(records: &[Stored]) -> Model {
    let mut model = Model::default();
    for change in records.iter().flat_map(|record| changes(&record.record())) {
        model.apply(change);
    }
    model
}

fn on_disk(dir: &Path, records: &[Stored], per_transaction: usize) -> Store {
    let (mut store, _) = Store::open(dir).unwrap();
    for batch in records.chunks(per_transaction) {
        let changes = batch.iter().flat_map(|record| changes(&record.record()));
        store.write(changes, &Positions::new()).unwrap();
    }
    store
}

fn model_of(loaded: &Loaded) -> Model {
    let mut model = Model::default();
    let all = [
        loaded.all("ingest", rows::ingest_row).into_iter().map(Change::Ingest).collect::<Vec<_>>(),
        loaded.all("routed", rows::routed_row).into_iter().map(Change::Routed).collect(),
        loaded.all("notice", rows::notice_row).into_iter().map(Change::Notice).collect(),
        loaded.all("receipt", rows::receipt_row).into_iter().map(Change::Receipt).collect(),
        loaded.all("accepted", rows::accepted_row).into_iter().map(Change::Accepted).collect(),
        loaded.all("refused", rows::refused_row).into_iter().map(Change::Refused).collect(),
        loaded.all("progress", rows::progress_row).into_iter().map(Change::Progress).collect(),
        loaded.all("parked", rows::parked_row).into_iter().map(Change::Parked).collect(),
        loaded.all("control", rows::control_row).into_iter().map(Change::Control).collect(),
        loaded.all("heartbeat", rows::heartbeat_row).into_iter().map(Change::Heartbeat).collect(),
        loaded
            .rows("SELECT * FROM unreadable", [], |row| {
                let stream: String = row.get("stream")?;
                Ok(Change::Unreadable {
                    stream: Stream::named(&stream).unwrap(),
                    sequence: value::Columns::unsigned(row, "sequence")?,
                })
            })
            .unwrap(),
    ];
    all.into_iter().flatten().for_each(|change| model.apply(change));
    model
}

/// Notices that wait, as the index has it and as the model derives it.
fn waiting(loaded: &Loaded, model: &Model) -> (BTreeSet<String>, BTreeSet<String>) {
    let indexed = loaded
        .rows(
            "SELECT ori || '.' || event_id || '.' || subscriber FROM notice
             WHERE received IS NULL AND refused IS NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let derived = model.notices.values().filter(|notice| {
        let facts = model.notice(&notice.notice_id).unwrap();
        let heard = facts.receipts.iter().any(|receipt| {
            let counts = facts.attempts.iter().any(|attempt| receipt.belongs_to(attempt));
            counts && facts.is_believed(receipt)
        });
        !heard
    });
    (indexed.into_iter().collect(), derived.map(|notice| notice.notice_id.to_string()).collect())
}

#[test]
fn the_model_on_disk_equals_the_model_in_memory_in_any_order_and_when_repeated() {
    let story = story();
    let twice = [story.records.clone(), backwards(&story.records)].concat();
    let expected = in_memory(&story.records);
    for (records, per_transaction) in [
        (story.records.clone(), 1),
        (story.records.clone(), 1_000),
        (backwards(&story.records), 3),
        (twice, 7),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disk(dir.path(), &records, per_transaction);
        let loaded = store.reader().unwrap();
        assert_eq!(model_of(&loaded), expected);
        let (indexed, derived) = waiting(&loaded, &expected);
        assert_eq!(indexed, derived);
        assert_eq!(indexed.len(), 1, "only the dead letter was never heard of");
        for (id, _) in expected.notices.keys() {
            let standing = loaded.notice(id).unwrap().unwrap().standing();
            assert_eq!(standing, expected.notice(id).unwrap().standing(), "{id}");
        }
        let unanswered =
            loaded.rows("SELECT sequence FROM ingest WHERE answered = 0", [], |row| row.get::<_, i64>(0));
        assert_eq!(unanswered.unwrap(), [5, 6], "the third event and the garbage have no answer yet");
    }
}

#[test]
fn positions_are_kept_with_the_facts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, thrown_away) = Store::open(dir.path()).unwrap();
    assert!(!thrown_away);
    let whole_at = "2026-11-21T12:00:00.000001Z".parse().unwrap();
    let at = |sequence, whole_at| Position {
        created: "2026-11-21T10:00:00Z".into(),
        sequence,
        stored: None,
        whole_at,
    };
    let mut positions = Positions::from([(Stream::Ingest, at(7, Some(whole_at)))]);
    store.write([], &positions).unwrap();
    positions.insert(Stream::Ingest, at(8, None));
    store.write([], &positions).unwrap();
    drop(store);
    let (store, thrown_away) = Store::open(dir.path()).unwrap();
    assert!(!thrown_away);
    let kept = &store.positions().unwrap()[&Stream::Ingest];
    assert_eq!(*kept, at(8, None), "nobody has looked at the stream since: whole no more");
}

#[test]
fn a_model_that_was_made_anew_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let made = store.reader().unwrap().made().unwrap();
    drop(store);
    let (store, _) = Store::open(dir.path()).unwrap();
    assert_eq!(store.reader().unwrap().made().unwrap(), made, "opened again it is the same");
    assert_ne!(store.wipe().unwrap().reader().unwrap().made().unwrap(), made);
}

#[test]
fn another_schema_or_a_damaged_file_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let story = story();
    drop(on_disk(dir.path(), &story.records, 100));
    let file = dir.path().join(FILE);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Loaded::open(dir.path()), Err(StoreError::OtherSchema { found: 99, .. })));
    let (store, thrown_away) = Store::open(dir.path()).unwrap();
    assert!(thrown_away);
    assert_eq!(model_of(&store.reader().unwrap()), Model::default());
    drop(store);

    fs::write(&file, b"this is no database, and it is long enough to be taken for one if nobody looks")
        .unwrap();
    let (store, thrown_away) = Store::open(dir.path()).unwrap();
    assert!(thrown_away);
    assert_eq!(model_of(&store.wipe().unwrap().reader().unwrap()), Model::default());
}

#[test]
fn a_node_that_never_ran_has_no_model() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Loaded::open(dir.path()), Err(StoreError::Missing(_))));
}

#[test]
fn a_reader_sees_the_model_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut story = Story::of(&["fed-a"]);
    let told = story.publish(1, &["fed-a"], |_| {});
    story.route(&told, &["fed-a"]);
    let mut store = on_disk(dir.path(), &story.records, 10);
    let level = || Statement::Level(ReceiptLevel::Received);
    let loaded = Loaded::open(dir.path()).unwrap();
    story.wait(SignedDuration::from_secs(1)).say_with(&told, "fed-a", level(), |_| {});
    let last = changes(&story.records.last().unwrap().record());
    loaded
        .at_one_time(|loaded| {
            assert_eq!(loaded.all("receipt", rows::receipt_row).len(), 0);
            store.write(last.clone(), &Positions::new()).unwrap();
            assert_eq!(loaded.all("receipt", rows::receipt_row).len(), 0, "one state of the model");
            Ok(())
        })
        .unwrap();
    assert_eq!(loaded.all("receipt", rows::receipt_row).len(), 1);
}

#[test]
fn what_is_taken_out_leaves_the_model_as_if_it_had_been_built_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let story = story();
    let mut store = on_disk(dir.path(), &story.records, 100);
    let mut folded = Folded::default();
    story.records.iter().for_each(|r| folded.add(r.stream, r.sequence, r.stored));
    store.write_folded([], &Positions::new(), &folded, &[]).unwrap();
    let made = store.reader().unwrap().made().unwrap();
    let lost =
        [(Stream::Ingest, 1, 2), (Stream::Deliver, 1, 1), (Stream::Deliver, 4, 5), (Stream::Receipts, 1, 1)];
    let gaps = lost.map(|(stream, first, last)| (stream, [Gap { first, last }]));
    let all: Vec<_> = gaps.iter().map(|(stream, gap)| (*stream, &gap[..], story.now())).collect();
    store.write_folded([], &Positions::new(), &Folded::default(), &all).unwrap();
    let is_lost = |record: &Stored| {
        lost.iter().any(|(s, first, last)| *s == record.stream && (*first..=*last).contains(&record.sequence))
    };
    let rest: Vec<Stored> = story.records.iter().filter(|record| !is_lost(record)).cloned().collect();
    let loaded = store.reader().unwrap();
    let model = in_memory(&rest);
    assert_eq!(model_of(&loaded), model);
    let (indexed, derived) = waiting(&loaded, &model);
    assert_eq!(indexed, derived);
    assert_ne!(loaded.made().unwrap(), made);
    let of = |stream| rest.iter().filter(|record| record.stream == stream).count() as u64;
    for stream in COMPARED {
        let held: u64 = loaded.held(stream).unwrap().iter().map(|span| span.last - span.first + 1).sum();
        assert_eq!(held, of(stream), "{}", stream.name());
    }
    assert_eq!(loaded.lost(Stream::Deliver).unwrap(), 3);
}

#[test]
fn spans_end_where_a_message_is_missing_where_an_hour_ends_and_where_they_are_long() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    let at = |minute: i64| jiff::Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
    let mut put = |sequences: std::ops::RangeInclusive<u64>, minute| {
        let mut folded = Folded::default();
        sequences.for_each(|sequence| folded.add(Stream::Ingest, sequence, at(minute)));
        store.write_folded([], &Positions::new(), &folded, &[]).unwrap();
    };
    put(1..=3, 0);
    put(4..=5, 1);
    put(4..=5, 1);
    put(7..=8, 2);
    put(9..=9, 62);
    put(10..=2_000, 63);
    let held = Loaded::open(dir.path()).unwrap().held(Stream::Ingest).unwrap();
    let spans: Vec<_> = held.iter().map(|span| (span.first, span.last)).collect();
    assert_eq!(spans[..3], [(1, 5), (7, 8), (9, 9)]);
    assert_eq!(spans.last().unwrap().1, 2_000);
    assert!(spans.iter().all(|(first, last)| last - first < 1_024), "{spans:?}");
}
