//! What an export says once it is read, and what is wrong with bad ones, by line and column.

use sallyport_proto::{
    time::Moment,
    vocabulary::{Certainty, ReleaseReason, ReleaseState, SourceClock},
};

use super::*;
use crate::{
    custody::{FloorKind, ReleaseFact},
    sample::{self, COUNTY, EVERY_COLUMN, at},
};

const AS_OF: &str = "2026-11-21T12:00:00Z";
const HEADER: &str = "number,booked,door,typed,planned,next,bail,order,charge,how,mark,hold,name,cell,court,noise,meds,exported\n";

fn read(mapping: &str, export: &str) -> Result<Reading, ExportError> {
    read_export(&sample::mapping(mapping), export.as_bytes(), at(AS_OF), at("2026-11-21T14:00:00Z"))
}

/// One row of every column: cells are given as `column=text`, the others are empty.
fn row(cells: &[&str]) -> String {
    let value =
        |name: &str| cells.iter().find_map(|cell| cell.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    let values: Vec<&str> = HEADER.trim().split(',').map(value).collect();
    values.join(",") + "\n"
}

fn every(rows: &[&[&str]]) -> Reading {
    let rows: String = rows.iter().map(|cells| row(cells)).collect();
    read(EVERY_COLUMN, &format!("{HEADER}{rows}")).unwrap()
}

fn release(rows: &[&[&str]]) -> Option<ReleaseFact> {
    let reading = every(rows);
    assert_eq!(reading.refused, []);
    reading.custodies.into_iter().next().unwrap().release
}

/// Problems as (line, column, a word of the text).
fn problems(problems: &[RowProblem]) -> Vec<(u64, &str)> {
    problems.iter().map(|problem| (problem.line, problem.column.as_deref().unwrap_or("-"))).collect()
}

fn jail(time: &str, uncertainty_s: u32) -> Moment {
    Moment { at: at(time), clock: SourceClock::JailRecord, uncertainty_s }
}

#[test]
fn a_door_in_the_past_is_a_release_with_the_doors_uncertainty() {
    let fact =
        release(&[&["number=B-1", "door=2026-11-20 10:00", "how=Bail", "bail=2026-11-20 09:00"]]).unwrap();
    assert_eq!((fact.state, fact.reason), (ReleaseState::Released, ReleaseReason::BondPosted));
    assert_eq!(fact.certainty, Certainty::Confirmed);
    assert_eq!(fact.t10, Some(jail("2026-11-20T18:00:00Z", 60)));
    assert_eq!(fact.t0, Some(jail("2026-11-20T17:00:00Z", 0)));
    assert_eq!((fact.t1, fact.expected), (None, None));
}

#[test]
fn a_trigger_gives_t0_only_for_its_own_reason() {
    let fact =
        release(&[&["number=B-1", "door=2026-11-20 10:00", "how=Order", "bail=2026-11-20 09:00"]]).unwrap();
    assert_eq!((fact.reason, fact.t0), (ReleaseReason::CourtOrder, None));
}

#[test]
fn a_trigger_without_a_door_is_an_expected_release_of_that_reason() {
    let fact = release(&[&["number=B-1", "how=Order", "bail=2026-11-20 09:00"]]).unwrap();
    assert_eq!((fact.state, fact.reason), (ReleaseState::Expected, ReleaseReason::BondPosted));
    assert_eq!((fact.certainty, fact.t10), (Certainty::Likely, None));
    assert_eq!(fact.t0, Some(jail("2026-11-20T17:00:00Z", 0)));
}

#[test]
fn of_several_triggers_the_last_that_was_set_is_expected() {
    let fact = release(&[&["number=B-1", "bail=2026-11-20 09:00", "order=2026-11-20 09:30"]]).unwrap();
    assert_eq!(fact.reason, ReleaseReason::CourtOrder);
}

#[test]
fn a_custody_with_neither_door_nor_trigger_nor_plan_has_no_release() {
    assert_eq!(release(&[&["number=B-1", "how=Bail"]]), None);
}

#[test]
fn a_door_after_the_export_is_scheduled_and_not_a_door() {
    let fact = release(&[&["number=B-1", "door=2026-11-21 04:01", "how=Bail"]]).unwrap();
    assert_eq!((fact.state, fact.certainty, fact.t10), (ReleaseState::Scheduled, Certainty::Likely, None));
    let window = fact.expected.unwrap();
    assert_eq!(window.earliest, Some(jail("2026-11-21T12:00:00Z", 0)));
    assert_eq!(window.latest, Some(jail("2026-11-21T12:02:00Z", 0)));
}

#[test]
fn the_time_an_export_speaks_of_may_stand_in_a_column() {
    let door = "door=2026-11-21 04:01";
    let later = release(&[&["number=B-1", door, "how=Bail", "exported=2026-11-21 05:00"]]).unwrap();
    assert_eq!(later.state, ReleaseState::Released);
    let earlier = release(&[&["number=B-1", "door=2026-11-20 10:00", "exported=2026-11-20 09:00"]]).unwrap();
    assert_eq!(earlier.state, ReleaseState::Scheduled);
}

#[test]
fn a_planned_time_is_scheduled_for_what_is_expected() {
    let fact = release(&[&["number=B-1", "planned=2026-11-22 09:00", "bail=2026-11-20 09:00"]]).unwrap();
    assert_eq!((fact.state, fact.reason), (ReleaseState::Scheduled, ReleaseReason::BondPosted));
    assert_eq!(fact.expected.unwrap().earliest, Some(jail("2026-11-22T17:00:00Z", 0)));
}

#[test]
fn a_release_without_any_text_is_likely_and_unknown() {
    let fact = release(&[&["number=B-1", "door=2026-11-20 10:00"]]).unwrap();
    assert_eq!((fact.state, fact.reason), (ReleaseState::Released, ReleaseReason::Unknown));
    assert_eq!(fact.certainty, Certainty::Likely);
}

#[test]
fn a_text_that_nobody_mapped_is_counted_and_unknown() {
    let reading = every(&[
        &["number=B-1", "door=2026-11-20 10:00", "how=New Word"],
        &["number=B-2", "how=New Word"],
        &["number=B-2", "how=Bail"],
    ]);
    assert_eq!(reading.unmapped_texts, BTreeMap::from([("New Word".to_owned(), 2)]));
    assert_eq!(reading.disagreeing, 1);
    assert_eq!(reading.custodies[0].release.as_ref().unwrap().reason, ReleaseReason::Unknown);
}

#[test]
fn charges_are_a_multiset_in_an_order_of_their_own() {
    let rows: [&[&str]; 3] =
        [&["number=B-1", "charge=b"], &["number=B-2", "charge=x"], &["number=B-1", "charge=a"]];
    let twice = [rows[0], rows[1], rows[2], rows[0]];
    let reading = every(&twice);
    let names = |n: usize| {
        let charges = reading.custodies[n].part.charges.expose();
        charges.iter().map(|charge| charge.description.clone()).collect::<Vec<_>>()
    };
    assert_eq!((names(0), names(1)), (vec!["a".to_owned(), "b".into(), "b".into()], vec!["x".to_owned()]));
}

#[test]
fn booking_numbers_that_differ_in_case_and_blanks_are_one_custody() {
    let reading = every(&[&["number= b-1", "hold=Y"], &["number=B-1"]]);
    assert_eq!(reading.custodies.len(), 1);
    assert!(reading.custodies[0].flags.contains("hold"));
}

#[test]
fn a_floor_value_in_any_row_and_any_case_marks_the_custody() {
    let reading = every(&[&["number=B-1"], &["number=B-1", "mark=SEALED "], &["number=B-2", "mark=open"]]);
    assert_eq!(reading.custodies[0].floor, Some(FloorKind::Sealed));
    assert_eq!(reading.custodies[1].floor, None);
}

#[test]
fn the_words_for_a_health_release_stay_out_of_the_part() {
    let reading = every(&[&["number=B-1", "door=2026-11-20 10:00", "how=Hospital", "charge=a"]]);
    let custody = &reading.custodies[0];
    let fact = custody.release.as_ref().unwrap();
    assert_eq!(
        (fact.reason, fact.head_reason()),
        (ReleaseReason::TransferHospital, ReleaseReason::TransferAgency)
    );
    assert!(custody.part.disposition_texts.expose().is_empty());
    assert_eq!(custody.part.charges.expose()[0].disposition_text, "");
    assert_eq!((custody.part.release_text.clone(), custody.part.health_reason), (None, Some(fact.reason)));
}

#[test]
fn the_next_custodian_is_named_by_its_ori_or_passed_over_with_a_warning() {
    let fact = release(&[&["number=B-1", "door=2026-11-20 10:00", "next=ZZ0020000"]]).unwrap();
    assert_eq!(fact.transferred_to, "zz0020000".parse().ok());
    let reading = every(&[&["number=B-1", "next=the county next door"]]);
    assert_eq!(problems(&reading.warnings), [(2, "next")]);
}

#[test]
fn further_fields_land_in_their_places() {
    let reading = every(&[
        &["number=B-1", "name=Invented Name", "cell=C2", "court=Monday", "typed=2026-11-20 10:00"],
        &["number=B-1", "court=Friday", "typed=2026-11-20 11:00"],
    ]);
    let part = &reading.custodies[0].part;
    assert_eq!(part.person_name.as_ref().unwrap().expose(), "Invented Name");
    assert_eq!(part.housing.as_ref().unwrap().expose(), "C2");
    assert_eq!(
        part.details.expose(),
        &BTreeMap::from([("court_date".to_owned(), "Friday; Monday".to_owned())])
    );
}

#[test]
fn rows_that_contradict_each_other_keep_their_custody_aside() {
    let reading = every(&[
        &["number=B-1", "door=2026-11-20 10:00", "name=Invented Name"],
        &["number=B-2", "door=2026-11-20 10:00"],
        &["number=B-1", "door=2026-11-20 10:01", "name=Another Name"],
        &["number=B-3", "door=2026-11-20 10:00"],
        &["number=B-3"],
    ]);
    assert_eq!(reading.custodies.len(), 1);
    assert_eq!(problems(&reading.refused[0].problems), [(4, "door"), (4, "name")]);
    assert_eq!(problems(&reading.refused[1].problems), [(6, "door")]);
    assert!(!format!("{reading:?}").contains("Invented"));
}

#[test]
fn a_bad_row_keeps_its_custody_aside_whole_and_the_others_go_through() {
    let reading = every(&[
        &["number=B-1", "door=2026-11-20 10:00"],
        &["number=B-1", "door=2026-11-20 10:00", "booked=2026-02-30 10:00", "bail=2026-03-08 02:30"],
        &["number=B-2", "door=2026-11-20 10:00"],
        &["number=B-3", "typed=soon"],
    ]);
    assert_eq!(reading.custodies.len(), 1);
    assert_eq!(reading.rows, 4);
    let first = &reading.refused[0];
    assert_eq!(first.booking_number.as_ref().unwrap().expose(), "B-1");
    assert_eq!(problems(&first.problems), [(3, "booked"), (3, "bail")]);
    assert!(first.problems[0].text.contains("impossible") && first.problems[1].text.contains("skipped"));
    assert_eq!(problems(&reading.refused[1].problems), [(5, "typed")]);
}

#[test]
fn a_time_in_the_repeated_hour_goes_through_with_a_warning() {
    let reading = every(&[&["number=B-1", "door=2025-11-02 01:30"]]);
    let fact = reading.custodies[0].release.as_ref().unwrap();
    assert_eq!(fact.t10, Some(jail("2025-11-02T08:30:00Z", 3_600)));
    assert_eq!(problems(&reading.warnings), [(2, "door")]);
}

#[test]
fn a_row_without_a_booking_number_is_refused_alone() {
    let reading = every(&[&["number=B-1"], &["charge=x"]]);
    assert_eq!((reading.custodies.len(), reading.refused.len()), (1, 1));
    assert_eq!(reading.refused[0].booking_number, None);
    assert_eq!(problems(&reading.refused[0].problems), [(3, "number")]);
}

#[test]
fn a_row_with_a_field_too_many_or_too_few_keeps_its_custody_aside() {
    let (good, long) = (row(&["number=B-1"]), row(&["number=B-2"]).replace('\n', ",\n"));
    let reading =
        read(EVERY_COLUMN, &format!("{HEADER}{good}{}{long}B-3,x\n", row(&["number=B-2"]))).unwrap();
    assert_eq!(reading.custodies.len(), 1);
    assert_eq!(problems(&reading.refused[0].problems), [(4, "-")]);
    assert!(reading.refused[0].problems[0].text.contains("19 fields where the header has 18"));
    assert_eq!(reading.refused[1].booking_number.as_ref().unwrap().expose(), "B-3");
}

const LATE_NUMBER: &str = r#"
name = "late-number"
version = "1"
[input]
delimiter = ";"
encoding = "windows-1252"
time_zone = "UTC"
time_formats = ["%Y-%m-%d"]
[custody]
booking_number = "number"
[release]
door = "door"
"#;

#[test]
fn a_torn_row_keeps_every_custody_aside_that_it_may_belong_to() {
    let export = "note;number;door\nx;B-1;2026-11-20\na;b;B-2;2026-11-20\ny;B-2;2026-11-20\nB-1;2026-11-20\nz;B-3;\np;q;r;s\n";
    let reading = read(LATE_NUMBER, export).unwrap();
    let kept: Vec<&str> =
        reading.custodies.iter().map(|custody| custody.booking_number.expose().as_str()).collect();
    assert_eq!(kept, ["B-3"]);
    let refused: Vec<_> = reading
        .refused
        .iter()
        .map(|r| (r.booking_number.as_ref().map(|n| n.expose().as_str()), r.problems[0].line))
        .collect();
    assert_eq!(refused, [(None, 7), (Some("B-1"), 5), (Some("B-2"), 3)]);
}

#[test]
fn a_column_that_nobody_mapped_or_ignored_is_a_warning() {
    let reading = read(LATE_NUMBER, "number;door;surprise;\n").unwrap();
    assert_eq!(problems(&reading.warnings), [(1, "surprise")]);
    assert_eq!(every(&[]).warnings, []);
}

#[test]
fn a_header_may_come_in_any_order_and_case_but_must_be_whole() {
    let reading = read(LATE_NUMBER, "\u{a0}x;DOOR ; Number\n;2026-11-20;B-1\n").unwrap();
    assert_eq!(reading.custodies[0].booking_number.expose(), "B-1");
    let missing = read(LATE_NUMBER, "number;gate\n").unwrap_err();
    let present = vec!["number".to_owned(), "gate".to_owned()];
    assert_eq!(missing, ExportError::MissingColumns { missing: vec!["door".to_owned()], present });
    assert_eq!(missing.to_string(), "no column door; the file has number, gate");
    let twice = read(LATE_NUMBER, "number;door;door\n").unwrap_err();
    assert_eq!(twice, ExportError::ColumnTwice { column: "door".to_owned() });
}

#[test]
fn a_first_line_that_is_no_header_is_not_repeated() {
    let error = read(LATE_NUMBER, "Invented Name;B-1;2026-11-20\n").unwrap_err();
    assert!(matches!(error, ExportError::NoHeader { .. }) && !error.to_string().contains("Invented"));
}

#[test]
fn a_file_that_cannot_be_read_at_all_says_where() {
    assert_eq!(read(COUNTY, "").unwrap_err(), ExportError::Empty);
    let unclosed = format!("{HEADER}{}\"", row(&["number=B-1"]));
    assert_eq!(read(EVERY_COLUMN, &unclosed).unwrap_err(), ExportError::UnclosedQuote { line: 3 });
    let latin = [b"booking_id\nPe\xf1a\n".as_slice()].concat();
    let error = read_export(&sample::mapping(COUNTY), &latin, at(AS_OF), at(AS_OF)).unwrap_err();
    assert_eq!(error, ExportError::NotUtf8 { line: 2, column: 3 });
}

#[test]
fn lines_are_counted_in_the_file_through_quoted_line_ends() {
    let export =
        format!("{HEADER}B-1,,,,,,,,\"two\nlines\",,,,,,,,,\n{}", row(&["number=B-2", "door=never"]));
    let reading = read(EVERY_COLUMN, &export).unwrap();
    assert_eq!(problems(&reading.refused[0].problems), [(4, "door")]);
    assert_eq!(reading.custodies[0].part.charges.expose()[0].description, "two\nlines");
}
