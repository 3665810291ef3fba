//! What one look says of small models, and how much it does for what somebody states.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use sallyport_proto::{envelope::Digest, time::Moment, vocabulary::SourceClock};
use sallyport_relay_core::{
    fixture::{self, records::Story},
    ledger::{
        Change, Stream, changes,
        rows::{AcceptedRow, ClaimedEvent, IngestRow},
    },
};

use super::*;
use crate::track::store::{Folded, Position, Positions, Store};

const GRACE: SignedDuration = SignedDuration::from_secs(2);

/// Two events, accepted and routed; the jail says that it numbered two.
fn story() -> Story {
    let mut story = Story::of(&["fed-a"]);
    for n in 1..=2 {
        let told = story.publish(n, &["fed-a"], |head| (head.epoch, head.seq) = ("e1".into(), n.into()));
        story.route(&told, &["fed-a"]).accept(&told);
    }
    story.beat("e1", 2).wait(SignedDuration::from_secs(10));
    story
}

/// Folds what is on the streams that are held; the model is whole.
fn fold(store: &mut Store, story: &Story, held: impl Fn(Stream) -> bool) {
    let records = story.records.iter().filter(|record| held(record.stream));
    write(store, records.flat_map(|record| changes(&record.record())), story.now());
}

fn write(store: &mut Store, changes: impl IntoIterator<Item = Change>, now: Timestamp) {
    let position = Position { created: "x".into(), sequence: 9, stored: None, whole_at: Some(now) };
    let positions: Positions = Stream::ALL.iter().map(|stream| (*stream, position.clone())).collect();
    store.write(changes, &positions).unwrap();
}

fn look(numbers: &mut look::Numbers, dir: &Path, now: Timestamp) -> View {
    Loaded::open(dir).unwrap().at_one_time(|loaded| numbers.compare(loaded, now, GRACE, 0)).unwrap().unwrap()
}

fn missing(view: &View) -> Vec<(String, String)> {
    let with = view.epochs.iter().filter(|one| one.count() > 0);
    with.map(|one| (one.key.1.clone(), ranges(&one.missing))).collect()
}

#[test]
fn a_deliver_that_was_made_anew_is_seen_by_a_look_that_had_found_everything_routed() {
    let (dir, story) = (tempfile::tempdir().unwrap(), story());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let mut numbers = look::Numbers::default();
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), []);
    // The fold finds another DELIVER and builds the model again; INGEST is the same, and nothing is new on it.
    let mut store = store.wipe().unwrap();
    fold(&mut store, &story, |stream| stream != Stream::Deliver);
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), [("e1".into(), "1-2".into())]);
    fold(&mut store, &story, |stream| stream == Stream::Deliver);
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), [], "routed again");
}

#[test]
fn a_model_of_an_ended_process_is_compared_with_nothing_before_its_streams_were_looked_at() {
    let (dir, story) = (tempfile::tempdir().unwrap(), story());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    drop(store);
    let (mut store, _) = Store::open(dir.path()).unwrap();
    let mut numbers = look::Numbers::default();
    let loaded = Loaded::open(dir.path()).unwrap();
    assert!(numbers.compare(&loaded, story.now(), GRACE, 0).unwrap().is_none());
    fold(&mut store, &story, |_| true);
    assert!(numbers.compare(&loaded, story.now(), GRACE, 0).unwrap().is_some());
}

#[test]
fn a_heartbeat_of_an_absurd_number_costs_no_more_than_one_request() {
    let (dir, mut story) = (tempfile::tempdir().unwrap(), story());
    story.beat("e1", u64::MAX - 1);
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let view = look(&mut look::Numbers::default(), dir.path(), story.now());
    let [one] = &view.epochs[..] else { panic!("{view:?}") };
    assert!(one.absurd);
    assert_eq!((one.missing.len(), one.missing[0].first), (1, 3), "one range, however long");
    assert!(one.count() > u64::MAX / 4);
    let asked = wanted(&one.missing, 1);
    assert_eq!((asked.len(), asked[0]), (SEQS_PER_RESEND_MAX * REQUESTS_AT_ONCE, 3));
    let far = u64::MAX / 2;
    assert_eq!(
        wanted(&[Gap { first: 1, last: u64::MAX }], far)[0],
        far,
        "what is not kept is not walked through"
    );
    assert!(wanted(&[Gap { first: 1, last: 9 }], 10).is_empty());
}

