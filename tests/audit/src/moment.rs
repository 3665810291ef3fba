//! A jail's local time to an instant. Out of scope: which column a time stands in (`mapping`, `export`).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A local time in a repeated hour may be either of two instants, an hour apart.
const REPEATED_HOUR_UNCERTAINTY_S: u32 = 3600;

/// An instant and by how much its source can be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) uncertainty_s: u32,
}

/// Reads a local time by the first format that fits. `Err` says why there is no such instant.
pub(crate) fn read(text: &str, formats: &[String], zone: &TimeZone) -> Result<Moment, &'static str> {
    let local = formats
        .iter()
        .find_map(|format| DateTime::strptime(format, text).ok())
        .ok_or("no such time in any of the time formats")?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let uncertainty_s = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => 0,
        AmbiguousOffset::Fold { .. } => REPEATED_HOUR_UNCERTAINTY_S,
        AmbiguousOffset::Gap { .. } => return Err("the clocks skipped this local time"),
    };
    let at = ambiguous.earlier().map_err(|_| "outside the years that can be represented")?;
    Ok(Moment { at, uncertainty_s })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&str, u32), &'static str>) {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let formats = ["%Y-%m-%d %H:%M:%S".to_owned(), "%d-%b-%y %H:%M".to_owned()];
        let got = read(text, &formats, &zone).map(|m| (m.at.to_string(), m.uncertainty_s));
        assert_eq!(got, expect.map(|(at, u)| (at.to_owned(), u)));
    }

    #[test]
    fn formats_are_tried_in_order() {
        check("2026-03-17 14:00:00", Ok(("2026-03-17T21:00:00Z", 0)));
        check("28-Jan-18 23:05", Ok(("2018-01-29T07:05:00Z", 0)));
    }

    #[test]
    fn a_repeated_hour_is_the_earlier_one_and_an_hour_uncertain() {
        check("2026-11-01 01:30:00", Ok(("2026-11-01T08:30:00Z", 3600)));
    }

    #[test]
    fn a_skipped_hour_and_an_impossible_date_are_refused() {
        check("2026-03-08 02:30:00", Err("the clocks skipped this local time"));
        check("2026-02-30 12:00:00", Err("no such time in any of the time formats"));
    }
}
