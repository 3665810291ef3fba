//! What the fold makes of small stories; `properties` has what holds for any story and any interleaving.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod properties;

use jiff::SignedDuration;
use sallyport_proto::{
    envelope::Digest,
    ids::NoticeId,
    receipt::{Response, Statement},
    time::Moment,
    vocabulary::{ReceiptLevel, RefusalCode, ReleaseState, ResponseKind, SourceClock},
};

use super::*;
use crate::{
    delivery::{Credit, Mismatch, Status},
    fixture::records::{Stored, Story, Told},
    latency::Stage,
    ledger::view::Standing,
};

fn fold(story: &Story) -> Model {
    fold_records(&story.records)
}

fn fold_records(records: &[Stored]) -> Model {
    let mut model = Model::default();
    for change in records.iter().flat_map(|record| changes(&record.record())) {
        model.apply(change);
    }
    model
}

fn standing(story: &Story, told: &Told, subscriber: &str) -> Standing {
    let id = NoticeId::new(&told.head.ori, &told.head.event_id, &subscriber.parse().unwrap());
    fold(story).notice(&id).unwrap().standing().unwrap()
}

#[track_caller]
fn check(story: &Story, told: &Told, status: Status, credits: &[Credit]) {
    let standing = standing(story, told, "fed-a");
    assert_eq!((standing.delivery.status(), &standing.credits[..]), (status, credits));
}

const COUNTED: Credit = Credit::Counted { late: false };

/// One event, routed to fed-a; fed-b holds a disclosure and asked for nothing.
fn told() -> (Story, Told) {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let told = story.publish(1, &["fed-a", "fed-b"], |_| {});
    story.route(&told, &["fed-a"]).accept(&told);
    (story, told)
}

#[test]
fn one_event_is_followed_from_ingest_to_the_answer_of_a_person() {
    let (mut story, told) = told();
    let received = story.receipt(&told, "fed-a", ReceiptLevel::Received);
    let eta = Moment::exact(story.now(), SourceClock::Person);
    let coming = Response {
        kind: ResponseKind::WillTakeCustody,
        eta: Some(eta),
        answer_by: None,
        contact: None,
        forward_to: None,
    };
    let answered = Some(Moment::exact(story.now(), SourceClock::Subscriber));
    story.receipt_with(&told, "fed-a", Statement::Response(coming), |r| r.t8_answered = answered);
    check(&story, &told, Status::Responded, &[COUNTED, COUNTED]);

    let model = fold(&story);
    let routed = &model.routed[&(told.head.ori.clone(), told.head.event_id.clone())];
    assert_eq!((routed.recipients.len(), routed.unsubscribed.len()), (1, 1));
    assert_eq!(model.accepted.len(), 1);
    assert_eq!(model.progress[&received].receipts_sequence, received);
    assert!(model.unreadable.is_empty());
    let times = standing(&story, &told, "fed-a").times;
    for stage in [Stage::Store, Stage::Route, Stage::Deliver, Stage::Answer, Stage::Whole] {
        assert!(times.stage(stage).is_some(), "{stage:?}");
    }
    assert_eq!(times.stage(Stage::See), None, "nobody said SEEN");
    assert!(times.lead().received.unwrap() > times.lead().answered.unwrap());
}

#[test]
fn a_receipt_for_an_unknown_notice_is_credited_to_nobody() {
    let (mut story, told) = told();
    let mut other = story.publish(2, &["fed-a"], |_| {});
    other.ingest_sequence = 0;
    story.receipt(&other, "fed-a", ReceiptLevel::Seen);
    check(&story, &told, Status::Relayed, &[]);
    assert_eq!(fold(&story).receipts.len(), 1, "and it is kept");
}

#[test]
fn a_mismatched_receipt_is_kept_and_credited_to_nobody() {
    let (mut story, told) = told();
    let level = || Statement::Level(ReceiptLevel::Received);
    story.receipt_with(&told, "fed-a", level(), |r| r.notices[0].event_digest = Digest::of(b"other"));
    story.receipt_with(&told, "fed-a", level(), |r| r.notices[0].attempt = 4);
    check(
        &story,
        &told,
        Status::Relayed,
        &[Credit::Mismatched(Mismatch::Digest), Credit::Mismatched(Mismatch::Attempt)],
    );
}

#[test]
fn a_receipt_from_anothers_subject_is_not_credited() {
    let (mut story, told) = told();
    story.receipt(&told, "fed-a", ReceiptLevel::Received);
    let receipt = story.records.iter_mut().rfind(|record| record.stream == Stream::Receipts).unwrap();
    receipt.subject = "hub.v1.receipt.fed-b.received".into();
    check(&story, &told, Status::Relayed, &[Credit::Mismatched(Mismatch::Subscriber)]);
}

#[test]
fn a_receipt_counts_when_the_relay_has_verified_it_and_passed_it_on() {
    let (mut story, told) = told();
    let receipt = story.say_with(&told, "fed-a", Statement::Level(ReceiptLevel::Seen), |_| {});
    check(&story, &told, Status::Relayed, &[Credit::NotPassedOn]);
    story.forward(&told, receipt);
    check(&story, &told, Status::Seen, &[COUNTED]);
}

#[test]
fn a_receipt_that_the_relay_parked_is_not_credited() {
    let (mut story, told) = told();
    let receipt = story.say_with(&told, "fed-a", Statement::Level(ReceiptLevel::Seen), |_| {});
    story.park("bad-signature", Stream::Receipts, receipt);
    check(&story, &told, Status::Relayed, &[Credit::Discredited]);
}

#[test]
fn a_receipt_after_its_deadline_is_late() {
    let (mut story, told) = told();
    story.wait(SignedDuration::from_secs(31)).receipt(&told, "fed-a", ReceiptLevel::Received);
    check(&story, &told, Status::Received, &[Credit::Counted { late: true }]);
}