#[test]
fn unrouted_events_of_an_epoch_without_a_heartbeat_are_named_beside_the_one_in_force() {
    let (dir, mut story) = (tempfile::tempdir().unwrap(), Story::of(&["fed-a"]));
    let old = story.publish(1, &["fed-a"], |head| (head.epoch, head.seq) = ("e0".into(), 7));
    story.accept(&old).beat("e1", 1).wait(SignedDuration::from_secs(10));
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let view = look(&mut look::Numbers::default(), dir.path(), story.now());
    assert_eq!(missing(&view), [("e1".into(), "1".into()), ("e0".into(), "7".into())]);
    let unheard = view.epochs.iter().find(|one| one.heard.is_none()).unwrap();
    assert!(unheard.is_kept() && wanted(&unheard.missing, unheard.kept_from) == [7], "the jail is asked");
    let loaded = Loaded::open(dir.path()).unwrap();
    let registry = fixture::registry().subscriber("fed-a", &[]).parse();
    let pulses = pulses(&loaded, &registry, story.now()).unwrap();
    assert_eq!(pulses[0].missing.iter().map(Gap::to_string).collect::<Vec<_>>(), ["7", "1"]);
}

/// As the fold does when the stream says that these are gone.
fn lose(store: &mut Store, stream: Stream, first: u64, last: u64, now: Timestamp) {
    let gaps = [Gap { first, last }];
    store.write_folded([], &Positions::new(), &Folded::default(), &[(stream, &gaps, now)]).unwrap();
}

#[test]
fn what_ingest_loses_from_its_beginning_is_missing_until_it_is_held_again() {
    let (dir, story) = (tempfile::tempdir().unwrap(), story());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let mut numbers = look::Numbers::default();
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), []);
    // The stream begins with 2 now, as one that lost its beginning by its age would.
    lose(&mut store, Stream::Ingest, 1, 1, story.now());
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), [("e1".into(), "1".into())]);
    let mut again = changes(&story.records[0].record());
    if let Change::Ingest(row) = &mut again[0] {
        row.sequence = 3;
    }
    write(&mut store, again, story.now());
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), []);
}

#[test]
fn what_deliver_loses_within_is_missing_under_the_number_of_its_event() {
    let (dir, story) = (tempfile::tempdir().unwrap(), story());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let mut numbers = look::Numbers::default();
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), []);
    // The second event's notice and its record.
    lose(&mut store, Stream::Deliver, 3, 4, story.now());
    assert_eq!(missing(&look(&mut numbers, dir.path(), story.now())), [("e1".into(), "2".into())]);
    let mut notices = lacking::Notices::default();
    notices.compare(&Loaded::open(dir.path()).unwrap(), story.now()).unwrap();
    assert_eq!(notices.count(), 0, "its record is gone with it");
}

#[test]
fn a_notice_and_a_receipt_that_an_older_copy_never_held_are_named_by_their_counterparts() {
    let mut story = Story::of(&["fed-a"]);
    for n in 1..=2 {
        let told = story.publish(n, &["fed-a"], |head| (head.epoch, head.seq) = ("e1".into(), n.into()));
        story.route(&told, &["fed-a"]).accept(&told);
        story.receipt(&told, "fed-a", sallyport_proto::vocabulary::ReceiptLevel::Received);
    }
    story.wait(SignedDuration::from_secs(10));
    let compared = |keep: &dyn Fn(Stream, &str, u64) -> bool| {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        let kept = story.records.iter().filter(|r| keep(r.stream, &r.subject, r.sequence));
        write(&mut store, kept.flat_map(|record| changes(&record.record())), story.now());
        let (mut unmatched, mut notices) = (unmatched::Unmatched::default(), lacking::Notices::default());
        let loaded = Loaded::open(dir.path()).unwrap();
        unmatched.compare(&loaded, story.now(), GRACE).unwrap();
        notices.compare(&loaded, story.now()).unwrap();
        let receipts: Vec<String> = unmatched.receipts.ranges().map(|gap| gap.to_string()).collect();
        (notices.count(), notices.lacking.len(), receipts)
    };
    assert_eq!(compared(&|_, _, _| true), (0, 0, vec![]));
    let no_second_notice = |stream, subject: &str, sequence| {
        !(stream == Stream::Deliver && subject.starts_with("hub.v1.deliver.") && sequence == 3)
    };
    assert_eq!(compared(&no_second_notice), (1, 1, vec![]));
    assert_eq!(compared(&|stream, _, _| stream != Stream::Receipts), (0, 0, vec!["1-2".to_owned()]));
}

