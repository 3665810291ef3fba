//! What the jails of the bench state: invented custodies, every one with one charge and a release in the past, so that
//! each becomes one event. The same every time.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

const HEADER: &str = "booking_id,booking_dt,bail_posted_dt,release_dt,booking_charge_desc,charge_release_dt,\
                      jurisdiction_cd,release_disposition_desc,type,seriousness,felony,misdemeanor,imm_hold,\
                      release_to_imm,cancel_detainer";

/// Invented charges, of lengths as they occur.
const CHARGES: [&str; 4] = [
    "Feeding swans by night",
    "Unlicensed weather forecast, second degree",
    "Whistling in a reading room, repeated, with an instrument",
    "Kite over a bridge",
];
/// Texts that the shipped mapping knows.
const DISPOSITIONS: [&str; 5] = ["Bail Bond", "PR", "Time Served", "Cash Bail", "Quashed"];

/// Writes an export of this many custodies for the shipped mapping.
pub fn write_export(file: &Path, jail: &str, custodies: u64) -> Result<()> {
    let mut text = format!("{HEADER}\n");
    for number in 0..custodies {
        let (day, hour, minute) = (1 + number % 28, number / 28 % 20, number % 60);
        let (charge, disposition) = (pick(&CHARGES, number), pick(&DISPOSITIONS, number));
        writeln!(
            text,
            "{jail}-{number:06},2025-01-{day:02} {hour:02}:{minute:02}:00,,2025-02-{day:02} {hour:02}:{minute:02}:00,\
             \"{charge}\",2025-02-{day:02} {hour:02}:{minute:02}:00,ZZC,{disposition},order,1.0,0,1,0,0,0"
        )
        .context("write a row")?;
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// The `number`th event as a caller states it.
pub fn event(number: u64) -> Value {
    json!({
        "key": format!("bench-{number}"),
        "booking_number": format!("PACED-{number:06}"),
        "release_state": "RELEASED",
        "reason": "BOND_POSTED",
        "certainty": "CONFIRMED",
        "trigger_at": "2025-02-03T04:05:06Z",
        "entered_at": "2025-02-03T04:15:06Z",
        "released_at": "2025-02-03T05:05:06Z",
        "fields": { "booked": "2025-02-01T01:02:03Z" },
        "charges": [{
            "description": pick(&CHARGES, number),
            "offence_level": "order",
            "court": "ZZC",
            "ended": "2025-02-03T04:05:06Z",
            "disposition": "Bail Bond",
        }],
    })
}

fn pick<'t>(texts: &[&'t str], number: u64) -> &'t str {
    texts[(number % texts.len() as u64) as usize]
}