#[test]
fn a_later_revision_that_was_received_supersedes_the_earlier() {
    let (mut story, first) = told();
    let second = story.publish(2, &["fed-a"], |head| {
        head.revision = 2;
        head.supersedes = Some(first.head.event_id.clone());
    });
    story.route(&second, &["fed-a"]);
    check(&story, &first, Status::Relayed, &[]);
    story.receipt(&second, "fed-a", ReceiptLevel::Received);
    check(&story, &first, Status::Superseded, &[]);
    check(&story, &second, Status::Received, &[COUNTED]);
    story.receipt(&first, "fed-a", ReceiptLevel::Received);
    check(&story, &first, Status::Superseded, &[Credit::AfterEnd]);
    assert!(standing(&story, &first, "fed-a").times.t6.is_some(), "received all the same");
}

#[test]
fn a_later_revision_of_another_custody_supersedes_nothing() {
    let (mut story, first) = told();
    let second = story.publish(2, &["fed-a"], |head| {
        head.revision = 2;
        head.custody_key = "BBCDEFGHIJKLMNOPQRSTUVWXYZ".parse().unwrap();
    });
    story.route(&second, &["fed-a"]).receipt(&second, "fed-a", ReceiptLevel::Received);
    check(&story, &first, Status::Relayed, &[]);
}

#[test]
fn a_second_attempt_is_received_for_the_same_notice() {
    let (mut story, told) = told();
    story.again(&told, "fed-a", 1);
    story.receipt_with(&told, "fed-a", Statement::Level(ReceiptLevel::Received), |r| {
        r.notices[0].attempt = 1;
    });
    check(&story, &told, Status::Received, &[COUNTED]);
}

#[test]
fn a_dead_letter_ends_a_notice_and_a_late_receipt_rewrites_nothing() {
    let (mut story, told) = told();
    story.dead_letter(&told, "fed-a").receipt(&told, "fed-a", ReceiptLevel::Received);
    check(&story, &told, Status::DeadLettered, &[Credit::AfterEnd]);
}

#[test]
fn a_retraction_is_acknowledged_on_its_own_notice() {
    let (mut story, _) = told();
    let retraction = story.publish(2, &["fed-a"], |head| {
        head.revision = 2;
        head.release_state = ReleaseState::Retracted;
    });
    let noted = Response {
        kind: ResponseKind::RetractionAcknowledged,
        eta: None,
        answer_by: None,
        contact: None,
        forward_to: None,
    };
    story.route(&retraction, &["fed-a"]);
    story.receipt_with(&retraction, "fed-a", Statement::Response(noted), |_| {});
    check(&story, &retraction, Status::RetractionAcknowledged, &[COUNTED]);
}

#[test]
fn a_backfill_has_stage_latencies_and_no_lead_time() {
    let mut story = Story::of(&["fed-a"]);
    let told = story.publish(1, &["fed-a"], |head| head.backfill = true);
    story.route(&told, &["fed-a"]).receipt(&told, "fed-a", ReceiptLevel::Received);
    let times = standing(&story, &told, "fed-a").times;
    assert!(times.stage(Stage::Whole).unwrap().value < SignedDuration::from_secs(1));
    assert_eq!(times.lead().received, None);
}

#[test]
fn a_resent_event_and_a_refused_one_are_told_apart() {
    let mut story = Story::of(&["fed-a"]);
    let told = story.publish(1, &["fed-a"], |_| {});
    let copy = story.publish_bytes(story.records[0].payload.clone());
    let conflict = story.publish(1, &["fed-a"], |head| head.revision = 9);
    story.route(&told, &["fed-a"]).accept(&told).accept(&copy).refuse(&conflict, RefusalCode::Conflict);
    let model = fold(&story);
    assert_eq!((model.ingest.len(), model.accepted.len(), model.refused.len()), (3, 1, 1));
    assert_eq!(model.ingest[&1].digest, model.ingest[&2].digest);
    let accepted = model.accepted.values().next().unwrap();
    assert_eq!(accepted.sequence, 1, "the first answer counts");
}

#[test]
fn garbage_is_counted_and_passed_over() {
    let mut story = Story::of(&["fed-a"]);
    story.put(Stream::Ingest, "ingest.v1.release.zz.zz0010000", b"garbage".to_vec());
    story.put(Stream::Deliver, "hub.v1.routed.zz.zz0010000.x", b"garbage".to_vec());
    story.put(Stream::Heartbeats, "hub.v1.head.fed-a", b"not folded".to_vec());
    story.put(Stream::Receipts, "hub.v1.receipt.fed-a.received", b"garbage".to_vec());
    story.put(Stream::Receipts, "hub.v1.receipt.fed-a.outcome", b"not folded".to_vec());
    story.put(Stream::Answers, "hub.v1.answer.zz.zz0010000.accepted", Vec::new());
    story.put(Stream::Control, "hub.v1.control.x", b"garbage".to_vec());
    story.put(Stream::Parked, "hub.v1.parked.x.zz.zz0010000", b"garbage".to_vec());
    story.put(Stream::Heartbeats, "ingest.v1.heartbeat.zz.zz0010000", b"garbage".to_vec());
    let model = fold(&story);
    let unreadable: Vec<Stream> = model.unreadable.iter().map(|(stream, _)| *stream).collect();
    assert_eq!(
        unreadable,
        [
            Stream::Deliver,
            Stream::Receipts,
            Stream::Answers,
            Stream::Control,
            Stream::Parked,
            Stream::Heartbeats
        ]
    );
    assert_eq!(model.ingest[&1].event, None, "a jail's garbage is a message of that jail");
}
