//! What the audit says of small stories, and of the same stories with one record taken out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use jiff::SignedDuration;
use sallyport_proto::{
    registry::Registry,
    vocabulary::{ReceiptLevel, RefusalCode},
};

use super::*;
use crate::{
    fixture::{self, records::Story},
    ledger::Stream,
};

const GRACE: SignedDuration = SignedDuration::from_secs(120);

fn registry() -> Registry {
    fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[]).parse()
}

/// Two events told, accepted, receipted and passed on; a third refused; the jail says that it numbered three.
fn whole() -> Story {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    for n in 1..=2 {
        let told = story.publish(n, &["fed-a", "fed-b"], |head| head.seq = n.into());
        story.route(&told, &["fed-a", "fed-b"]).accept(&told);
        for from in ["fed-a", "fed-b"] {
            story.receipt(&told, from, ReceiptLevel::Received);
        }
    }
    let told = story.publish(3, &["fed-a"], |head| head.seq = 3);
    story.refuse(&told, RefusalCode::Expired);
    story.beat("e1", 3);
    story
}

/// What is found when the records for which `keep` is false are gone, everything being older than the grace time.
fn found(story: &Story, keep: impl Fn(usize) -> bool) -> Vec<Finding> {
    let registry = registry();
    let mut books = Books::since(None);
    for (_, record) in story.records.iter().enumerate().filter(|(n, _)| keep(*n)) {
        books.record(&record.record(), Scope::Audited, &registry);
    }
    books.findings(story.now() + GRACE + GRACE, GRACE, true)
}

fn arrows(found: &[Finding]) -> BTreeSet<Arrow> {
    found.iter().map(|finding| finding.arrow).collect()
}

/// The place of the first record on `stream` whose subject begins so.
fn place(story: &Story, stream: Stream, subject: &str) -> usize {
    let is = |r: &crate::fixture::records::Stored| r.stream == stream && r.subject.starts_with(subject);
    story.records.iter().position(is).unwrap()
}

#[test]
fn a_whole_story_is_clean() {
    assert_eq!(found(&whole(), |_| true), []);
}

#[test]
fn every_record_that_is_taken_out_is_missed() {
    let story = whole();
    for n in 0..story.records.len() {
        let record = &story.records[n];
        // A heartbeat is no arrow: the next one says the same.
        if record.stream == Stream::Heartbeats {
            continue;
        }
        assert_ne!(found(&story, |kept| kept != n), [], "{} on {}", record.subject, record.stream.name());
    }
}

#[test]
fn what_is_missing_is_named_by_its_arrow() {
    let story = whole();
    let without = |stream, subject: &str| {
        let n = place(&story, stream, subject);
        found(&story, |kept| kept != n)
    };
    let event = without(Stream::Ingest, "");
    assert_eq!(arrows(&event), [Arrow::SequenceGap, Arrow::RoutedWithoutIngest].into());
    assert_eq!(event[0].missing.unwrap().to_string(), "1");
    let routed = without(Stream::Deliver, "hub.v1.routed.");
    let expected = [Arrow::IngestWithoutVerdict, Arrow::NoticeWithoutRouted, Arrow::AcceptanceWithoutRouted];
    assert_eq!(arrows(&routed), expected.into());
    let notice = without(Stream::Deliver, "hub.v1.deliver.fed-b.");
    assert_eq!(arrows(&notice), [Arrow::RoutedWithoutNotice, Arrow::ReceiptWithoutNotice].into());
    assert!(notice.iter().all(|finding| finding.subscriber.as_ref().unwrap().as_str() == "fed-b"));
    let receipt = without(Stream::Receipts, "hub.v1.receipt.fed-a.");
    assert_eq!(arrows(&receipt), [Arrow::NoticeWithoutReceipt].into());
    assert_eq!(arrows(&without(Stream::Answers, "")), [Arrow::RoutedWithoutAcceptance].into());
}

#[test]
fn what_is_on_its_way_is_not_missing() {
    let mut story = Story::of(&["fed-a"]);
    story.publish(1, &["fed-a"], |_| {});
    let registry = registry();
    let mut books = Books::since(None);
    books.record(&story.records[0].record(), Scope::Audited, &registry);
    assert_eq!(books.findings(story.now(), GRACE, true), []);
    assert_eq!(books.findings(story.now() + GRACE, GRACE, true).len(), 1);
}

