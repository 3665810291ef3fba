//! The synthetic day read back: the exports of both jails in their order, each as the agent would find it, and the same
//! at another time. Out of scope: waiting for the moment of an export (the demo does).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::civil::DateTime;
use sallyport_ground::COUNTY_COLUMNS;

use super::clock::TIME_FORMAT;

/// What the file says beside the county's columns: whose export, which row set of the custody, and when it is written.
pub(crate) const EXPORT_COLUMNS: [&str; 3] = ["facility", "export_step", "export_at"];

/// Those of them that hold a local time.
const TIME_COLUMNS: [&str; 4] = ["booking_dt", "bail_posted_dt", "release_dt", "charge_release_dt"];

/// Rebased times may fall between seconds: a compressed day has many exports in one.
const REBASED_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";

/// One export that one jail writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The jail's ORI.
    pub(crate) facility: String,
    /// Local time at which the jail writes it.
    pub(crate) export_at: DateTime,
    /// The county's columns.
    pub(crate) header: Vec<String>,
    /// Its charge rows, of one custody or several.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Step {
    /// The file that the jail writes.
    pub(crate) fn to_csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.header)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().context("the export could not be finished")
    }
}

/// The exports of the day in the order in which they are written.
pub(crate) fn day(csv: &Path) -> anyhow::Result<Vec<Step>> {
    let bytes = std::fs::read(csv).with_context(|| format!("cannot read {}", csv.display()))?;
    steps(&bytes).with_context(|| format!("{} is no synthetic day", csv.display()))
}

fn steps(bytes: &[u8]) -> anyhow::Result<Vec<Step>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let found: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let own: Vec<&str> = EXPORT_COLUMNS.iter().chain(&COUNTY_COLUMNS).copied().collect();
    ensure!(found == own, "its columns are not {}", own.join(", "));
    let mut exports: BTreeMap<(DateTime, String), Vec<Vec<String>>> = BTreeMap::new();
    for record in reader.records() {
        let record = record?;
        let mut cells = record.iter().map(str::to_owned);
        let facility = cells.next().unwrap_or_default();
        let export_at = cells.nth(1).unwrap_or_default();
        let export_at = DateTime::strptime(TIME_FORMAT, &export_at)
            .with_context(|| format!("no export time: {export_at:?}"))?;
        exports.entry((export_at, facility)).or_default().push(cells.collect());
    }
    let header: Vec<String> = COUNTY_COLUMNS.map(str::to_owned).to_vec();
    let step = |((export_at, facility), rows)| Step { facility, export_at, header: header.clone(), rows };
    Ok(exports.into_iter().map(step).collect())
}

/// The same export at another time: every time in it, and its own, goes through `moved`, which keeps their order.
pub(crate) fn rebase(step: &Step, moved: impl Fn(DateTime) -> DateTime) -> anyhow::Result<Step> {
    let times: Vec<bool> = step.header.iter().map(|name| TIME_COLUMNS.contains(&name.as_str())).collect();
    let mut rebased = Step { export_at: moved(step.export_at), ..step.clone() };
    for row in &mut rebased.rows {
        for (cell, _) in row.iter_mut().zip(&times).filter(|(cell, is_time)| **is_time && !cell.is_empty()) {
            let at = DateTime::strptime(TIME_FORMAT, &*cell).with_context(|| format!("no time: {cell:?}"))?;
            *cell = moved(at).strftime(REBASED_FORMAT).to_string();
        }
    }
    Ok(rebased)
}
