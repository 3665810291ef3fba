//! Exports as jails really write them: bad rows, odd bytes, clock changes.

use super::*;

#[test]
fn a_bad_row_keeps_its_custody_aside_whole_and_no_other() {
    let other = Charge { booking: "NG-26-000002", ..BOND };
    let bad = [
        (Charge { ended: "2026-02-30 10:00:00", ..other }.line(), Some("charge_release_dt")),
        (Charge { door: "2026-03-08 02:30:00", ..other }.line(), Some("release_dt")),
        (format!("{},one field more", other.line()), None),
        (other.line().replace(",0,0", ",0"), None),
    ];
    for (line, column) in bad {
        let mut scene = Scene::new();
        let path = scene.export(csv(&[BOND, other]) + &line + "\n");
        let report = scene.report();
        assert_eq!((report.custodies, report.refused, report.withheld, report.events), (2, 1, 0, 1));
        let [row] = report.refused_rows.as_slice() else { panic!("{:?}", report.refused_rows) };
        assert_eq!((row.column.as_deref(), row.place.line, &row.place.export), (column, 4, &path));
    }
}

#[test]
fn a_row_without_a_booking_number_belongs_to_no_custody() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND, Charge { booking: " ", ..BOND }]));
    let report = scene.report();
    assert_eq!((report.custodies, report.refused, report.events), (1, 0, 1));
    assert_eq!(report.refused_rows[0].custody_key, None);
}

#[test]
fn a_bad_row_in_a_later_export_changes_nothing_that_was_told() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { text: "Dismissed", door: "yesterday", ..BOND }]));
    let report = scene.report();
    assert_eq!((report.custodies, report.refused, report.events), (1, 0, 1));
    assert_eq!(report.refused_rows.len(), 1);
}

#[test]
fn a_repeated_hour_is_read_as_the_earlier_and_counted() {
    let mut scene = Scene::new();
    scene.export(csv(&[Charge { ended: "2025-11-02 01:30:00", ..BOND }]));
    let report = scene.report();
    assert_eq!((report.events, report.repeated_hours, report.refused), (1, 1, 0));
}

#[test]
fn a_missing_or_doubled_column_refuses_the_whole_export() {
    let mut scene = Scene::new();
    let lacks = scene.export(csv(&[BOND]).replace("imm_hold", "something"));
    let twice = scene.export(csv(&[BOND]).replace("felony", "type"));
    let report = scene.report();
    assert_eq!(report.custodies, 0);
    let [first, second] = report.refused_exports.as_slice() else { panic!("{report:?}") };
    assert_eq!((&first.export, &second.export), (&lacks, &twice));
    assert_eq!(first.why, "missing columns: imm_hold");
}

#[test]
fn a_quote_that_is_never_closed_refuses_the_whole_export() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND, BOND]) + "\"NG-26-000002,");
    scene.export(csv(&[BOND]).replace("An invented charge", "A \"\"quoted\"\" charge"));
    scene.export(csv(&[BOND]).replace("\"An invented charge\"", "12\" of pipe"));
    let report = scene.report();
    assert_eq!(report.refused_exports.len(), 1, "{:?}", report.refused_exports);
    assert_eq!(report.refused_exports[0].why, "a quote is opened and never closed");
    assert_eq!((report.refused_rows.len(), report.events), (0, 2));
}

#[test]
fn a_column_says_which_moment_a_row_speaks_of() {
    let mapping = fs::read_to_string(shipped_mapping()).unwrap();
    let mut scene = Scene::new();
    let path = scene.dir.path().join("mapping.toml");
    let time_zone = "time_zone = \"America/Los_Angeles\"";
    fs::write(&path, mapping.replace(time_zone, &format!("as_of = \"exported\"\n{time_zone}"))).unwrap();
    scene.facility().mapping = path;
    let exported = |at: &str| {
        let text = csv(&[BOND]);
        let (header, row) = text.trim_end().split_once('\n').unwrap();
        format!("{header},exported\n{row},{at}\n")
    };
    scene.export(exported("2026-03-17 15:00:00"));
    scene.export(exported("2026-03-17 15:20:00"));
    scene.check_due(&[(1, "SCHEDULED", SUPERVISION), (2, "RELEASED", SUPERVISION)]);
}

#[test]
fn a_byte_order_mark_blanks_and_the_case_of_a_booking_number_are_no_news() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(["\u{feff}", &csv(&[BOND])].concat());
    scene.export(csv(&[BOND]).replace("NG-26", " ng-26").replace("NGM", " NGM "));
    assert_eq!(scene.report().events, 1);
}

#[test]
fn windows_1252_and_utf_8_say_the_same() {
    let accented = Charge { charge: "Voie publique, \u{e9}tat d\u{2019}ivresse", ..BOND };
    let mut scene = Scene::new();
    let utf8 = csv(&[accented]);
    scene.export(&utf8);
    let mapping = fs::read_to_string(shipped_mapping()).unwrap();
    let path = scene.dir.path().join("mapping.toml");
    fs::write(&path, mapping.replace("encoding = \"utf-8\" ", "encoding = \"windows-1252\"")).unwrap();

    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(&utf8);
    assert!(!unmappable && bytes != utf8.as_bytes());
    let mut western = Scene::new();
    western.facility().mapping = path;
    western.export(&bytes);
    assert_eq!(western.due(), scene.due());
    assert_eq!(western.report().events, 1);

    let mut wrong = Scene::new();
    wrong.export(&bytes);
    assert_eq!(wrong.report().refused_exports.len(), 1, "a mapping that says UTF-8 is wrong about this file");
}

#[test]
fn a_quoted_newline_is_one_row_and_lines_are_counted_through_it() {
    let broken = Charge { charge: "An invented charge\nof two \"lines\"", ..BOND };
    let other = Charge { booking: "NG-26-000002", ..BOND };
    let text = csv(&[broken, other]);
    for bytes in [text.clone(), text.replace('\n', "\r\n")] {
        let mut scene = Scene::new();
        scene.export(bytes);
        let lost = scene.report().lost.into_iter();
        let mut lines: Vec<_> = lost.map(|missing| missing.notice.place.unwrap().line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 4]);
    }
}

#[test]
fn texts_that_the_mapping_does_not_know_are_counted_by_row_and_unknown() {
    let mut scene = Scene::new();
    let odd = Charge { text: "Walked Off", bail: "", imm_hold: true, ..BOND };
    scene.export(csv(&[odd, odd]));
    scene.export(csv(&[odd, odd]));
    let report = scene.report();
    assert_eq!(report.unmapped_texts, BTreeMap::from([("Walked Off".to_owned(), 2)]));
    assert_eq!(report.reasons, BTreeMap::from([("UNKNOWN".to_owned(), 1)]));
    assert_eq!((report.events, report.notices), (1, 1));
}

#[test]
fn a_configuration_that_the_audit_does_not_understand_stops_it() {
    let mut key = Scene::new();
    key.export(csv(&[BOND]));
    key.change("agent.toml", "fields = [\"booking_number\"]", "fields = []\nunless = \"never\"");
    assert!(audit(&key.inputs).is_err());

    let agreement = Scene::new();
    agreement.change("registry.toml", "id = \"zz-supervision\"", "id = \"zz-other\"");
    assert!(audit(&agreement.inputs).is_err());

    let mut ori = Scene::new();
    ori.facility().ori = "zz0020000".to_owned();
    assert!(audit(&ori.inputs).is_err());
}
