//! What one subscriber sees of a custody beside the head: exactly the fields of its permission, compared and never kept
//! or shown. Out of scope: whether it may see them at all (`allow`).

use std::collections::BTreeMap;

use crate::export::{Custody, Row};
use crate::mapping::Mapping;
use crate::moment::Moment;
use crate::reading::Reading;

/// Field name -> its values, sorted: charges are a multiset, and the order of rows is no news.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Part(BTreeMap<String, Vec<String>>);

/// Between the cells of one charge; no cell of a CSV of text holds it.
const UNIT_SEPARATOR: &str = "\u{1f}";

impl Part {
    pub(crate) fn of(
        fields: &[String],
        booking_number: &str,
        custody: &Custody,
        release: &Reading,
        mapping: &Mapping,
    ) -> Self {
        let rows = custody.rows.iter();
        let values = |field: &String| match field.as_str() {
            "booking_number" => vec![booking_number.to_owned()],
            "disposition_texts" => {
                rows.clone().filter_map(|row| tellable_text(row, mapping)).map(str::to_owned).collect()
            }
            "charges" => rows.clone().map(|row| charge(row, mapping)).collect(),
            "booked" => rows.clone().filter_map(|row| row.booked).min().map(instant).into_iter().collect(),
            "health" if release.health => vec![release.reason.clone()],
            name => {
                let told = rows.clone().filter_map(|row| row.fields.get(name));
                let mut told: Vec<_> = told.filter(|value| !value.is_empty()).cloned().collect();
                told.sort();
                told.dedup();
                told
            }
        };
        let sorted = |field: &String| {
            let mut values = values(field);
            values.sort();
            (field.clone(), values)
        };
        Self(fields.iter().map(sorted).collect())
    }
}

/// The jail's own text of a row; one that speaks of health never leaves the jail.
fn tellable_text<'a>(row: &'a Row, mapping: &Mapping) -> Option<&'a str> {
    let text = row.disposition.as_str();
    (!text.is_empty() && !mapping.disposition(text).health).then_some(text)
}

fn charge(row: &Row, mapping: &Mapping) -> String {
    let text = tellable_text(row, mapping).unwrap_or_default();
    let ended = row.ended.map(instant).unwrap_or_default();
    [&row.description, &row.code, &row.offence_level, &row.court, &ended, text].join(UNIT_SEPARATOR)
}

fn instant(moment: Moment) -> String {
    format!("{}~{}", moment.at, moment.uncertainty_s)
}
