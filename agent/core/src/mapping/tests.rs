//! What a mapping file is refused for, by key and line.

use super::*;
use crate::sample::{self, COUNTY, EVERY_COLUMN};

/// `change` replaces one text of the county mapping by another; the problems are named by key and line.
fn check(change: (&str, &str), expect: &[&str]) {
    let text = COUNTY.replacen(change.0, change.1, 1);
    assert_ne!(text, COUNTY, "{change:?}");
    let problems = Mapping::parse(&text).err().unwrap_or_default();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, expect, "{problems:?}");
    for problem in &problems {
        let line = text.lines().nth(problem.line.unwrap_or(1) - 1).unwrap();
        let last = problem.key.rsplit('.').next().unwrap();
        assert!(problem.line.is_none() || line.contains(last) || line.contains('['), "{problem}: {line}");
    }
}

#[test]
fn the_shipped_mapping_is_read_as_it_stands() {
    let mapping = sample::mapping(COUNTY);
    assert_eq!(mapping.version_text(), "county-charge-rows/1");
    assert_eq!(mapping.disposition("WSI Chain").reason, ReleaseReason::TransferPrison);
    assert!(mapping.disposition("DETOX CENTER").health);
    assert_eq!(mapping.disposition("PDC").certainty, Certainty::Likely);
    assert_eq!(mapping.disposition("never seen"), mapping.unmapped());
    assert_eq!(mapping.known_names().flags, BTreeSet::from(["imm_hold".to_owned()]));
}

#[test]
fn person_fields_are_no_details() {
    assert_eq!(
        sample::mapping(EVERY_COLUMN).known_names().details,
        BTreeSet::from(["court_date".to_owned()])
    );
}

#[test]
fn unknown_words_are_named_with_key_and_line() {
    check(("America/Los_Angeles", "America/Los_Angelos"), &["input.time_zone"]);
    check(("\"BOND_POSTED\"", "\"BOND\""), &["trigger[0].reason"]);
    check(("\"TRANSFERRED\"", "\"GONE\""), &["disposition[1].state"]);
    check(("\"LIKELY\"", "\"MAYBE\""), &["precedence.unmapped_certainty"]);
    check(("\"juvenile\"", "\"young\""), &["floor[0].kind"]);
    check(("encoding = \"utf-8\"", "encoding = \"latin\""), &["input.encoding"]);
}

#[test]
fn a_delimiter_is_one_character() {
    check(("delimiter = \",\"", "delimiter = \"\""), &["input.delimiter"]);
    check(("delimiter = \",\"", "delimiter = \";;\""), &["input.delimiter"]);
    check(("delimiter = \",\"", "delimiter = \"\\\"\""), &["input.delimiter"]);
    for (text, byte) in [("\\t", b'\t'), ("\\\\t", b'\t'), ("|", b'|')] {
        let mapping = COUNTY.replacen("delimiter = \",\"", &format!("delimiter = \"{text}\""), 1);
        assert_eq!(sample::mapping(&mapping).input.delimiter, byte);
    }
}

#[test]
fn columns_that_an_export_cannot_be_read_without_must_be_named() {
    check(("booking_number = \"booking_id\"", ""), &["custody.booking_number"]);
    check(("door = \"release_dt\"", ""), &["release.door"]);
    check(("booking_number = \"booking_id\"", "booking_number = \" \""), &["custody.booking_number"]);
    check(("disposition = \"release_disposition_desc\"", ""), &["charge.disposition"]);
}

#[test]
fn a_column_cannot_be_read_and_ignored() {
    check(("health = []", "health = [\"type\"]"), &["charge.offence_level"]);
}

#[test]
fn a_text_stands_once() {
    check(("\"Quashed\"", "\"Bail Bond\""), &["disposition[8].texts"]);
    check(("\"Quashed\"", "\"Quashed \", \"Quashed\""), &["disposition[8].texts"]);
    check(("\"Quashed\"", "\"\""), &["disposition[8].texts"]);
}

#[test]
fn a_row_states_how_a_custody_ended() {
    check(("state = \"ESCAPED\"", "state = \"EXPECTED\""), &["disposition[0].state"]);
}

#[test]
fn a_hospital_is_a_health_fact() {
    let line = "health = true                        # the text never leaves the jail; the head says TRANSFER_AGENCY";
    check((line, ""), &["disposition[3].reason"]);
}

#[test]
fn a_text_that_nobody_mapped_does_not_decide() {
    check(("unmapped_rank = 99", "unmapped_rank = 2"), &["precedence.unmapped_rank"]);
}

#[test]
fn a_floor_without_values_and_a_flag_without_a_name_are_refused() {
    check(("values = [\"JUV\", \"JUVK\", \"JRA\"]", "values = []"), &["floor[0].values"]);
    check(("values = [\"JUV\", \"JUVK\", \"JRA\"]", "values = [\"\"]"), &["floor[0].values"]);
    check(("name = \"imm_hold\"", "name = \"imm hold\""), &["flag[0].name"]);
}

#[test]
fn a_time_format_must_name_a_day_and_tell_morning_from_afternoon() {
    for bad in ["%H:%M", "%Y-%m-%d %I:%M", "%Q", "%Y"] {
        check(("%Y-%m-%d %H:%M:%S", bad), &["input.time_formats"]);
    }
    for good in ["%m/%d/%Y", "%d-%b-%y %I.%M.%S%.f %p", "%Y-%m-%dT%H:%M:%S%:z"] {
        check(("%Y-%m-%d %H:%M:%S", good), &[]);
    }
}

#[test]
fn further_fields_have_names_of_their_own() {
    let field = |name: &str| format!("[[field]]\nname = \"{name}\"\ncolumn = \"x\"\n[ignore]");
    check(("[ignore]", &field("charges")), &["field[0].name"]);
    check(("[ignore]", &format!("{}{}", field("a").replace("[ignore]", ""), field("a"))), &["field[1].name"]);
    check(("[ignore]", &field("housing")), &[]);
}

#[test]
fn every_problem_is_listed_at_once() {
    let text = COUNTY
        .replace("America/Los_Angeles", "Moon")
        .replace("booking_number = \"booking_id\"", "")
        .replace("\"Quashed\"", "\"Check\"")
        .replace("delimiter = \",\"", "delimiter = \"\"")
        .replace("decides_within_h = 24", "decides_within_h = \"a day\"")
        .replace("\nbooked =", "\nboked =");
    let problems = Mapping::parse(&text).unwrap_err();
    let mut keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "custody.boked",
        "custody.booking_number",
        "disposition[8].texts",
        "input.delimiter",
        "input.time_zone",
        "precedence.decides_within_h",
    ];
    assert_eq!(keys, expected);
    assert!(problems.iter().all(|problem| problem.line.is_some()));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let problems = Mapping::parse(&COUNTY.replace("booked =", "boked =")).unwrap_err();
    assert!(problems[0].text.contains("boked") && problems[0].line.is_some(), "{problems:?}");
}
