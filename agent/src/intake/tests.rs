//! What comes of records: events, revisions, nothing; and what lies in the store afterwards.
#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use sallyport_link::connect::LinkCounters;
use sallyport_proto::{
    answer::{AcceptedEvent, Refusal},
    envelope::Digest,
    event::{UnverifiedEvent, VerifiedEvent},
    ids::{EventId, NodeId},
    time::Moment,
    vocabulary::{RefusalCode, ReleaseState, SourceClock},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    config,
    jail::{self, Jail, Setting},
    store::{self, Kind, WriterThread},
};

/// An intake with its own store, and what it needs kept.
struct Bed {
    jail: Jail,
    intake: Intake,
    _writer: WriterThread,
    _registry: watch::Sender<Arc<Registry>>,
}

fn bed() -> Bed {
    bed_allowing(jail::ALLOW)
}

fn bed_allowing(allow: &str) -> Bed {
    let jail = Jail::new(&Setting { allow, ..Setting::default() });
    let config = config::read(&jail.config()).unwrap_or_else(|problems| panic!("{problems}"));
    let facility = &config.facility;
    let (store, writer) = store::open(&config.store_dir, &facility.instance, &facility.ori).unwrap();
    let (sender, registry) = watch::channel(Arc::new(config.registry_at_start.clone()));
    let metrics = Arc::new(Metrics::new(Arc::new(LinkCounters::default())));
    let intake = Intake::new(&config, store, registry, metrics);
    Bed { jail, intake, _writer: writer, _registry: sender }
}

impl Bed {
    async fn export(&self, rows: &str) -> Summary {
        self.export_of("2026-06-01T00:00:00Z", false, rows).await
    }

    async fn export_of(&self, as_of: &str, retract: bool, rows: &str) -> Summary {
        let text = format!("{}{rows}", jail::HEADER);
        let options =
            ExportOptions { as_of: as_of.parse().unwrap(), backfill: false, retract, lift_floor: false };
        self.intake.export(text.into(), options).await.unwrap()
    }

    /// Everything that is stored to be sent, in its order.
    fn sent(&self) -> Vec<VerifiedEvent> {
        let key = self.jail.facility.public_key().parse().unwrap();
        let rows = self.intake.store().reader().unwrap().due(super::now()).unwrap();
        rows.iter().map(|row| UnverifiedEvent::read(&row.ingest).unwrap().verify(&key).unwrap()).collect()
    }
}

const TWO: &str = "B-1,Invented A,2026-03-01 10:00,2026-03-01 09:00,Bail,,\n\
                   B-2,Invented B,2026-03-01 11:00,,Served,,\n";

