//! What the store keeps through crashes, copies and repetitions.
#![allow(clippy::unwrap_used)]
use jiff::{SignedDuration, Timestamp};
use sallyport_agent_core::{
    custody::{FacilitySecret, custody_key},
    outbox::{Row, Status, window::Lane},
    revise::{Draft, DraftKind, HeadFacts, Recipient},
};
use sallyport_link::clock;
use sallyport_proto::{
    answer::{AcceptedEvent, Refusal, RelayedReceipt},
    envelope::Digest,
    ids::{EventId, NodeId, NoticeId},
    provenance::{AgreementId, Provenance, TrafficClass},
    receipt::{Receipt, ReceiptFor, Statement},
    time::Moment,
    vocabulary::{Purpose, ReceiptLevel, RefusalCode, ReleaseState, SourceClock},
};

use super::*;
use crate::jail::{INSTANCE, ORI, SUPERVISION};

struct Bed {
    dir: tempfile::TempDir,
    store: Store,
    writer: WriterThread,
}

fn open_in(dir: &Path) -> (Store, WriterThread) {
    open(dir, &INSTANCE.parse().unwrap(), &ORI.parse().unwrap()).unwrap()
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = open_in(dir.path());
    Bed { dir, store, writer }
}

fn draft() -> Draft {
    let secret = FacilitySecret::from_hex(&"0a".repeat(32)).unwrap();
    let recipient = Recipient {
        subscriber: SUPERVISION.parse().unwrap(),
        request_id: None,
        agreement: AgreementId { id: "zz-supervision".parse().unwrap(), version: 1 },
        purpose: Purpose::Supervision,
        rule_id: "rule-1".into(),
        pack_version: "1".into(),
        fields: vec!["booking_number".into()],
        part: None,
        digest: "d".into(),
    };
    Draft {
        kind: DraftKind::Main,
        custody_key: custody_key(&secret, &ORI.parse().unwrap(), "B-1"),
        revision: 1,
        supersedes: None,
        facts: HeadFacts::withdrawal(ReleaseState::Released),
        observed: Moment::exact(clock::now(), SourceClock::Agent),
        recipients: vec![recipient],
    }
}

impl Bed {
    /// Stores an event of these bytes.
    async fn event(&self, bytes: &'static [u8]) -> EventId {
        let id = EventId::from(uuid::Uuid::now_v7());
        let named = id.clone();
        let job = self.store.write(Kind::Intake, move |connection| {
            let number = next_number(connection)?;
            let row = NewRow {
                event_id: &id,
                ingest: bytes,
                number: &number,
                draft: &draft(),
                traffic: "TEST",
                backfill: false,
                lane: Lane::Live,
                now: clock::now(),
            };
            insert_row(connection, &row)?;
            take_number(connection, &number)
        });
        job.await.unwrap();
        named
    }

    async fn accept(&self, event: &EventId, bytes: &[u8]) -> Applied {
        let accepted = acceptance(event, bytes);
        let (node, answer): (NodeId, Digest) = ("a".parse().unwrap(), Digest::of(b"answer"));
        self.store
            .write(Kind::Answer, move |c| apply_acceptance(c, &accepted, &node, &answer, clock::now()))
            .await
            .unwrap()
    }

    fn epoch(&self) -> (String, u64) {
        let row = self.store.reader().unwrap().facility().unwrap();
        (row.epoch, row.seq)
    }
}

fn acceptance(event: &EventId, bytes: &[u8]) -> AcceptedEvent {
    let moment = Moment::exact(clock::now(), SourceClock::Relay);
    AcceptedEvent {
        event_id: event.clone(),
        digest: Digest::of(bytes),
        recipients: vec![SUPERVISION.parse().unwrap()],
        unsubscribed: vec![],
        registry_version: 1,
        predecessor_missing: false,
        t4_stored: moment,
        t5_routed: moment,
    }
}

#[tokio::test]
async fn what_was_said_to_be_stored_is_there_after_a_new_start() {
    let bed = bed();
    let event = bed.event(b"one").await;
    let Bed { dir, store, writer } = bed;
    drop(store);
    writer.close();
    let (store, _writer) = open_in(dir.path());
    let due = store.reader().unwrap().due(clock::now()).unwrap();
    assert_eq!((due[0].row.event_id.clone(), due[0].ingest.as_slice()), (event, b"one".as_slice()));
}

