//! Points of time: UTC, with the clock that stated them and what that clock can mean. Unknown is absent, never zero.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{field::FieldError, vocabulary::SourceClock, wire};

/// One point of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// UTC.
    pub at: Timestamp,
    /// Who stated it.
    pub clock: SourceClock,
    /// Half-width of what the source can mean, in seconds.
    pub uncertainty_s: u32,
}

impl Moment {
    /// A time that its clock states exactly.
    pub fn exact(at: Timestamp, clock: SourceClock) -> Self {
        Self { at, clock, uncertainty_s: 0 }
    }

    /// `self - earlier`. May be negative, and is never clamped: two clocks can disagree.
    pub fn since(&self, earlier: &Moment) -> SignedDuration {
        self.at.duration_since(earlier.at)
    }
}

/// A window in which something is expected. At least one end is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Not before.
    pub earliest: Option<Moment>,
    /// Not after.
    pub latest: Option<Moment>,
}

impl From<Moment> for wire::Moment {
    fn from(moment: Moment) -> Self {
        Self {
            value: Some(timestamp_to_wire(moment.at)),
            source_clock: wire::SourceClock::from(moment.clock) as i32,
            uncertainty_s: moment.uncertainty_s,
        }
    }
}

/// A checked optional moment: absent stays absent, a malformed one is an error.
pub(crate) fn optional(
    field: &'static str,
    moment: Option<wire::Moment>,
) -> Result<Option<Moment>, FieldError> {
    moment.map(|moment| checked(field, moment)).transpose()
}

/// A moment that must be there.
pub(crate) fn required(field: &'static str, moment: Option<wire::Moment>) -> Result<Moment, FieldError> {
    checked(field, moment.ok_or(FieldError::missing(field))?)
}

/// A window; one without ends is no window.
pub(crate) fn window(
    field: &'static str,
    window: Option<wire::Window>,
) -> Result<Option<Window>, FieldError> {
    let Some(window) = window else { return Ok(None) };
    let window =
        Window { earliest: optional(field, window.earliest)?, latest: optional(field, window.latest)? };
    Ok((window.earliest.is_some() || window.latest.is_some()).then_some(window))
}

/// The wire form of a window.
pub(crate) fn window_to_wire(window: Window) -> wire::Window {
    wire::Window { earliest: window.earliest.map(Into::into), latest: window.latest.map(Into::into) }
}

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z: what `google.protobuf.Timestamp` may hold, and its JSON can say.
const WIRE_SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A bare protobuf timestamp.
pub(crate) fn timestamp(field: &'static str, value: prost_types::Timestamp) -> Result<Timestamp, FieldError> {
    if !(0..1_000_000_000).contains(&value.nanos) || !WIRE_SECONDS.contains(&value.seconds) {
        return Err(FieldError::malformed(field, "a protobuf timestamp"));
    }
    Timestamp::new(value.seconds, value.nanos)
        .map_err(|_| FieldError::malformed(field, "a time between the years 1 and 9999"))
}

/// The wire form of a bare timestamp.
pub(crate) fn timestamp_to_wire(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    // protobuf counts nanoseconds forward from the second; jiff's carry the sign of the whole.
    let (seconds, nanos) = if nanos < 0 { (seconds - 1, nanos + 1_000_000_000) } else { (seconds, nanos) };
    prost_types::Timestamp { seconds, nanos }
}

fn checked(field: &'static str, moment: wire::Moment) -> Result<Moment, FieldError> {
    let at = timestamp(field, moment.value.ok_or(FieldError::missing(field))?)?;
    let clock = SourceClock::from_wire(field, moment.source_clock)?;
    Ok(Moment { at, clock, uncertainty_s: moment.uncertainty_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_wire_also_before_1970() {
        for text in ["2026-11-21T22:11:59.123456789Z", "1969-12-31T23:59:59.25Z", "1970-01-01T00:00:00Z"] {
            let moment = Moment::exact(text.parse().unwrap(), SourceClock::Agent);
            assert_eq!(required("m", Some(moment.into())).unwrap(), moment, "{text}");
        }
    }

    #[test]
    fn nanoseconds_out_of_range_and_unknown_clocks_are_refused() {
        let good: wire::Moment = Moment::exact(Timestamp::UNIX_EPOCH, SourceClock::Relay).into();
        let mut bad = good;
        bad.value = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
        assert!(required("m", Some(bad)).is_err());
        let mut bad = good;
        bad.source_clock = 99;
        assert!(required("m", Some(bad)).is_err());
    }

    #[test]
    fn a_time_that_its_json_could_not_say_is_refused() {
        for (seconds, accepted) in [
            (*WIRE_SECONDS.start(), true),
            (WIRE_SECONDS.start() - 1, false),
            (WIRE_SECONDS.end() + 1, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            let value = prost_types::Timestamp { seconds, nanos: 0 };
            assert_eq!(timestamp("m", value).is_ok(), accepted, "{seconds}");
        }
    }

    #[test]
    fn a_difference_of_two_clocks_may_be_negative() {
        let late = Moment::exact("2026-01-01T00:00:01Z".parse().unwrap(), SourceClock::Broker);
        let early = Moment::exact("2026-01-01T00:00:03Z".parse().unwrap(), SourceClock::Agent);
        assert_eq!(late.since(&early), SignedDuration::from_secs(-2));
    }
}
