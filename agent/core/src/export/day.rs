//! The shipped synthetic day, export by export, from rows to drafts. Its figures were counted by hand from its stories,
//! and an audit that shares no code with this crate finds the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use sallyport_proto::vocabulary::ReleaseState;

use super::*;
use crate::{
    custody::FloorKind,
    sample::{self, ALLOW, COUNTY, Jail, at},
};

const DAY: &str = include_str!("../../../../deploy/examples/synthetic-day.csv");

/// The day's exports in order: facility, the time each speaks of, its file.
fn exports() -> Vec<(String, Timestamp, Vec<u8>)> {
    let zone = sample::mapping(COUNTY).input.time_zone;
    let mut reader = csv::Reader::from_reader(DAY.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (facility, exported) = (column("facility"), column("export_at"));
    let mut steps: BTreeMap<(DateTime, String), Vec<csv::StringRecord>> = BTreeMap::new();
    for row in reader.records() {
        let row = row.unwrap();
        let when = DateTime::strptime("%Y-%m-%d %H:%M:%S", &row[exported]).unwrap();
        steps.entry((when, row[facility].to_owned())).or_default().push(row);
    }
    let file = |rows: Vec<csv::StringRecord>| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&header).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        writer.into_inner().unwrap()
    };
    let stated = |when| zone.to_timestamp(when).unwrap();
    steps.into_iter().map(|((when, facility), rows)| (facility, stated(when), file(rows))).collect()
}

#[test]
fn the_synthetic_day_gives_the_events_that_its_stories_tell() {
    let mapping = sample::mapping(COUNTY);
    let mut jails: BTreeMap<(String, String), Jail> = BTreeMap::new();
    let mut floored = BTreeSet::new();
    let mut disclosures: BTreeMap<ReleaseState, usize> = BTreeMap::new();
    let (mut events, mut refused) = (0, 0);
    for (facility, as_of, file) in exports() {
        let reading = read_export(&mapping, &file, as_of, at("2026-11-21T12:00:00Z")).unwrap();
        refused += reading.refused.len() + reading.unmapped_texts.len();
        for custody in &reading.custodies {
            let key = (facility.clone(), custody.booking_number.expose().clone());
            if custody.floor == Some(FloorKind::Juvenile) {
                floored.insert(key.clone());
            }
            for draft in jails.entry(key).or_insert_with(|| Jail::new(ALLOW)).read(custody) {
                events += 1;
                *disclosures.entry(draft.facts.state).or_default() += draft.recipients.len();
            }
        }
    }
    let withheld = jails.values().filter(|jail| jail.memory.is_empty()).count();
    assert_eq!((jails.len(), withheld, floored.len(), refused), (120, 22, 1, 0));
    assert_eq!(events, 175);
    // 166 of these 180 disclosures match a subscription of the demo's registry; the relay says which.
    assert_eq!(disclosures.values().sum::<usize>(), 180, "{disclosures:?}");
}
