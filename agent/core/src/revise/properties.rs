//! What holds for every history of a custody, whatever its exports say and in whatever order their rows and columns come.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sallyport_proto::{
    disclosure::Part,
    ids::{EventId, RequestId, SubscriberId},
};

use super::*;
use crate::{
    custody::Custody,
    export::{Reading, read_export},
    sample::{self, ALLOW, COUNTY, Jail, at, event},
};

const COLUMNS: [&str; 10] = [
    "booking_id",
    "booking_dt",
    "bail_posted_dt",
    "release_dt",
    "booking_charge_desc",
    "charge_release_dt",
    "jurisdiction_cd",
    "release_disposition_desc",
    "type",
    "imm_hold",
];

/// One custody as one export states it.
#[derive(Debug, Clone)]
struct Stated {
    bail: Option<u8>,
    door: Option<u8>,
    hold: bool,
    floor: bool,
    /// Description, hour it ended, text.
    charges: Vec<(u8, u8, &'static str)>,
}

const TEXTS: [&str; 9] = [
    "Bail Bond",
    "PR",
    "Time Served",
    "Dismissed",
    "WSI Chain",
    "Immigration",
    "DETOX CENTER",
    "PDC",
    "never mapped",
];

fn stated() -> impl Strategy<Value = Stated> {
    let charge = (0..3_u8, 0..24_u8, prop::sample::select(&TEXTS[..]));
    (
        prop::option::of(0..24_u8),
        prop::option::weighted(0.7, 0..24_u8),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
        prop::collection::vec(charge, 1..4),
    )
        .prop_map(|(bail, door, hold, floor, charges)| Stated { bail, door, hold, floor, charges })
}

fn rows(number: usize, custody: &Stated) -> Vec<Vec<String>> {
    let hour = |hour: Option<u8>| hour.map_or(String::new(), |hour| format!("2026-03-17 {hour:02}:00:00"));
    let row = |(n, (charge, ended, text)): (usize, &(u8, u8, &str))| {
        vec![
            format!("B-{number}"),
            "2026-03-16 10:00:00".to_owned(),
            hour(custody.bail),
            hour(custody.door),
            format!("charge {charge}"),
            hour(Some(*ended)),
            if custody.floor && n == 0 { "JUV" } else { "SUP" }.to_owned(),
            (*text).to_owned(),
            "x".to_owned(),
            u8::from(custody.hold).to_string(),
        ]
    };
    custody.charges.iter().enumerate().map(row).collect()
}

fn read(rows: &[Vec<String>], columns: &[usize]) -> Reading {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|&column| COLUMNS[column])).unwrap();
    for row in rows {
        writer.write_record(columns.iter().map(|&column| &row[column])).unwrap();
    }
    let now = at("2026-11-21T12:00:00Z");
    let export = writer.into_inner().unwrap();
    let reading = read_export(&sample::mapping(COUNTY), &export, now, now).unwrap();
    assert_eq!(reading.refused, []);
    reading
}

fn one(custody: &Stated) -> Custody {
    let in_order: Vec<usize> = (0..COLUMNS.len()).collect();
    read(&rows(1, custody), &in_order).custodies.remove(0)
}

/// An order of `0..n`.
fn order(n: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..n).collect::<Vec<usize>>()).prop_shuffle()
}

fn export_and_shuffles() -> impl Strategy<Value = (Vec<Vec<String>>, Vec<usize>, Vec<usize>)> {
    prop::collection::vec(stated(), 1..6).prop_flat_map(|custodies| {
        let rows: Vec<Vec<String>> =
            custodies.iter().enumerate().flat_map(|(number, custody)| rows(number, custody)).collect();
        let count = rows.len();
        (Just(rows), order(count), order(COLUMNS.len()))
    })
}

