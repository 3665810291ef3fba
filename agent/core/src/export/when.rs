//! Local times of an export to points of time. A time in the hour that the clocks skip does not exist; one in the hour
//! that they repeat is taken as the earlier, an hour uncertain.

use jiff::{fmt::strtime, tz::AmbiguousOffset};
use sallyport_proto::{time::Moment, vocabulary::SourceClock};

use crate::mapping::Input;

/// Either of the two readings of a repeated hour.
const REPEATED_HOUR_UNCERTAINTY_S: u32 = 3_600;
/// A day without a time can mean any time of it.
const DAY_UNCERTAINTY_S: u32 = 86_400;

/// A cell that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TimeError {
    #[error("in none of the mapping's time formats")]
    NoFormat,
    #[error("an impossible date or time")]
    Impossible,
    #[error("a local time in the hour that the clocks skipped")]
    Skipped,
}

/// A time, and whether it was read as the earlier of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) moment: Moment,
    pub(super) repeated: bool,
}

/// Reads a trimmed cell by the first format that fits.
pub(super) fn read(text: &str, input: &Input) -> Result<Read, TimeError> {
    let mut error = TimeError::NoFormat;
    for format in &input.time_formats {
        let Ok(parsed) = strtime::parse(format, text) else { continue };
        if parsed.offset().is_some() {
            let Ok(at) = parsed.to_timestamp() else {
                error = TimeError::Impossible;
                continue;
            };
            return Ok(Read { moment: Moment::exact(at, SourceClock::JailRecord), repeated: false });
        }
        let Ok(local) = parsed.to_datetime() else {
            error = TimeError::Impossible;
            continue;
        };
        let day = if parsed.hour().is_none() { DAY_UNCERTAINTY_S } else { 0 };
        let ambiguous = input.time_zone.to_ambiguous_timestamp(local);
        let repeated = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => false,
            AmbiguousOffset::Fold { .. } => true,
            AmbiguousOffset::Gap { .. } => return Err(TimeError::Skipped),
        };
        let at = ambiguous.earlier().map_err(|_| TimeError::Impossible)?;
        let uncertainty_s = if repeated { day.max(REPEATED_HOUR_UNCERTAINTY_S) } else { day };
        return Ok(Read { moment: Moment { at, clock: SourceClock::JailRecord, uncertainty_s }, repeated });
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mapping::Encoding;
    use jiff::tz::TimeZoneDatabase;

    fn check(text: &str, expect: Result<(&str, u32), TimeError>) {
        let formats = ["%Y-%m-%d %H:%M:%S", "%d-%b-%y %I.%M.%S%.f %p", "%Y-%m-%dT%H:%M:%S%:z", "%m/%d/%Y"];
        let input = Input {
            delimiter: b',',
            encoding: Encoding::Utf8,
            time_zone: TimeZoneDatabase::bundled().get("America/Los_Angeles").unwrap(),
            time_formats: formats.map(str::to_owned).to_vec(),
            as_of: None,
        };
        let read = read(text, &input).map(|read| (read.moment.at.to_string(), read.moment.uncertainty_s));
        assert_eq!(read, expect.map(|(at, uncertainty_s)| (at.to_owned(), uncertainty_s)), "{text}");
    }

    #[test]
    fn formats_are_tried_in_order_and_times_are_local() {
        check("2026-03-17 14:00:00", Ok(("2026-03-17T21:00:00Z", 0)));
        check("28-JAN-18 11.05.44.000000 PM", Ok(("2018-01-29T07:05:44Z", 0)));
        check("2026-03-17T14:00:00-04:00", Ok(("2026-03-17T18:00:00Z", 0)));
    }

    #[test]
    fn a_day_without_a_time_is_a_day_uncertain() {
        check("03/17/2026", Ok(("2026-03-17T07:00:00Z", 86_400)));
    }

    #[test]
    fn a_repeated_hour_is_the_earlier_one_and_an_hour_uncertain() {
        check("2026-11-01 01:30:00", Ok(("2026-11-01T08:30:00Z", 3_600)));
    }

    #[test]
    fn a_time_that_never_was_is_refused_with_its_reason() {
        check("2026-03-08 02:30:00", Err(TimeError::Skipped));
        check("2026-02-30 12:00:00", Err(TimeError::Impossible));
        check("soon", Err(TimeError::NoFormat));
    }
}
