//! A real county's export with the demo's allow-list and registry, when the file is at hand: counts only.

use super::*;

/// The file, or a word that it is absent: it is never part of this repository.
fn county_file() -> Option<PathBuf> {
    let path = repository().join("../shared/data/county_jail_releases.csv");
    if !path.exists() {
        say_skipped(&path);
        return None;
    }
    Some(path)
}

#[allow(clippy::print_stderr)]
fn say_skipped(path: &Path) {
    eprintln!("SKIPPED: no county file at {}", path.display());
}

fn backfill(path: PathBuf) -> Scene {
    let mut scene = Scene::new();
    scene.facility().backfill = true;
    scene.facility().exports.push(Export::from(path));
    scene
}

#[test]
fn the_county_file_gives_the_published_counts() {
    let Some(path) = county_file() else { return };
    let report = backfill(path).report();
    assert_eq!((report.custodies, report.withheld, report.withheld_by_floor), (2694, 891, 4));
    assert_eq!((report.events, report.events_addressed, report.refused), (1803, 1382, 0));
    let by = |subscriber: &str| report.notices_by_subscriber[subscriber];
    assert_eq!((by(SUPERVISION), by(MARSHALS), by(CIVIL)), (892, 475, 27));
    assert_eq!((report.notices, report.allowed_not_subscribed), (1394, 421));
    assert_eq!((report.disagreeing, report.unmapped_texts.len(), report.repeated_hours > 0), (407, 0, true));
    let reasons = [
        ("BOND_POSTED", 483),
        ("TIME_SERVED", 421),
        ("OWN_RECOGNIZANCE", 410),
        ("NO_CHARGES_FILED", 380),
        ("TRANSFER_AGENCY", 234),
        ("TRANSFER_PRISON", 234),
        ("COURT_ORDER", 187),
        ("CHARGES_DISMISSED", 181),
        ("UNKNOWN", 117),
        ("SENTENCE_SUSPENDED", 34),
        ("ACQUITTED", 5),
        ("ESCAPE", 4),
        ("TRANSFER_HOSPITAL", 4),
    ];
    let reasons = reasons.map(|(reason, custodies)| (reason.to_owned(), custodies));
    assert_eq!(report.reasons, BTreeMap::from(reasons));
}

#[test]
fn two_texts_taken_out_of_the_mapping_are_the_unmapped_ones() {
    let Some(path) = county_file() else { return };
    let mut scene = backfill(path);
    let mapping = fs::read_to_string(shipped_mapping()).unwrap();
    let fewer = mapping.replace("\"PR\", \"SIP\",", "\"PR\",").replace("\"PDC\", ", "");
    let file = scene.dir.path().join("fewer.toml");
    fs::write(&file, fewer).unwrap();
    scene.facility().mapping = file;
    let report = scene.report();
    assert_eq!(report.unmapped_texts, BTreeMap::from([("PDC".to_owned(), 117), ("SIP".to_owned(), 89)]));
}

#[test]
fn the_county_file_shuffled_and_read_again_adds_nothing() {
    let Some(path) = county_file() else { return };
    let text = fs::read_to_string(&path).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let turned: Vec<_> = rows.lines().rev().collect();
    let mut scene = backfill(path);
    let again = scene.dir.path().join("again.csv");
    fs::write(&again, format!("\u{feff}{header}\n{}\n", turned.join("\n"))).unwrap();
    scene.facility().exports.push(Export::from(again));
    assert_eq!((scene.report().events, scene.report().custodies), (1803, 2694));
}
