//! The synthetic day before the audit, with the demo's allow-list and registry: what it must make the demo show, and that
//! a day replayed fast says the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sallyport_audit::{Export, FacilityInput, Inputs, Report, audit};

use super::{day, rebase};

const ALLOW: &str = r#"
[traffic]
kind = "EXERCISE"
[[allow]]
subscriber = "demo-supervision"
rule_id = "demo-allow-1"
agreement = "zz-supervision"
purpose = "SUPERVISION"
reasons = ["BOND_POSTED", "OWN_RECOGNIZANCE", "TIME_SERVED"]
fields = ["booking_number", "disposition_texts", "charges", "booked"]
[[allow]]
subscriber = "demo-marshals"
rule_id = "demo-allow-2"
agreement = "zz-marshals"
purpose = "CRIMINAL_WARRANT"
release_states = ["TRANSFERRED", "ESCAPED"]
fields = ["booking_number"]
[[allow]]
subscriber = "demo-civil"
rule_id = "demo-allow-3"
agreement = "zz-civil"
purpose = "CIVIL_IMMIGRATION"
flag = "imm_hold"
as_request = true
fields = ["booking_number"]
"#;

const REGISTRY: &str = r#"
[[subscriber]]
id = "demo-supervision"
[[subscriber.subscription]]
filter = { reasons = ["BOND_POSTED", "OWN_RECOGNIZANCE", "COURT_ORDER"] }
[[subscriber]]
id = "demo-marshals"
[[subscriber.subscription]]
filter = { release_states = ["TRANSFERRED", "ESCAPED"] }
[[subscriber]]
id = "demo-civil"
[[subscriber.subscription]]
filter = { requests_only = true }
[[facility]]
ori = "zz0010000"
[[facility]]
ori = "zz0020000"
[[agreement]]
id = "zz-supervision"
facility = "*"
subscriber = "demo-supervision"
kinds = ["release"]
fields = ["booking_number", "disposition_texts", "charges", "booked"]
[[agreement]]
id = "zz-marshals"
facility = "*"
subscriber = "demo-marshals"
kinds = ["release"]
fields = ["booking_number"]
[[agreement]]
id = "zz-civil"
facility = "*"
subscriber = "demo-civil"
kinds = ["release"]
fields = ["booking_number"]
"#;

/// Audits the day with every time moved, without any hand-over: everything that is due is lost.
fn judged(moved: impl Fn(DateTime) -> DateTime) -> Report {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let dir = tempfile::tempdir().unwrap();
    // Rebased times may have fractions, as the demo's own mapping reads them.
    let mapping = dir.path().join("mapping.toml");
    let shipped = std::fs::read_to_string(examples.join("county-mapping.toml")).unwrap();
    std::fs::write(&mapping, shipped.replace("%H:%M:%S\"]", "%H:%M:%S%.f\"]")).unwrap();
    let registry = dir.path().join("registry.toml");
    fs::write(&registry, REGISTRY).unwrap();
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let mut exports: BTreeMap<String, Vec<Export>> = BTreeMap::new();
    for (number, step) in day(&examples.join("synthetic-day.csv")).unwrap().iter().enumerate() {
        let step = rebase(step, &moved).unwrap();
        let path = dir.path().join(format!("{number}.csv"));
        fs::write(&path, step.to_csv().unwrap()).unwrap();
        let as_of = Some(zone.to_timestamp(step.export_at).unwrap());
        exports.entry(step.facility).or_default().push(Export { path, as_of });
    }
    let facility = |(ori, exports): (String, Vec<Export>)| {
        let agent_config = dir.path().join(format!("{ori}.toml"));
        let head = format!("[facility]\nori = \"{ori}\"\njurisdiction = \"zz\"\n");
        fs::write(&agent_config, head + ALLOW).unwrap();
        FacilityInput {
            ori,
            jurisdiction: "zz".to_owned(),
            secret_hex: "5a".repeat(32),
            agent_config,
            mapping: mapping.clone(),
            exports,
            backfill: false,
        }
    };
    let facilities = exports.into_iter().map(facility).collect();
    let as_of = "2026-03-18T12:00:00Z".parse().unwrap();
    audit(&Inputs { facilities, registry, hand_over_logs: BTreeMap::new(), as_of }).unwrap()
}

/// The figures are counted by hand from the stories of the cast.
#[test]
fn the_day_shows_both_sides_filtering_corrections_and_closed() {
    let report = judged(|at| at);
    assert_eq!((report.custodies, report.refused, report.unmapped_texts.len()), (120, 0, 0));
    assert_eq!((report.withheld, report.withheld_by_floor, report.custodies_with_event), (22, 1, 98));
    assert_eq!((report.events, report.notices, report.allowed_not_subscribed), (175, 166, 14));
    let by = &report.notices_by_subscriber;
    assert_eq!((by["demo-supervision"], by["demo-marshals"], by["demo-civil"]), (149, 10, 7));
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for missing in &report.lost {
        *states.entry(&missing.release_state).or_default() += 1;
    }
    let expect = [("CLOSED", 9), ("ESCAPED", 1), ("EXPECTED", 61), ("RELEASED", 86), ("TRANSFERRED", 9)];
    assert_eq!(states, BTreeMap::from(expect));
}

#[test]
fn a_day_replayed_six_hundred_times_as_fast_says_the_same() {
    let begin = jiff::civil::date(2026, 3, 17).at(0, 0, 0, 0);
    let fast = judged(|at| {
        let since = at.duration_since(begin).as_millis() / 600;
        begin.checked_add(SignedDuration::from_millis(i64::try_from(since).unwrap())).unwrap()
    });
    let slow = judged(|at| at);
    assert_eq!(fast.notices_by_subscriber, slow.notices_by_subscriber);
    assert_eq!((fast.reasons, fast.events), (slow.reasons, slow.events));
}