/// An accepted event of which there is no `routed` record.
fn unrouted(n: u64, at: Timestamp) -> [Change; 2] {
    let ori: Ori = "zz0010000".parse().unwrap();
    let (event_id, digest) =
        (fixture::uuid(u32::try_from(n).unwrap()).parse().unwrap(), Digest::of(&n.to_be_bytes()));
    let head = fixture::head(1);
    let ingest = IngestRow {
        sequence: n,
        ori: ori.clone(),
        jurisdiction: head.jurisdiction,
        digest,
        stored: at,
        event: Some(ClaimedEvent {
            event_id,
            custody_key: head.custody_key,
            revision: 1,
            release_state: head.release_state,
            t2: Moment::exact(at, SourceClock::Agent),
            traffic: sallyport_proto::vocabulary::TrafficKind::Exercise,
            epoch: "e1".into(),
            seq: n,
        }),
    };
    let event_id = ingest.event.as_ref().unwrap().event_id.clone();
    let accepted = AcceptedRow { sequence: n, ori, event_id, digest, stored: at };
    [Change::Ingest(ingest), Change::Accepted(accepted)]
}

#[test]
fn of_very_many_unrouted_events_the_first_are_named_and_the_rest_is_counted() {
    const ALL: u64 = look::UNROUTED_MAX as u64 + 5;
    let (dir, now) = (tempfile::tempdir().unwrap(), "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    write(&mut store, (1..=ALL).flat_map(|n| unrouted(n, now)), now + SignedDuration::from_secs(10));
    let mut numbers = look::Numbers::default();
    let view = look(&mut numbers, dir.path(), now + SignedDuration::from_secs(10));
    assert_eq!((missing(&view), view.waits), (vec![("e1".into(), format!("1-{}", ALL - 5))], 5));
    let again = look(&mut numbers, dir.path(), now + SignedDuration::from_secs(10));
    assert_eq!((again.epochs[0].count(), again.waits), (ALL - 5, 5), "and no more at the next look");
}

#[test]
fn a_facility_that_falls_silent_is_told_when_it_begins_and_when_it_ends() {
    let (dir, story) = (tempfile::tempdir().unwrap(), story());
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let registry = fixture::registry().subscriber("fed-a", &[]).parse();
    let view = look(&mut look::Numbers::default(), dir.path(), story.now());
    let ori: Ori = "zz0010000".parse().unwrap();
    let mut silence = pulse::Silence::default();
    let mut judged = |compared: &[Compared], at| {
        let found = silence.judge(&registry, compared, at).into_iter().find(|one| one.ori == ori);
        (found.map(|one| one.heartbeat_age_s), silence.is_silent(&ori))
    };
    assert_eq!(judged(&view.epochs, story.now()), (None, false));
    let later = story.now() + pulse::SILENT_AFTER;
    let age_s = later.duration_since(view.epochs[0].heard.unwrap()).as_secs();
    assert_eq!(judged(&view.epochs, later), (Some(Some(age_s)), true));
    assert_eq!(judged(&view.epochs, story.now()), (None, false), "it speaks again");
    assert_eq!(judged(&[], later), (Some(None), false), "one that never spoke is named, and is no alarm");
}

#[test]
fn an_alarm_that_was_given_is_not_given_again_for_less_of_the_same() {
    let gap = |first, last| Gap { first, last };
    let known = [gap(1, 4), gap(9, 12)];
    assert!(holds(&known, &gap(2, 4)) && holds(&known, &gap(9, 12)));
    assert!(!holds(&known, &gap(4, 5)) && !holds(&known, &gap(6, 6)) && !holds(&[], &gap(1, 1)));
}

#[test]
fn a_notice_that_was_put_back_is_lacking_no_more_and_counts_once_for_its_agency() {
    let mut story = Story::of(&["fed-a"]);
    for n in 1..=2 {
        let told = story.publish(n, &["fed-a"], |head| (head.epoch, head.seq) = ("e1".into(), n.into()));
        story.route(&told, &["fed-a"]).accept(&told);
    }
    story.wait(SignedDuration::from_secs(10));
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    fold(&mut store, &story, |_| true);
    let mut notices = lacking::Notices::default();
    let mut look = || {
        notices.compare(&Loaded::open(dir.path()).unwrap(), story.now()).unwrap();
        let lacking: Vec<_> = notices.lacking.values().map(|one| one.from.as_ref().unwrap().1).collect();
        (notices.count(), lacking)
    };
    assert_eq!(look(), (0, vec![]));
    lose(&mut store, Stream::Deliver, 3, 3, story.now());
    assert_eq!(look(), (1, vec![2]), "and where the jail's message stands");
    let lost = story.records.iter().find(|r| r.stream == Stream::Deliver && r.sequence == 3).unwrap();
    let mut again = changes(&lost.record());
    if let Change::Notice(row) = &mut again[0] {
        row.sequence = 5;
    }
    write(&mut store, again, story.now());
    assert_eq!(look(), (0, vec![]));
    let loaded = Loaded::open(dir.path()).unwrap();
    let given =
        |after, through| crate::heads::since(&loaded, &"fed-a".parse().unwrap(), after, through).unwrap();
    assert_eq!((given(0, 4), given(4, 5)), (1, 0), "the head of before has counted it");
}