#[tokio::test]
async fn an_export_is_stored_signed_and_numbered_without_gaps() {
    let bed = bed();
    let summary = bed.export(TWO).await;
    assert_eq!((summary.custodies, summary.events, summary.withheld), (2, 2, 0));
    let sent = bed.sent();
    assert_eq!(sent.iter().map(|e| e.head.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(sent[0].head.epoch, sent[1].head.epoch);
    assert_eq!(sent[0].disclosures[0].0.subscriber_id.as_str(), jail::SUPERVISION);
    let part = sent[0].disclosures[0].0.part.clone().unwrap();
    assert_eq!(part.booking_number.unwrap().expose(), "B-1");
}

#[tokio::test]
async fn a_second_reading_of_the_same_file_stores_nothing() {
    let bed = bed();
    bed.export(TWO).await;
    let again = bed.export(TWO).await;
    assert_eq!((again.events, again.unchanged), (0, 2));
    assert_eq!(bed.sent().len(), 2);
}

#[tokio::test]
async fn a_changed_row_is_one_event_of_revision_two_that_names_its_predecessor() {
    let bed = bed();
    bed.export(TWO).await;
    let changed = bed.export(&TWO.replace("11:00,,Served", "12:30,,Served")).await;
    assert_eq!((changed.events, changed.unchanged), (1, 1));
    let sent = bed.sent();
    assert_eq!(sent[2].head.revision, 2);
    assert_eq!(sent[2].head.supersedes.as_ref(), Some(&sent[1].head.event_id));
    assert_eq!(sent[2].head.custody_key, sent[1].head.custody_key);
}

#[tokio::test]
async fn an_older_export_never_takes_the_place_of_a_newer_one() {
    let bed = bed();
    let earlier = "B-2,Invented B,2026-03-01 11:00,,Served,,\n";
    let later = "B-2,Invented B,2026-03-01 12:30,,Served,,\n";
    bed.export_of("2026-06-02T00:00:00Z", false, later).await;
    let stale = bed.export_of("2026-06-01T00:00:00Z", false, earlier).await;
    assert_eq!((stale.events, stale.outdated), (0, 1));
    let same = bed.export_of("2026-06-01T00:00:00Z", false, later).await;
    assert_eq!((same.events, same.outdated, same.unchanged), (0, 0, 1));
    let newer = bed.export_of("2026-06-03T00:00:00Z", false, earlier).await;
    assert_eq!((newer.events, newer.outdated), (1, 0));
}

#[tokio::test]
async fn an_export_from_before_a_booking_was_sealed_does_not_bring_it_back() {
    let bed = bed();
    let open = "B-2,Invented B,2026-03-01 11:00,,Served,,\n";
    bed.export_of("2026-06-02T00:00:00Z", false, &open.replace("Served,,", "Served,JUV,")).await;
    assert_eq!(bed.export_of("2026-06-01T00:00:00Z", false, open).await.events, 0);
    assert_eq!(bed.sent().len(), 0);
}

#[tokio::test]
async fn a_mark_of_the_floor_stays_whatever_another_record_leaves_out_until_a_person_lifts_it() {
    let bed = bed();
    let marked = "B-2,Invented B,2026-03-01 11:00,,Served,JUV,\n";
    let bare = "B-2,Invented B,2026-03-01 11:00,,Served,,\n";
    assert_eq!(bed.export_of("2026-06-01T00:00:00Z", false, marked).await.withheld_by_floor, 1);
    let later = bed.export_of("2026-06-02T00:00:00Z", false, bare).await;
    assert_eq!((later.events, later.withheld_by_floor), (0, 1), "an export that left the marked row out");
    let stated = json!({ "key": "k-1", "booking_number": "b-2", "release_state": "RELEASED", "reason": "TIME_SERVED",
                         "released_at": "2026-03-01T11:00:00Z" });
    assert_eq!(bed.intake.events(vec![stated]).await.unwrap()[0].status, EventStatus::Withheld);
    assert_eq!(bed.sent().len(), 0);
    let options = ExportOptions { as_of: super::now(), backfill: false, retract: false, lift_floor: true };
    let text = format!("{}{bare}", jail::HEADER);
    assert_eq!(bed.intake.export(text.into(), options).await.unwrap().events, 1);
}

#[tokio::test]
async fn a_bad_row_under_the_floor_is_not_even_kept_aside() {
    let bed = bed();
    let rows = "B-2,Invented B,2026-13-01 11:00,,Served,JUV,\nB-2,Invented B,2026-03-01 11:00,,Served,,\n";
    let summary = bed.export(rows).await;
    assert_eq!((summary.refused, summary.withheld_by_floor, summary.events), (0, 1, 0));
    assert_eq!(bed.intake.store().reader().unwrap().counts().unwrap().kept_aside, 0);
}

#[tokio::test]
async fn no_export_speaks_of_what_has_not_come_yet() {
    let bed = bed();
    let tomorrow = super::now() + jiff::SignedDuration::from_hours(24);
    let door = tomorrow.strftime("%Y-%m-%d %H:%M").to_string();
    let row = format!("B-2,Invented B,{door},,Served,,\n");
    let summary = bed.export_of("2090-01-01T00:00:00Z", false, &row).await;
    assert!(summary.warnings[0].text.contains("not come yet"), "{:?}", summary.warnings);
    assert_eq!(bed.sent()[0].head.release_state.to_string(), "SCHEDULED");
    // And it stands in nobody's way afterwards.
    let now = super::now().to_string();
    assert_eq!(bed.export_of(&now, false, "B-2,Invented B,2026-03-01 11:00,,Served,,\n").await.events, 1);
}

/// Refuses the second event of `TWO` for good.
async fn refuse_one(bed: &Bed) -> (EventId, Digest) {
    let rows = bed.intake.store().reader().unwrap().due(super::now()).unwrap();
    let (refused, digest) = (rows[1].row.event_id.clone(), rows[1].row.digest);
    let refusal = Refusal {
        event_id: Some(refused.clone()),
        digest,
        code: RefusalCode::Expired,
        permanent: true,
        text: "too old".into(),
    };
    let (node, answer): (NodeId, Digest) = ("a".parse().unwrap(), Digest::of(b"answer"));
    let apply = bed.intake.store().write(Kind::Answer, move |connection| {
        store::keep_answer(connection, &answer, "refused", b"x", super::now())?;
        store::apply_refusal(connection, &refusal, &node, &answer, super::now())
    });
    assert_eq!(apply.await.unwrap(), store::Applied::Closed);
    (refused, digest)
}

#[tokio::test]
async fn an_event_that_the_relay_refused_for_good_was_told_to_nobody_and_is_told_again() {
    let bed = bed();
    bed.export(TWO).await;
    let (refused, _) = refuse_one(&bed).await;
    let again = bed.export(TWO).await;
    assert_eq!((again.events, again.unchanged), (1, 1));
    let sent = bed.sent();
    let new = &sent.last().unwrap().head;
    assert!(new.event_id != refused && new.supersedes.is_none() && new.revision == 2);
}

#[tokio::test]
async fn an_event_that_one_node_refused_and_another_had_taken_is_retracted_from_those_it_told() {
    let bed = bed();
    bed.export(TWO).await;
    let (event, digest) = refuse_one(&bed).await;
    let moment = Moment::exact(super::now(), SourceClock::Relay);
    let accepted = AcceptedEvent {
        event_id: event.clone(),
        digest,
        recipients: Vec::new(),
        unsubscribed: Vec::new(),
        registry_version: 1,
        predecessor_missing: false,
        t4_stored: moment,
        t5_routed: moment,
    };
    let (node, answer): (NodeId, Digest) = ("b".parse().unwrap(), Digest::of(b"another answer"));
    let apply = bed.intake.store().write(Kind::Answer, move |connection| {
        store::keep_answer(connection, &answer, "accepted", b"x", super::now())?;
        store::apply_acceptance(connection, &accepted, &node, &answer, super::now())
    });
    assert_eq!(apply.await.unwrap(), store::Applied::Closed);
    let (_, gone) = TWO.trim_end().rsplit_once('\n').unwrap();
    let booking = gone.split(',').next().unwrap();
    let now = super::now().to_string();
    bed.export_of(&now, true, &format!("{booking},Invented,,,,,\n")).await;
    let sent = bed.sent();
    let new = &sent.last().unwrap().head;
    assert_eq!((new.release_state, new.supersedes.as_ref()), (ReleaseState::Retracted, Some(&event)));
}

#[tokio::test]
async fn an_export_that_lost_its_door_column_retracts_nothing_until_a_person_says_so() {
    let bed = bed();
    let rows =
        |door: &str| -> String { (0..11).map(|n| format!("B-{n},Invented,{door},,Served,,\n")).collect() };
    bed.export(&rows("2026-03-01 11:00")).await;
    let empty = bed.export_of("2026-06-02T00:00:00Z", false, &rows("")).await;
    assert_eq!((empty.events, empty.refused, empty.custodies), (0, 11, 11));
    assert!(empty.problems[0].text.contains("--retract"), "{}", empty.problems[0].text);
    let confirmed = bed.export_of("2026-06-02T00:00:00Z", true, &rows("")).await;
    assert_eq!((confirmed.events, confirmed.refused), (11, 0));
    assert!(bed.sent()[11..].iter().all(|event| event.head.release_state.to_string() == "RETRACTED"));
}

#[tokio::test]
async fn a_few_retractions_go_out_unasked() {
    let bed = bed();
    bed.export(TWO).await;
    let gone = bed.export("B-2,Invented B,,,Served,,\n").await;
    assert_eq!((gone.events, gone.refused), (1, 0));
}

#[tokio::test]
async fn what_nobody_may_be_told_leaves_no_event_and_no_gap_and_the_floor_leaves_no_count() {
    let bed = bed();
    let rows = "B-1,A,2026-03-01 10:00,,Order,,\nB-2,B,2026-03-01 10:00,,Bail,JUV,1\n\
                B-3,C,2026-03-01 11:00,,Served,,\n";
    let summary = bed.export(rows).await;
    assert_eq!((summary.withheld, summary.withheld_by_floor, summary.events), (2, 1, 1));
    assert_eq!(bed.sent()[0].head.seq, 1);
    let counts = bed.intake.store().reader().unwrap().counts().unwrap();
    assert_eq!(counts.withheld, 1);
}

#[tokio::test]
async fn a_custody_with_a_bad_row_is_kept_aside_until_a_good_reading_comes() {
    let bed = bed();
    let bad =
        "B-1,A,2026-03-01 10:00,,Bail,,\nB-1,A,2026-13-01 10:00,,Bail,,\nB-2,B,2026-03-01 11:00,,Served,,\n";
    let summary = bed.export(bad).await;
    assert_eq!((summary.custodies, summary.refused, summary.events), (2, 1, 1));
    assert_eq!((summary.problems[0].line, summary.problems[0].column.as_deref()), (3, Some("door")));
    let reader = bed.intake.store().reader().unwrap();
    assert_eq!(reader.counts().unwrap().kept_aside, 1);
    bed.export(&bad.replace("2026-13-01", "2026-03-01")).await;
    assert_eq!(reader.counts().unwrap().kept_aside, 0);
}

#[tokio::test]
async fn many_chunks_come_to_the_same_as_one() {
    let bed = bed();
    let rows: String = (0..700).map(|n| format!("B-{n},A,2026-03-01 10:00,,Served,,\n")).collect();
    let summary = bed.export(&rows).await;
    assert_eq!(summary.events, 700);
    let numbers: Vec<u64> = bed.sent().iter().map(|event| event.head.seq).collect();
    assert_eq!(numbers, (1..=700).collect::<Vec<u64>>());
}

fn event(key: &str, booking: &str, state: &str) -> Value {
    json!({"key": key, "booking_number": booking, "release_state": state, "reason": "BOND_POSTED"})
}

#[tokio::test]
async fn a_callers_key_used_again_is_the_same_event() {
    let bed = bed();
    let first = bed.intake.events(vec![event("k-1", "B-1", "RELEASED")]).await.unwrap();
    // Another order of the same fields is the same content.
    let turned =
        json!({"reason": "BOND_POSTED", "release_state": "RELEASED", "booking_number": "B-1", "key": "k-1"});
    let again = bed.intake.events(vec![turned]).await.unwrap();
    assert_eq!(first[0].status, EventStatus::Stored);
    assert_eq!(again[0].event_ids, first[0].event_ids);
    assert!(again[0].repeated && !first[0].repeated);
    assert_eq!(bed.sent().len(), 1);
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused() {
    let bed = bed();
    bed.intake.events(vec![event("k-1", "B-1", "RELEASED")]).await.unwrap();
    let other = bed.intake.events(vec![event("k-1", "B-2", "RELEASED")]).await.unwrap();
    assert_eq!(other[0].status, EventStatus::Refused);
    assert_eq!(other[0].problems[0].field, "key");
    assert_eq!(bed.sent().len(), 1);
}

#[tokio::test]
async fn of_one_request_the_good_are_stored_and_nothing_of_the_bad() {
    let bed = bed();
    let bad = json!({"key": "k-2", "booking_number": "", "release_state": "GONE"});
    let answers = bed
        .intake
        .events(vec![event("k-1", "B-1", "RELEASED"), bad, event("k-3", "B-3", "RELEASED")])
        .await
        .unwrap();
    let words: Vec<&str> = answers.iter().map(|answer| answer.status.as_str()).collect();
    assert_eq!(words, ["stored", "refused", "stored"]);
    assert!(answers[1].problems.len() >= 2, "{:?}", answers[1].problems);
    assert_eq!(answers[1].key.as_deref(), Some("k-2"));
    assert_eq!(bed.sent().len(), 2);
}

#[tokio::test]
async fn the_caller_of_its_own_jail_learns_that_nobody_may_be_told() {
    let bed = bed_allowing("");
    let answers = bed.intake.events(vec![event("k-1", "B-1", "RELEASED")]).await.unwrap();
    assert_eq!(answers[0].status, EventStatus::Withheld);
    assert!(bed.sent().is_empty());
}

#[tokio::test]
async fn a_retraction_reaches_whoever_was_told_and_carries_nothing() {
    let bed = bed();
    bed.intake.events(vec![event("k-1", "B-1", "RELEASED")]).await.unwrap();
    bed.intake.events(vec![event("k-2", "B-1", "RETRACTED")]).await.unwrap();
    let sent = bed.sent();
    assert_eq!(sent[1].head.release_state.as_str(), "RETRACTED");
    assert_eq!(sent[1].disclosures[0].0.subscriber_id, sent[0].disclosures[0].0.subscriber_id);
    assert_eq!(sent[1].disclosures[0].0.part, None);
}

#[tokio::test]
async fn a_ping_is_numbered_and_counts_in_no_custody() {
    let bed = bed();
    bed.intake.ping(jail::SUPERVISION.parse().unwrap()).await.unwrap();
    bed.intake.ping(jail::SUPERVISION.parse().unwrap()).await.unwrap();
    let sent = bed.sent();
    assert_eq!(sent.iter().map(|e| (e.head.seq, e.head.revision)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
    assert_eq!(sent[0].head.traffic, TrafficClass::Ping);
    assert_eq!(sent[0].disclosures[0].0.part, Some(sallyport_proto::disclosure::Part::default()));
}

#[tokio::test]
async fn nobody_is_pinged_whom_the_jail_does_not_allow() {
    let bed = bed();
    let refused = bed.intake.ping(jail::STRANGER.parse().unwrap()).await;
    assert!(matches!(refused, Err(PingError::NotAllowed)));
    assert!(bed.sent().is_empty());
}

#[tokio::test]
async fn the_store_holds_no_booking_number_and_no_name_outside_the_signed_bytes() {
    let bed = bed();
    bed.export(
        "B-777,Invented Name,2026-03-01 10:00,,Order,,\nB-778,Invented Name,2026-13-01 10:00,,Bail,,\n",
    )
    .await;
    bed.intake.events(vec![event("B-779 key", "B-779", "SCHEDULED")]).await.unwrap();
    let dir = bed.jail.path("store");
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    // B-779 is told to nobody but the supervision's signed part; the others to nobody at all.
    for text in ["B-777", "B-778", "Invented Name", "B-779 key"] {
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "{text} lies in the store");
    }
}