#[tokio::test]
async fn jobs_that_wait_together_share_a_transaction_and_a_failing_one_harms_no_other() {
    let bed = bed();
    let good = |n: i64| bed.store.write(Kind::Upkeep, move |c| note_refused(c, &n.to_string(), "test", "[]"));
    let bad = bed.store.write(Kind::Upkeep, |c| {
        note_refused(c, "bad", "test", "[]")?;
        Err::<(), _>(StoreError::Damaged { what: "a test" })
    });
    let (a, b, c) = tokio::join!(good(1), bad, good(2));
    assert!(a.is_ok() && c.is_ok());
    assert!(matches!(b, Err(StoreError::Damaged { .. })));
    assert_eq!(bed.store.reader().unwrap().counts().unwrap().kept_aside, 2);
}

#[tokio::test]
async fn a_row_retires_on_its_acceptance_and_on_nothing_before() {
    let bed = bed();
    let event = bed.event(b"one").await;
    let reader = bed.store.reader().unwrap();
    let due = reader.due(clock::now()).unwrap().remove(0);
    let mut row = due.row.clone();
    row.handle_deadline(clock::now(), 0.0).unwrap();
    let sent = Sent { n: due.n, row, sent: clock::now(), acked: Some(clock::now()) };
    bed.store.write(Kind::Sent, move |c| record_sent(c, &sent)).await.unwrap();
    assert_eq!(reader.depth().unwrap().open, 1, "a PubAck retires nothing");
    assert_eq!(bed.accept(&event, b"other bytes").await, Applied::NotOurs);
    assert_eq!(reader.depth().unwrap().open, 1);
    assert_eq!(bed.accept(&event, b"one").await, Applied::Closed);
    assert_eq!(bed.accept(&event, b"one").await, Applied::Repeated);
    assert_eq!(reader.depth().unwrap().open, 0);
}

