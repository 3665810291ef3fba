//! A caller's event: the JSON form that the loopback interface and JSON lines on standard input share.
//!
//! ```json
//! {"key": "the caller's own, for idempotency", "booking_number": "B-17", "release_state": "RELEASED",
//!  "reason": "BOND_POSTED", "certainty": "CONFIRMED", "trigger_at": "2026-11-21T20:14:00-07:00",
//!  "entered_at": "...", "released_at": "...", "expected": {"earliest": "...", "latest": "..."},
//!  "transferred_to": "zz0020000", "uncertainty_s": 0, "health": false, "flags": ["imm_hold"], "floor": "sealed",
//!  "fields": {"booked": "...", "person_name": "...", "release_text": "...", "any_detail": "..."},
//!  "charges": [{"description": "...", "code": "...", "offence_level": "...", "court": "...", "ended": "...",
//!               "disposition": "..."}]}
//! ```
//! Only `key`, `booking_number` and `release_state` must be there. Each event states its custody whole, as a reading of
//! an export does: what it leaves out is not known. Times are RFC 3339 with an offset.

mod checks;
mod form;

use jiff::Timestamp;
use sallyport_proto::{problem::Problem, time::Moment, vocabulary::SourceClock};

use crate::custody::Custody;

/// What heads carry as the version of the mapping: the caller mapped the record itself.
pub const FORM_VERSION: &str = "caller-event/1";

/// A caller's event that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerEvent {
    /// The caller's idempotency key: the same key twice is the same event.
    pub key: String,
    custody: Custody,
}

impl CallerEvent {
    /// The custody that it states, observed at this time (t2).
    pub fn into_custody(self, observed: Timestamp) -> Custody {
        Custody { observed: Moment::exact(observed, SourceClock::Agent), as_of: observed, ..self.custody }
    }
}

/// Reads one event from JSON text; every problem is listed. No problem repeats a value: it may be person data.
pub fn parse(text: &str) -> Result<CallerEvent, Vec<Problem>> {
    let value = serde_json::from_str(text).map_err(|error: serde_json::Error| {
        let text = format!("not JSON: column {}", error.column());
        vec![Problem { key: "event".into(), line: Some(error.line()), text }]
    })?;
    parse_value(&value)
}

/// The same from a value, one of many in a request.
pub fn parse_value(value: &serde_json::Value) -> Result<CallerEvent, Vec<Problem>> {
    form::event(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