#[test]
fn a_record_with_a_changed_byte_is_found() {
    let story = whole();
    for (n, record) in story.records.iter().enumerate().filter(|(_, r)| r.stream != Stream::Ingest) {
        let mut changed = story.clone();
        *changed.records[n].payload.last_mut().unwrap() ^= 1;
        let arrows = arrows(&found(&changed, |_| true));
        assert!(arrows.contains(&Arrow::NotVerified), "{}", record.subject);
    }
}

#[test]
fn what_lies_before_the_audited_time_is_asked_for_and_not_missed() {
    let story = whole();
    let registry = registry();
    // Only the routed record of the first event lies within.
    let n = place(&story, Stream::Deliver, "hub.v1.routed.");
    let mut books = Books::since(Some(story.records[n].stored));
    books.record(&story.records[n].record(), Scope::Audited, &registry);
    let wanted = books.wanted(&registry);
    assert!(wanted.contains(&Place::Sequence(Stream::Ingest, 1)), "{wanted:?}");
    assert_eq!(wanted.len(), 3, "its event and its two notices: {wanted:?}");
    assert_eq!(books.wanted(&registry), [], "each is asked for once");
    for record in story.records.iter().filter(|record| {
        wanted.iter().any(|place| match place {
            Place::Sequence(stream, sequence) => (record.stream, record.sequence) == (*stream, *sequence),
            Place::Subject(stream, subject) => record.stream == *stream && record.subject == *subject,
        })
    }) {
        books.record(&record.record(), Scope::Aside, &registry);
    }
    let found = books.findings(story.now() + GRACE, GRACE, false);
    // The acceptance comes after the record and was withheld here.
    assert_eq!(arrows(&found), [Arrow::RoutedWithoutAcceptance].into());
}

#[test]
fn a_number_that_a_heartbeat_states_and_ingest_never_had_is_named() {
    let mut story = whole();
    story.beat("e1", 5).beat("e2", 2);
    let found = found(&story, |_| true);
    let named: Vec<_> =
        found.iter().map(|f| (f.epoch.clone().unwrap(), f.missing.unwrap().to_string())).collect();
    assert_eq!(named, [("e1".to_owned(), "4-5".to_owned()), ("e2".to_owned(), "1-2".to_owned())]);
}

/// What is named as missing when the books begin at `since` and INGEST has lost what `keep` does not hold. As the relay
/// reads it: what lies before `since` is read for its number alone.
fn gaps_since(
    story: &Story,
    since: jiff::Timestamp,
    whole: bool,
    keep: impl Fn(&str) -> bool,
) -> Vec<String> {
    let registry = registry();
    let mut books = Books::since(Some(since));
    for stored in story
        .records
        .iter()
        .filter(|stored| stored.stream != Stream::Ingest || keep(&stored.sequence.to_string()))
    {
        let scope = if stored.stored < since { Scope::Before } else { Scope::Audited };
        books.record(&stored.record(), scope, &registry);
    }
    let found = books.findings(story.now() + GRACE + GRACE, GRACE, whole);
    found.iter().filter_map(|f| f.missing).map(|gap| gap.to_string()).collect()
}

/// The facility gives the numbers `from..=to`, each stored under the sequence of the same value.
fn numbered(story: &mut Story, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        let told = story.publish(n, &["fed-a"], |head| head.seq = n.into());
        story.route(&told, &["fed-a"]).accept(&told);
    }
}

/// As of the beginning of the next record.
fn now(story: &mut Story) -> jiff::Timestamp {
    story.wait(SignedDuration::from_secs(60));
    story.now()
}

#[test]
fn everything_that_is_lost_since_is_named_when_nothing_is_left() {
    let mut story = Story::of(&["fed-a"]);
    numbered(&mut story, 1..=3);
    story.beat("e1", 3);
    let since = now(&mut story);
    numbered(&mut story, 4..=20);
    story.beat("e1", 20);
    assert_eq!(gaps_since(&story, since, false, |_| false), ["4-20"]);
    // The heartbeat before is gone, too: only the last ten are kept.
    story.records.retain(|r| r.stream != Stream::Heartbeats || r.stored >= since);
    assert_eq!(gaps_since(&story, since, true, |_| false), ["1-20"], "a new stream that holds nothing");
    assert_eq!(
        gaps_since(&story, since, false, |n| n == "3"),
        ["4-20"],
        "what is held before says it as well"
    );
    // Nothing says what there was before: the jail does, which keeps what it sent.
    story.beat_keeping("e1", 20, 5);
    assert_eq!(gaps_since(&story, since, false, |_| false), ["5-20"]);
}

