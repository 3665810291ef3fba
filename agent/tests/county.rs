//! The real county export through the mapping that is shipped, into a store: the counts that everybody agrees on, and
//! that a second reading of the same facts changes nothing. Counts only; skipped where the file is not.
#![allow(clippy::unwrap_used)]

mod jail;

use std::path::{Path, PathBuf};

use sallyport_harness::Recipe;
use serde_json::{Value, json};

use crate::jail::{Jail, Setting, county_file};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);
/// After the last door of the file: every release is a fact.
const AS_OF: &str = "2018-01-01T00:00:00Z";

/// The allow-list of the demonstration, in the terms of a test jail's registry.
const ALLOW: &str = r#"
[[allow]]
subscriber = "test-supervision"
rule_id = "rule-1"
agreement = "zz-supervision"
purpose = "SUPERVISION"
reasons = ["BOND_POSTED", "OWN_RECOGNIZANCE", "TIME_SERVED"]
fields = ["booking_number"]

[[allow]]
subscriber = "test-stranger"
rule_id = "rule-2"
agreement = "zz-stranger"
purpose = "CRIMINAL_WARRANT"
release_states = ["TRANSFERRED", "ESCAPED"]
fields = ["booking_number"]

[[allow]]
subscriber = "test-civil"
rule_id = "rule-3"
agreement = "zz-civil"
purpose = "CIVIL_IMMIGRATION"
flag = "imm_hold"
as_request = true
fields = ["booking_number"]
"#;

struct Bed {
    jail: Jail,
}

impl Bed {
    fn new() -> Self {
        let jail = Jail::new(&Setting { allow: ALLOW, ..Setting::default() });
        let bed = Self { jail };
        bed.mapping(|text| text);
        bed
    }

    fn mapping(&self, edit: impl Fn(String) -> String) {
        let shipped = include_str!("../../deploy/examples/county-mapping.toml");
        self.jail.write("mapping.toml", &edit(shipped.to_owned()));
    }

    fn ingest(&self, file: &Path) -> Value {
        let ended = Recipe::at(Path::new(env!("CARGO_BIN_EXE_sallyport-agent")))
            .current_dir(self.jail.dir.path())
            .args(["ingest", "--json", "--backfill", "--as-of", AS_OF, "--config", "agent.toml"])
            .arg(file)
            .run(DEADLINE)
            .unwrap();
        assert_eq!(ended.code().unwrap(), 0, "{:?}", ended.stderr);
        serde_json::from_str(&ended.stdout[0]).unwrap()
    }

    fn write(&self, rows: &[Vec<String>]) -> PathBuf {
        let path = self.jail.path("changed.csv");
        let mut text = "\u{feff}".to_owned();
        for row in rows {
            let cells: Vec<String> =
                row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            text.push_str(&format!("{}\r\n", cells.join(",")));
        }
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn rows(file: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(file).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_county_export_comes_to_the_counts_that_everybody_agrees_on_and_a_second_reading_to_nothing() {
    let Some(file) = county_file() else { return };
    let bed = Bed::new();
    let first = bed.ingest(&file);
    for (name, count) in
        [("custodies", 2_694), ("withheld", 891), ("withheld_by_floor", 4), ("events", 1_803), ("refused", 0)]
    {
        assert_eq!(first[name], json!(count), "{name}");
    }
    assert_eq!(first["unmapped_texts"], json!({}));
    assert_eq!(first["disagreeing"], json!(407));
    assert_eq!(bed.ingest(&file)["events"], json!(0));

    // Rows shuffled, columns reordered, a byte order mark, every cell quoted, CR LF.
    let mut table = rows(&file);
    let (header, body) = table.split_first_mut().unwrap();
    header.reverse();
    body.iter_mut().for_each(|row| row.reverse());
    let half = body.len() / 2;
    body.rotate_left(half);
    assert_eq!(bed.ingest(&bed.write(&table))["events"], json!(0));

    // One disposition changed: one event, revision 2.
    let column = table[0].iter().position(|name| name == "release_disposition_desc").unwrap();
    let booking = table[0].iter().position(|name| name == "booking_id").unwrap();
    let alone = |row: &Vec<String>| table.iter().filter(|other| other[booking] == row[booking]).count() == 1;
    let at = table.iter().position(|row| row[column] == "Bail Bond" && alone(row)).unwrap();
    table[at][column] = "Time Served".into();
    let changed = bed.ingest(&bed.write(&table));
    assert_eq!(changed["events"], json!(1));
    let status = Recipe::at(Path::new(env!("CARGO_BIN_EXE_sallyport-agent")))
        .current_dir(bed.jail.dir.path())
        .args(["status", "--json", "--config", "agent.toml"])
        .run(DEADLINE)
        .unwrap();
    let status: Value = serde_json::from_str(&status.stdout[0]).unwrap();
    assert_eq!(status["last_events"][0]["revision"], json!(2));
    assert_eq!(status["seq"], json!(1_804));
}

#[test]
fn a_mapping_without_two_texts_lists_exactly_these_with_their_rows() {
    let Some(file) = county_file() else { return };
    let bed = Bed::new();
    bed.mapping(|text| text.replace("\"PDC\", ", "").replace("\"SIP\", ", ""));
    let summary = bed.ingest(&file);
    assert_eq!(summary["unmapped_texts"], json!({"PDC": 117, "SIP": 89}));
}