#[tokio::test]
async fn a_puback_that_is_recorded_late_does_not_open_a_closed_row() {
    let bed = bed();
    let event = bed.event(b"one").await;
    let reader = bed.store.reader().unwrap();
    let due = reader.due(clock::now()).unwrap().remove(0);
    bed.accept(&event, b"one").await;
    let mut row = due.row.clone();
    row.handle_deadline(clock::now(), 0.0);
    let sent = Sent { n: due.n, row, sent: clock::now(), acked: Some(clock::now()) };
    bed.store.write(Kind::Sent, move |c| record_sent(c, &sent)).await.unwrap();
    assert_eq!(reader.depth().unwrap().open, 0);
    let later = clock::now() + SignedDuration::from_hours(1);
    assert!(reader.due(later).unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_for_an_unknown_key_is_shown_and_leaves_the_row_open() {
    let bed = bed();
    let event = bed.event(b"one").await;
    let refuse = |code, permanent| {
        let refusal = Refusal {
            event_id: Some(event.clone()),
            digest: Digest::of(b"one"),
            code,
            permanent,
            text: "why".into(),
        };
        let (node, answer): (NodeId, Digest) = ("a".parse().unwrap(), Digest::of(b"answer"));
        bed.store.write(Kind::Answer, move |c| apply_refusal(c, &refusal, &node, &answer, clock::now()))
    };
    assert_eq!(refuse(RefusalCode::UnknownKey, false).await.unwrap(), Applied::StaysOpen);
    assert_eq!(bed.store.reader().unwrap().depth().unwrap().open, 1);
    assert_eq!(refuse(RefusalCode::BadSignature, true).await.unwrap(), Applied::Closed);
    assert_eq!(bed.store.reader().unwrap().counts().unwrap().refused, 1);
}

#[tokio::test]
async fn numbers_are_dense_and_a_failed_job_takes_none() {
    let bed = bed();
    bed.event(b"one").await;
    let failed = bed.store.write(Kind::Intake, |connection| {
        let number = next_number(connection)?;
        take_number(connection, &number)?;
        Err::<(), _>(StoreError::Damaged { what: "a test" })
    });
    assert!(failed.await.is_err());
    bed.event(b"two").await;
    assert_eq!(bed.epoch().1, 2);
}

#[tokio::test]
async fn a_copy_put_in_the_place_of_the_store_begins_a_new_epoch() {
    let bed = bed();
    bed.event(b"one").await;
    let before = bed.epoch();
    let Bed { dir, store, writer } = bed;
    drop(store);
    writer.close();
    let file = database(dir.path());
    let copy = dir.path().join("copy");
    std::fs::copy(&file, &copy).unwrap();
    std::fs::rename(&copy, &file).unwrap();
    let (store, _writer) = open_in(dir.path());
    let after = store.reader().unwrap().facility().unwrap();
    assert_ne!(after.epoch, before.0);
    assert_eq!(after.seq, 0);
}

#[tokio::test]
async fn an_event_of_ours_that_the_store_should_hold_and_does_not_begins_a_new_epoch_once() {
    let bed = bed();
    let before = bed.epoch().0;
    let opened = clock::now();
    // Ids count milliseconds: these are of a later one than the epoch's.
    while clock::now().as_millisecond() <= opened.as_millisecond() {
        std::hint::spin_loop();
    }
    let (lost, lost_too) = (EventId::from(uuid::Uuid::now_v7()), EventId::from(uuid::Uuid::now_v7()));
    assert_eq!(bed.accept(&lost, b"lost").await, Applied::Unknown);
    let after = bed.epoch().0;
    assert_ne!(after, before);
    assert_eq!(bed.accept(&lost_too, b"lost").await, Applied::Unknown);
    assert_eq!(bed.epoch().0, after);
    // Made in 2020: it may have been pruned.
    let old: EventId = "016f5e66-e800-7000-8000-000000000000".parse().unwrap();
    assert_eq!(bed.accept(&old, b"old").await, Applied::NotOurs);
}

#[test]
fn a_store_of_another_facility_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = open_in(dir.path());
    drop(store);
    writer.close();
    let other = open(dir.path(), &INSTANCE.parse().unwrap(), &crate::jail::OTHER_ORI.parse().unwrap());
    assert!(matches!(other, Err(StoreError::OtherFacility { .. })));
}

fn receipt(event: &EventId, bytes: &[u8]) -> (Receipt, ReceiptFor) {
    let about = ReceiptFor {
        notice_id: NoticeId::new(&ORI.parse().unwrap(), event, &SUPERVISION.parse().unwrap()),
        event_digest: Digest::of(bytes),
        attempt: 0,
        superseded: false,
        t6_received: None,
    };
    let now = Moment::exact(clock::now(), SourceClock::Subscriber);
    let receipt = Receipt {
        provenance: Provenance::of(&INSTANCE.parse().unwrap(), "test/1"),
        subscriber: SUPERVISION.parse().unwrap(),
        ori: ORI.parse().unwrap(),
        notices: vec![about.clone()],
        statement: Statement::Level(ReceiptLevel::Received),
        by_whom: "machine".into(),
        text: None,
        traffic: TrafficClass::Test,
        t6_received: Some(now),
        staged: None,
        t7_seen: None,
        t8_answered: None,
        published: now,
        agreement: None,
    };
    (receipt, about)
}

impl Bed {
    async fn credit(&self, event: &EventId, bytes: &'static [u8], envelope: &'static [u8]) -> Credit {
        let (receipt, about) = receipt(event, bytes);
        let stored = Moment::exact(clock::now(), SourceClock::Broker);
        let relayed = RelayedReceipt { receipt: envelope.to_vec(), stored, receipts_sequence: 1 };
        let job = self.store.write(Kind::Answer, move |connection| {
            let digest = keep_receipt(connection, &relayed, &receipt.subscriber, clock::now())?;
            credit(connection, &digest, &receipt, &about, clock::now())
        });
        job.await.unwrap()
    }
}

#[tokio::test]
async fn a_receipt_is_folded_by_its_digest_and_never_credited_to_another_notice() {
    let bed = bed();
    let event = bed.event(b"one").await;
    assert_eq!(bed.credit(&event, b"one", b"envelope 1").await, Credit::New);
    assert_eq!(bed.credit(&event, b"one", b"envelope 1").await, Credit::Repeated);
    assert!(matches!(bed.credit(&event, b"other", b"envelope 2").await, Credit::Stray(_)));
    let unknown = EventId::from(uuid::Uuid::now_v7());
    assert!(matches!(bed.credit(&unknown, b"one", b"envelope 3").await, Credit::Stray(_)));
    let view = crate::status::event(&bed.store.reader().unwrap(), event.as_str()).unwrap().unwrap();
    assert_eq!(view.recipients[0].receipts.len(), 1);
    assert_eq!(bed.store.reader().unwrap().counts().unwrap().strays, 2);
}

#[tokio::test]
async fn only_what_was_closed_long_ago_is_pruned() {
    let bed = bed();
    let closed = bed.event(b"closed").await;
    bed.event(b"open").await;
    bed.accept(&closed, b"closed").await;
    let prune_at = |now: Timestamp| bed.store.write(Kind::Upkeep, move |c| prune(c, now));
    assert_eq!(prune_at(clock::now() + SignedDuration::from_hours(29 * 24)).await.unwrap(), 0);
    let later = clock::now() + SignedDuration::from_hours(31 * 24);
    assert_eq!(prune_at(later).await.unwrap(), 1);
    let left = bed.store.reader().unwrap().due(later).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].ingest, b"open");
}

