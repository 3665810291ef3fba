//! Custodies to charge rows, and rows to the file: per custody the row sets in the order in which the jail exports them.

use anyhow::Context as _;
use sallyport_ground::COUNTY_COLUMNS;

use super::cast::{Correction, Custody};
use super::chance::Chance;
use super::clock::{export_after, written};
use super::exports::EXPORT_COLUMNS;

/// The two jails.
const ORIS: [&str; 2] = ["zz0010000", "zz0020000"];
/// Their superior and municipal courts.
const COURTS: [[&str; 2]; 2] = [["NGS", "NGM"], ["SGS", "SGM"]];
/// The mark by which the county mapping knows the floor.
const JUVENILE_COURT: &str = "JUV";
/// Row sets of a custody, by what the jail knew.
const AT_BAIL: u32 = 1;
const AT_DOOR: u32 = 2;
const CORRECTED: u32 = 3;

/// Invented charges with their kind, seriousness and whether they are felonies.
const CHARGES: [(&str, &str, u32, bool); 12] = [
    ("Taking garden tools without leave", "property", 2, false),
    ("Keeping a borrowed cart too long", "property", 4, true),
    ("Crossing a closed yard", "order", 1, false),
    ("Drumming after hours, repeated", "order", 1, false),
    ("Damage to a painted fence", "property", 2, false),
    ("Not answering an invented summons", "order", 2, false),
    ("Carrying an unlabelled jar", "substance", 3, true),
    ("Argument with pushing", "person", 3, false),
    ("A made-up name given to an officer", "order", 2, false),
    ("Driving a cart without lamps", "traffic", 1, false),
    ("Emptying a tank into a brook", "order", 4, true),
    ("Unpaid fares, third time", "property", 1, false),
];
/// Texts of a lesser charge beside the deciding one. Both rank behind every reason of the cast that goes with them, so
/// that a day replayed fast, where times fall together, still has the same reasons.
const LESSER_TEXTS: [&str; 2] = ["NCF Final", "NCF, Pending Inv"];
/// Texts that may not have lesser company: they rank last themselves.
const ALONE: [&str; 2] = ["PDC", "NCF Final"];

/// One charge of a custody.
struct Charge {
    description: &'static str,
    kind: &'static str,
    seriousness: u32,
    felony: bool,
    court: &'static str,
    ended: i64,
    text: &'static str,
}

/// One row of the file, with what it is ordered by.
struct Line {
    exported: (i64, i64),
    facility: usize,
    cells: Vec<String>,
}

/// Writes the whole file.
pub(crate) fn write(custodies: &[Custody], chance: &mut Chance) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for custody in custodies {
        tell(custody, chance, &mut lines)?;
    }
    // Rows of several custodies in one export stand in no order; exports follow each other.
    chance.shuffle(&mut lines);
    lines.sort_by_key(|line| (line.exported, line.facility));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(EXPORT_COLUMNS.iter().chain(&COUNTY_COLUMNS))?;
    for line in lines {
        writer.write_record(line.cells)?;
    }
    writer.into_inner().context("the file could not be finished")
}

/// All row sets of one custody.
fn tell(custody: &Custody, chance: &mut Chance, lines: &mut Vec<Line>) -> anyhow::Result<()> {
    let mut charges = charges(custody, chance)?;
    let mut door = custody.door;
    if let Some(bailed) = custody.bailed.filter(|_| !custody.story.late) {
        set(custody, AT_BAIL, bailed, None, &charges, lines)?;
    }
    set(custody, AT_DOOR, custody.door_typed, Some(door), &charges, lines)?;
    let Some(at) = custody.corrected else { return Ok(()) };
    match custody.story.correction {
        Correction::None => {}
        Correction::Disposition(text) => {
            for charge in charges.iter_mut().filter(|charge| charge.text == custody.story.text) {
                charge.text = text;
            }
        }
        // Later or earlier by twenty minutes or half an hour, never before the bail.
        Correction::Door => door += if chance.percent(50) { 30 } else { 20 },
        Correction::Charge => {
            let first = charges.first().context("a custody without a charge")?;
            charges.push(Charge { ..*first });
        }
    }
    set(custody, CORRECTED, at, Some(door), &charges, lines)
}

fn charges(custody: &Custody, chance: &mut Chance) -> anyhow::Result<Vec<Charge>> {
    let story = custody.story;
    let rows = match chance.below(100) {
        0..70 => 1,
        70..90 => 2,
        90..98 => 3,
        _ => 4,
    };
    let mut charges = Vec::new();
    for row in 0..rows {
        let (description, kind, seriousness, felony) = *chance.pick(&CHARGES).context("no charges")?;
        let decides = row == 0 || ALONE.contains(&story.text) || chance.percent(60);
        let text = if decides { story.text } else { chance.pick(&LESSER_TEXTS).context("no texts")? };
        // A charge ends within three hours before the door, or, often, on paper weeks after it; a lesser one before.
        let ended = match (decides, chance.percent(40)) {
            (true, true) => custody.door + chance.minutes(24 * 60, 30 * 24 * 60),
            (true, false) => custody.door - chance.minutes(0, 170),
            (false, _) => custody.door - chance.minutes(4 * 60, 3 * 24 * 60),
        };
        let juvenile = story.juvenile && row == 0;
        let court = if juvenile { JUVENILE_COURT } else { COURTS[custody.facility][usize::from(!felony)] };
        charges.push(Charge { description, kind, seriousness, felony, court, ended, text });
    }
    Ok(charges)
}

/// One row set. Before the door the jail knows no end and no disposition.
fn set(
    custody: &Custody,
    step: u32,
    typed: i64,
    door: Option<i64>,
    charges: &[Charge],
    lines: &mut Vec<Line>,
) -> anyhow::Result<()> {
    let exported = export_after(typed, custody.facility);
    let optional = |minute: Option<i64>| minute.map_or_else(|| Ok(String::new()), |m| written(m, 0));
    let flag = |set: bool| u8::from(set).to_string();
    for charge in charges {
        let export = [ORIS[custody.facility].to_owned(), step.to_string(), written(exported.0, exported.1)?];
        let county = [
            custody.booking_number.clone(),
            written(custody.booked, 0)?,
            optional(custody.bailed)?,
            optional(door)?,
            charge.description.to_owned(),
            optional(door.map(|_| charge.ended))?,
            charge.court.to_owned(),
            door.map_or("", |_| charge.text).to_owned(),
            charge.kind.to_owned(),
            format!("{}.0", charge.seriousness),
            flag(charge.felony),
            flag(!charge.felony),
            flag(custody.story.hold),
            flag(false),
            flag(false),
        ];
        let cells = export.into_iter().chain(county).collect();
        lines.push(Line { exported, facility: custody.facility, cells });
    }
    Ok(())
}
