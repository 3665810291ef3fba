//! Shows the list of notices, and one of them whole, to a person or as JSON.

use comfy_table::{Table, presets};
use sallyport_link::{exit, publish::chain};
use sallyport_proto::registry::Registry;
use serde_json::{Value, json};

use super::Failure;
use crate::{
    hand_over::Shape,
    store::{Detail, StatusRow},
};

/// The list: a table, or one JSON object per line.
pub(crate) fn list(rows: &[StatusRow], json: bool) -> String {
    if json {
        let lines: Vec<String> =
            rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default()).collect();
        return lines.join("\n");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["received", "notice", "rev", "release", "reason", "status", "last word", ""]);
    for row in rows {
        table.add_row([
            row.t6.strftime("%F %TZ").to_string(),
            row.notice_id.clone(),
            row.revision.to_string(),
            row.release_state.clone(),
            row.reason.clone(),
            serde_json::to_value(row.status)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default(),
            row.last_word.clone().unwrap_or_default(),
            marks(row),
        ]);
    }
    table.to_string()
}

/// What must not be overlooked: that it is not real, or not the newest.
fn marks(row: &StatusRow) -> String {
    let mut marks = Vec::new();
    if row.traffic != "ACTUAL" {
        marks.push(row.traffic.as_str());
    }
    if row.given_up {
        marks.push("NOT HANDED OVER");
    }
    if row.superseded {
        marks.push("superseded");
    }
    marks.join(", ")
}

/// One notice with everything.
pub(crate) fn detail(detail: &Detail, registry: &Registry, json: bool) -> Result<String, Failure> {
    let shape = Shape::of(&detail.bytes, detail.row.superseded, false, registry)
        .map_err(|error| Failure::new(exit::DATA, chain(&error)))?;
    let mut whole = serde_json::to_value(&shape).unwrap_or_default();
    if let Some(fields) = whole.as_object_mut() {
        // A property of a hand-over, which this is not.
        fields.shift_remove("redelivered");
        fields.insert("status".into(), json!(detail.row.status));
        fields.insert("t6_received".into(), json!(detail.row.t6));
        fields.insert("said".into(), json!(detail.receipts));
    }
    if json {
        return Ok(whole.to_string());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    rows(&mut table, "", &whole);
    Ok(table.to_string())
}

/// Every value with its path, one per line: nothing is left out, nothing is interpreted.
fn rows(table: &mut Table, path: &str, value: &Value) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| rows(table, &below(name), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| rows(table, &below(&n.to_string()), value));
        }
        Value::Null => {}
        Value::String(text) => drop(table.add_row([path, text])),
        Value::Bool(_) | Value::Number(_) => drop(table.add_row([path, &value.to_string()])),
    }
}