#[test]
fn what_is_lost_at_the_front_and_at_the_end_of_the_audited_time_is_named() {
    let mut story = Story::of(&["fed-a"]);
    numbered(&mut story, 1..=3);
    story.beat("e1", 3);
    let since = now(&mut story);
    numbered(&mut story, 4..=12);
    story.beat("e1", 12);
    let lost = |n: &str| matches!(n.parse::<u32>().unwrap(), 4..=9 | 11..=12);
    assert_eq!(gaps_since(&story, since, false, |n| !lost(n)), ["4-9", "11-12"]);
    // A new epoch begins within: its first numbers are due as well.
    story.beat("e2", 2);
    assert_eq!(gaps_since(&story, since, false, |_| true), ["1-2"]);
}

#[test]
fn what_aged_out_of_ingest_is_not_missed() {
    let mut story = Story::of(&["fed-a"]);
    numbered(&mut story, 1..=3);
    let since = now(&mut story);
    story.beat("e1", 3).beat("e1", 3);
    // A quiet jail: INGEST no longer begins at its first message, and holds nothing of it.
    assert_eq!(gaps_since(&story, since, false, |_| false), [] as [&str; 0]);
    let gone = |story: &Story| {
        let found = found(story, |n| story.records[n].stream == Stream::Heartbeats);
        found.iter().filter_map(|f| f.missing).count()
    };
    assert_eq!(gone(&story), 1, "it still begins at its first message");
    let registry = registry();
    let mut books = Books::since(None);
    for stored in story.records.iter().filter(|r| r.stream == Stream::Heartbeats) {
        books.record(&stored.record(), Scope::Audited, &registry);
    }
    assert_eq!(books.findings(story.now() + GRACE + GRACE, GRACE, false), []);
    // What the jail itself still keeps cannot have aged out.
    story.beat_keeping("e1", 3, 3);
    let mut books = Books::since(None);
    for stored in story.records.iter().filter(|r| r.stream == Stream::Heartbeats) {
        books.record(&stored.record(), Scope::Audited, &registry);
    }
    let found = books.findings(story.now() + GRACE + GRACE, GRACE, false);
    assert_eq!(found.iter().map(|f| f.missing.unwrap().to_string()).collect::<Vec<_>>(), ["3"]);
    // Unless it said so long ago.
    let long_after = story.now() + SignedDuration::from_hours(40 * 24);
    assert_eq!(books.findings(long_after, GRACE, false), []);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// `last` numbers, of which `before` were given before the audited time and the first `aged` went by their age.
    #[test]
    fn whatever_is_removed_within_the_audited_time_is_named_and_nothing_else(
        last in 1_u32..16,
        before in 0_u32..16,
        aged in 0_u32..16,
        removed in proptest::collection::btree_set(1_u32..16, 0..16),
    ) {
        let before = before.min(last);
        let aged = aged.min(before);
        let mut story = Story::of(&["fed-a"]);
        numbered(&mut story, 1..=before);
        story.beat("e1", before.into());
        let since = now(&mut story);
        numbered(&mut story, before + 1..=last);
        story.beat("e1", last.into());
        let is_there = |n: &str| {
            let n: u32 = n.parse().unwrap();
            n > aged && !removed.contains(&n)
        };
        let found: BTreeSet<u32> = gaps_since(&story, since, aged == 0, is_there)
            .iter()
            .flat_map(|gap| {
                let (first, last) = gap.split_once('-').unwrap_or((gap, gap));
                first.parse().unwrap()..=last.parse::<u32>().unwrap()
            })
            .collect();
        let expected: BTreeSet<u32> = removed.iter().copied().filter(|n| (before + 1..=last).contains(n)).collect();
        proptest::prop_assert_eq!(found, expected);
    }
}