impl Bed {
    async fn sent(&self, n: i64) {
        let DueRow { mut row, .. } = self.store.reader().unwrap().row(n).unwrap();
        row.handle_deadline(clock::now(), 0.0).unwrap();
        let sent = Sent { n, row, sent: clock::now(), acked: None };
        self.store.write(Kind::Sent, move |c| record_sent(c, &sent)).await.unwrap();
    }
}

#[tokio::test]
async fn what_waits_and_what_was_sent_are_told_apart_by_their_indexes() {
    let bed = bed();
    for bytes in [b"a", b"b", b"c"] {
        bed.event(bytes).await;
    }
    let reader = bed.store.reader().unwrap();
    bed.sent(2).await;
    assert_eq!(reader.sent().unwrap().iter().map(|row| row.n).collect::<Vec<_>>(), [2]);
    let now = reader.unsent(clock::now(), 10, |_| false).unwrap();
    assert_eq!((now.fresh, now.backlog), (vec![3, 1], vec![]));
    let later = reader.unsent(clock::now() + SignedDuration::from_hours(1), 10, |n| n == 1).unwrap();
    assert_eq!((later.fresh, later.backlog), (vec![], vec![3]));
    assert_eq!(reader.earlier(3).unwrap(), [1], "all are of one custody");
    // Answered from the indexes alone, however many rows wait.
    for (filter, index) in [("attempt = 0 AND lane = 0", "outbox_waiting"), ("attempt > 0", "outbox_sent")] {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT n FROM outbox INDEXED BY {index} WHERE status = 'open' AND {filter} ORDER BY n"
        );
        let plan = reader.rows(&sql, [], |row| row.get::<_, String>(3)).unwrap();
        assert!(plan.len() == 1 && plan[0].contains("USING COVERING INDEX"), "{plan:?}");
    }
}

#[tokio::test]
async fn a_heartbeat_states_no_number_that_still_waits() {
    let bed = bed();
    let reader = bed.store.reader().unwrap();
    for bytes in [b"a", b"b", b"c"] {
        bed.event(bytes).await;
    }
    assert_eq!(reader.numbered().unwrap().seq, 0);
    bed.sent(1).await;
    bed.sent(3).await;
    let numbered = reader.numbered().unwrap();
    assert_eq!((numbered.seq, numbered.depth.open), (1, 3), "the second waits");
    assert_eq!(numbered.range.unwrap().first, 1);
    bed.sent(2).await;
    assert_eq!(reader.numbered().unwrap().seq, 3);
}

#[tokio::test]
async fn after_a_reconnect_only_what_has_no_puback_is_due_at_once() {
    let bed = bed();
    bed.event(b"acked").await;
    bed.event(b"unacked").await;
    let reader = bed.store.reader().unwrap();
    for due in reader.due(clock::now()).unwrap() {
        let mut row: Row = due.row.clone();
        row.handle_deadline(clock::now(), 0.0).unwrap();
        assert!(matches!(row.status, Status::Open { .. }));
        let acked = (due.ingest == b"acked").then(clock::now);
        let sent = Sent { n: due.n, row, sent: clock::now(), acked };
        bed.store.write(Kind::Sent, move |c| record_sent(c, &sent)).await.unwrap();
    }
    assert!(reader.due(clock::now()).unwrap().is_empty());
    bed.store.write(Kind::Upkeep, |c| due_at_once(c, clock::now())).await.unwrap();
    let due = reader.due(clock::now()).unwrap();
    assert_eq!(due.iter().map(|d| d.ingest.as_slice()).collect::<Vec<_>>(), [b"unacked"]);
}