/// What each subscriber would be shown, for comparing two readings without the code under test.
fn shown(jail: &Jail, custody: &Custody) -> BTreeMap<SubscriberId, (HeadFacts, Option<RequestId>, Part)> {
    let Some(release) = &custody.release else { return BTreeMap::new() };
    let facts = HeadFacts::of(release);
    let allowed = jail.decide(custody).allowed.into_iter();
    allowed.map(|allowed| (allowed.subscriber, (facts.clone(), allowed.request_id, allowed.part))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_export_read_again_with_rows_and_columns_in_any_order_gives_nothing(
        (rows, row_order, column_order) in export_and_shuffles()
    ) {
        let in_order: Vec<usize> = (0..COLUMNS.len()).collect();
        let mut jails: BTreeMap<String, Jail> = BTreeMap::new();
        let first = read(&rows, &in_order);
        for custody in &first.custodies {
            let jail = jails.entry(custody.booking_number.expose().clone()).or_insert_with(|| Jail::new(ALLOW));
            jail.read(custody);
        }
        let shuffled: Vec<Vec<String>> = row_order.iter().map(|&n| rows[n].clone()).collect();
        let again = read(&shuffled, &column_order);
        prop_assert_eq!(again.disagreeing, first.disagreeing);
        for custody in &again.custodies {
            let drafts = jails.get_mut(custody.booking_number.expose()).unwrap().read(custody);
            prop_assert!(drafts.is_empty(), "{:?}", drafts);
        }
    }

    #[test]
    fn every_custody_either_leaves_or_is_withheld(custodies in prop::collection::vec(stated(), 1..6)) {
        let rows: Vec<Vec<String>> = custodies.iter().enumerate().flat_map(|(n, custody)| rows(n, custody)).collect();
        let in_order: Vec<usize> = (0..COLUMNS.len()).collect();
        let reading = read(&rows, &in_order);
        prop_assert_eq!(reading.custodies.len(), custodies.len());
        let left = reading.custodies.iter().filter(|custody| !Jail::new(ALLOW).read(custody).is_empty()).count();
        let withheld = reading.custodies.iter().filter(|custody| Jail::new(ALLOW).decide(custody).allowed.is_empty());
        prop_assert_eq!(left + withheld.count(), custodies.len());
    }

    #[test]
    fn one_main_revision_leaves_exactly_when_somebody_would_see_a_difference(
        before in stated(), after in stated()
    ) {
        let mut jail = Jail::new(ALLOW);
        let (before, after) = (one(&before), one(&after));
        let held = if before.floor.is_some() { BTreeMap::new() } else { shown(&jail, &before) };
        jail.read(&before);
        let now = shown(&jail, &after);
        let is_news = now.iter().any(|(subscriber, seen)| held.get(subscriber) != Some(seen));
        let mains = jail.read(&after).iter().filter(|draft| draft.kind == DraftKind::Main).count();
        prop_assert_eq!(mains, usize::from(is_news && after.floor.is_none()));
    }

    #[test]
    fn revisions_are_dense_and_follow_whoever_was_told(history in prop::collection::vec(stated(), 1..8)) {
        let mut jail = Jail::new(ALLOW);
        let (mut revision, mut main): (u32, Option<EventId>) = (0, None);
        let mut last = BTreeMap::new();
        for custody in &history {
            let (before, told, mut sent) = (main.clone(), last.clone(), jail.sent);
            for draft in jail.read(&one(custody)) {
                revision += 1;
                prop_assert_eq!(draft.revision, revision);
                for recipient in &draft.recipients {
                    // News follow the latest news; a withdrawal follows what its recipient was told last.
                    let follows = if draft.kind == DraftKind::Main { before.as_ref() } else { told.get(&recipient.subscriber) };
                    prop_assert_eq!(draft.supersedes.as_ref(), follows);
                    last.insert(recipient.subscriber.clone(), event(sent));
                }
                if draft.kind != DraftKind::Closed {
                    main = Some(event(sent));
                }
                sent += 1;
            }
        }
        prop_assert_eq!(jail.memory.revision, revision);
        prop_assert_eq!(jail.memory.latest_main, main);
    }

    #[test]
    fn the_floor_never_lets_anything_out(history in prop::collection::vec(stated(), 0..4), last in stated()) {
        let mut jail = Jail::new(ALLOW);
        for custody in &history {
            jail.read(&one(custody));
        }
        let floored = one(&Stated { floor: true, ..last });
        prop_assert!(jail.decide(&floored).allowed.is_empty());
        prop_assert!(jail.read(&floored).is_empty());
    }

    #[test]
    fn nobody_hears_twice_in_a_row_that_nothing_more_will_be_said(
        history in prop::collection::vec(stated(), 1..8)
    ) {
        let mut jail = Jail::new(ALLOW);
        let (mut holding, mut silent): (BTreeSet<SubscriberId>, BTreeSet<SubscriberId>) = Default::default();
        for custody in &history {
            for draft in jail.read(&one(custody)) {
                for recipient in &draft.recipients {
                    let subscriber = recipient.subscriber.clone();
                    match draft.kind {
                        DraftKind::Main => {
                            silent.remove(&subscriber);
                            holding.insert(subscriber);
                        }
                        // Only who holds something hears that it ends, and without content.
                        DraftKind::Closed => {
                            prop_assert!(recipient.part.is_none() && holding.remove(&subscriber));
                            prop_assert!(silent.insert(subscriber));
                        }
                        DraftKind::Retracted => {
                            prop_assert!(recipient.part.is_none());
                            prop_assert!(holding.remove(&subscriber) || silent.remove(&subscriber));
                        }
                    }
                }
            }
        }
    }
}
