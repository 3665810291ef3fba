//! What the synthetic day must show, checked on the committed file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, ToSpan as _};

use super::clock::TIME_FORMAT;
use super::*;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/synthetic-day.csv")
}

/// One row by column name.
type Row = BTreeMap<String, String>;

/// Per custody its row sets: when they are exported, and their rows.
fn custodies() -> BTreeMap<String, Vec<(DateTime, Vec<Row>)>> {
    let mut custodies: BTreeMap<String, Vec<(DateTime, Vec<Row>)>> = BTreeMap::new();
    for step in day(&committed()).unwrap() {
        for row in &step.rows {
            let row: Row = step.header.iter().cloned().zip(row.iter().cloned()).collect();
            let key = format!("{} {}", step.facility, row["booking_id"]);
            let sets = custodies.entry(key).or_default();
            match sets.last_mut() {
                Some((at, rows)) if *at == step.export_at => rows.push(row),
                _ => sets.push((step.export_at, vec![row])),
            }
        }
    }
    custodies
}

fn time(row: &Row, column: &str) -> Option<DateTime> {
    let cell = &row[column];
    (!cell.is_empty()).then(|| DateTime::strptime(TIME_FORMAT, cell).unwrap())
}

#[test]
fn writing_it_again_gives_the_committed_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("day.csv");
    run(&out).unwrap();
    let (again, committed) = (std::fs::read(out).unwrap(), std::fs::read(committed()).unwrap());
    assert!(again == committed, "run `cargo xtask sample` and commit the result");
}

#[test]
fn it_holds_120_custodies_of_two_jails_on_one_day() {
    let custodies = custodies();
    assert_eq!(custodies.len(), 120);
    let of = |ori: &str| custodies.keys().filter(|key| key.starts_with(ori)).count();
    assert_eq!((of("zz0010000 NG-26-"), of("zz0020000 SG-26-")), (70, 50));
    for (key, sets) in &custodies {
        for (export_at, rows) in sets {
            assert_eq!(export_at.date(), date(2026, 3, 17), "{key}");
            let doors: BTreeSet<_> = rows.iter().map(|row| &row["release_dt"]).collect();
            assert_eq!(doors.len(), 1, "{key}: the rows of a custody share the door");
        }
        let [(first, _), .., (last, _)] = sets.as_slice() else { continue };
        assert!(first < last);
    }
}

#[test]
fn releases_come_mostly_in_the_afternoon_and_evening() {
    let doors = custodies().into_values().filter_map(|sets| time(&sets[sets.len() - 1].1[0], "release_dt"));
    assert!(doors.filter(|door| door.hour() >= 12).count() > 75);
}

#[test]
fn the_jail_exports_at_bail_and_then_at_the_door() {
    let (mut with_bail, mut late) = (0, Vec::new());
    for (key, sets) in custodies() {
        let bail = sets.iter().find_map(|(_, rows)| time(&rows[0], "bail_posted_dt"));
        let (at_door, rows) = sets.iter().find(|(_, rows)| time(&rows[0], "release_dt").is_some()).unwrap();
        let door = time(&rows[0], "release_dt").unwrap();
        assert!(door < *at_door, "{key}: what is exported has happened");
        let soon = at_door.duration_since(door) < SignedDuration::from_mins(4);
        assert!(soon || bail.is_some(), "{key}: the door is exported at once");
        let Some(bail) = bail else { continue };
        with_bail += 1;
        let (first, rows) = &sets[0];
        if time(&rows[0], "release_dt").is_some() {
            late.push((key, first.duration_since(door)));
            continue;
        }
        assert!(bail < *first && *first < door, "{key}: the bail is exported before the door");
        let blank =
            |row: &Row| row["release_disposition_desc"].is_empty() && row["charge_release_dt"].is_empty();
        assert!(rows.iter().all(blank), "{key}");
    }
    assert_eq!(with_bail, 60);
    let [(_, after)] = late.as_slice() else { panic!("one custody is told of after the door: {late:?}") };
    assert!(*after > SignedDuration::from_hours(1));
}

#[test]
fn the_gaps_from_bail_to_door_follow_the_countys() {
    let mut gaps = Vec::new();
    for sets in custodies().into_values() {
        let rows = sets.iter().map(|(_, rows)| &rows[0]);
        let door = rows.clone().find_map(|row| time(row, "release_dt")).unwrap();
        if let Some(bail) = rows.clone().find_map(|row| time(row, "bail_posted_dt")) {
            gaps.push(door.duration_since(bail).as_mins());
        }
    }
    let share = |of: &dyn Fn(i64) -> bool| gaps.iter().filter(|gap| of(**gap)).count() * 100 / gaps.len();
    assert_eq!((share(&|gap| gap < 25), share(&|gap| gap < 70), share(&|gap| gap > 240)), (10, 50, 10));
}

#[test]
fn at_least_fifteen_custodies_are_corrected_after_the_door() {
    let (mut door, mut text, mut charge) = (0, 0, 0);
    for sets in custodies().into_values() {
        let told: Vec<_> = sets.iter().filter(|(_, rows)| time(&rows[0], "release_dt").is_some()).collect();
        let [(_, before), (_, after)] = told.as_slice() else { continue };
        let texts = |rows: &[Row]| rows.iter().map(|row| row["release_disposition_desc"].clone()).collect();
        let (old, new): (BTreeSet<String>, BTreeSet<String>) = (texts(before), texts(after));
        door += usize::from(before[0]["release_dt"] != after[0]["release_dt"]);
        text += usize::from(old != new);
        charge += usize::from(before.len() != after.len());
    }
    assert_eq!((door, text, charge), (6, 9, 1));
}

#[test]
fn holds_transfers_and_the_floor_are_there() {
    let custodies = custodies();
    let any = |column: &str, values: &[&str]| {
        let has = |row: &Row| values.contains(&row[column].as_str());
        custodies.values().filter(|sets| sets.iter().any(|(_, rows)| rows.iter().any(has))).count()
    };
    assert_eq!(any("imm_hold", &["1"]), 5);
    assert_eq!(any("jurisdiction_cd", &["JUV"]), 1);
    let transfers = ["WSI Chain", "Mini-Chain", "US Marshall", "Police Department", "Western State Hospital"];
    assert_eq!(any("release_disposition_desc", &transfers), 8);
    assert_eq!((any("release_to_imm", &["1"]), any("cancel_detainer", &["1"])), (0, 0));
}

#[test]
fn a_rebased_export_moves_every_time_and_nothing_else() {
    let steps = day(&committed()).unwrap();
    let step = steps.iter().find(|step| step.rows.len() > 2).unwrap();
    let later = |at: DateTime| at.checked_add(2.days()).unwrap();
    let moved = rebase(step, later).unwrap();
    assert_eq!(moved.export_at, later(step.export_at));
    assert_eq!(rebase(&moved, |at| at.checked_sub(2.days()).unwrap()).unwrap(), *step);
    for (row, was) in moved.rows.iter().zip(&step.rows) {
        for ((name, cell), before) in step.header.iter().zip(row).zip(was) {
            assert_eq!(cell != before, name.ends_with("_dt") && !before.is_empty(), "{name}");
        }
    }
}

#[test]
fn an_export_is_written_in_the_countys_columns() {
    let step = day(&committed()).unwrap().swap_remove(0);
    let text = String::from_utf8(step.to_csv().unwrap()).unwrap();
    assert!(text.starts_with("booking_id,booking_dt,bail_posted_dt,release_dt,"));
    assert_eq!(csv::Reader::from_reader(text.as_bytes()).records().count(), step.rows.len());
}
