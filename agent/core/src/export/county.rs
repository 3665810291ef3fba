//! The whole way from a real county's export to drafts, in counts only. Runs where that file lies beside the checkout.

use std::{collections::BTreeMap, path::Path};

use sallyport_proto::vocabulary::{ReleaseReason, ReleaseState};

use super::*;
use crate::{
    custody::FloorKind,
    revise::Draft,
    sample::{self, ALLOW, COUNTY, Jail},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/county_jail_releases.csv");

/// The export, or none with a word about it.
fn export() -> Option<String> {
    if !Path::new(FILE).exists() {
        eprintln!("SKIPPED: the real county export is not beside this checkout; its counts were not checked");
        return None;
    }
    Some(std::fs::read_to_string(FILE).unwrap())
}

fn read(mapping: &str, export: &[u8]) -> Reading {
    let now = sample::at("2026-11-21T12:00:00Z");
    read_export(&sample::mapping(mapping), export, now, now).unwrap()
}

/// The jail's memory of every custody.
#[derive(Default)]
struct County {
    jails: BTreeMap<String, Jail>,
    withheld: usize,
    by_floor: usize,
}

impl County {
    fn ingest(&mut self, reading: &Reading) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for custody in &reading.custodies {
            let number = custody.booking_number.expose().clone();
            let jail = self.jails.entry(number).or_insert_with(|| Jail::new(ALLOW));
            drafts.extend(jail.read(custody));
            self.withheld += usize::from(jail.memory.is_empty());
            self.by_floor += usize::from(custody.floor == Some(FloorKind::Juvenile));
        }
        drafts
    }
}

#[test]
fn the_county_export_gives_the_counts_that_its_description_states() {
    let Some(export) = export() else { return };
    let reading = read(COUNTY, export.as_bytes());
    assert_eq!((reading.rows, reading.custodies.len(), reading.refused.len()), (3_662, 2_694, 0));
    assert_eq!((reading.disagreeing, reading.unmapped_texts.len()), (407, 0));

    let facts = reading.custodies.iter().map(|custody| custody.release.as_ref().unwrap());
    let mut reasons: BTreeMap<ReleaseReason, u32> = BTreeMap::new();
    let mut states: BTreeMap<ReleaseState, u32> = BTreeMap::new();
    for fact in facts {
        *reasons.entry(fact.reason).or_default() += 1;
        *states.entry(fact.state).or_default() += 1;
    }
    let expected = [
        (ReleaseReason::BondPosted, 483),
        (ReleaseReason::TimeServed, 421),
        (ReleaseReason::OwnRecognizance, 410),
        (ReleaseReason::NoChargesFiled, 380),
        (ReleaseReason::TransferAgency, 234),
        (ReleaseReason::TransferPrison, 234),
        (ReleaseReason::CourtOrder, 187),
        (ReleaseReason::ChargesDismissed, 181),
        (ReleaseReason::Unknown, 117),
        (ReleaseReason::SentenceSuspended, 34),
        (ReleaseReason::Acquitted, 5),
        (ReleaseReason::Escape, 4),
        (ReleaseReason::TransferHospital, 4),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    let expected =
        [(ReleaseState::Released, 2_218), (ReleaseState::Transferred, 472), (ReleaseState::Escaped, 4)];
    assert_eq!(states, BTreeMap::from(expected));
    // One booking lies in a repeated hour; each of its rows says so.
    assert!(
        !reading.warnings.is_empty()
            && reading.warnings.iter().all(|w| w.column.as_deref() == Some("booking_dt"))
    );

    let mut county = County::default();
    let drafts = county.ingest(&reading);
    assert_eq!((drafts.len(), county.withheld, county.by_floor), (1_803, 891, 4));
    let told = |id: &str| {
        let id = sample::subscriber(id);
        drafts
            .iter()
            .filter(|draft| draft.recipients.iter().any(|recipient| recipient.subscriber == id))
            .count()
    };
    assert_eq!(told("demo-civil"), 27);
}

#[test]
fn the_county_export_read_again_in_any_shape_gives_nothing() {
    let Some(export) = export() else { return };
    let mut county = County::default();
    assert_eq!(county.ingest(&read(COUNTY, export.as_bytes())).len(), 1_803);
    assert_eq!(county.ingest(&read(COUNTY, export.as_bytes())).len(), 0);

    let mut reader = csv::Reader::from_reader(export.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Columns backwards, and rows in an order that scatters every custody.
    writer.write_record(header.iter().rev()).unwrap();
    const STRIDE: usize = 1_009;
    for n in 0..rows.len() {
        writer.write_record(rows[n * STRIDE % rows.len()].iter().rev()).unwrap();
    }
    let mut shuffled = b"\xef\xbb\xbf".to_vec();
    shuffled.extend(writer.into_inner().unwrap());
    let reading = read(COUNTY, &shuffled);
    assert_eq!((reading.rows, reading.custodies.len()), (3_662, 2_694));
    assert_eq!(county.ingest(&reading).len(), 0);
}

#[test]
fn one_changed_disposition_in_the_county_export_gives_one_second_revision() {
    let Some(export) = export() else { return };
    let mut county = County::default();
    county.ingest(&read(COUNTY, export.as_bytes()));
    // The first row that released somebody on bail by bond now says cash.
    let changed = export.replacen(",Bail Bond,", ",Cash Bail,", 1);
    assert_ne!(changed, export);
    let drafts = county.ingest(&read(COUNTY, changed.as_bytes()));
    assert_eq!(drafts.iter().map(|draft| draft.revision).collect::<Vec<_>>(), [2]);
}

#[test]
fn texts_taken_out_of_the_table_are_listed_and_published_as_unknown() {
    let Some(export) = export() else { return };
    let without = COUNTY.replace("texts = [\"PDC\", ", "texts = [").replace("\"PR\", \"SIP\", ", "\"PR\", ");
    let reading = read(&without, export.as_bytes());
    let expected = [("PDC".to_owned(), 117), ("SIP".to_owned(), 89)];
    assert_eq!(reading.unmapped_texts, BTreeMap::from(expected));
    let unknown = |custody: &&Custody| {
        custody.part.release_text.as_ref().is_some_and(|text| text.expose() == "SIP")
            && custody.release.as_ref().unwrap().reason == ReleaseReason::Unknown
    };
    assert!(reading.custodies.iter().filter(unknown).count() > 0);
}
