//! Time zone and time formats. A format is tried on a known time, so that a wrong one is found before an export is read.

use jiff::{
    civil::{DateTime, datetime},
    fmt::strtime,
    tz::{TimeZone, TimeZoneDatabase},
};
use sallyport_proto::problem::Problems;
use toml::Spanned;

use super::Text;

/// A time with a different value in every place, in the afternoon.
const SAMPLE: DateTime = datetime(2001, 12, 23, 16, 57, 48, 0);

pub(super) fn zone(text: &Text, p: &mut Problems<'_>) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(text.get_ref()).ok();
    if zone.is_none() {
        p.add("input.time_zone", Some(text.span()), format!("no time zone {:?} is known", text.get_ref()));
    }
    zone
}

pub(super) fn formats(raw: &Spanned<Vec<Text>>, p: &mut Problems<'_>) -> Option<Vec<String>> {
    const KEY: &str = "input.time_formats";
    if raw.get_ref().is_empty() {
        p.add(KEY, Some(raw.span()), "at least one format is needed");
        return None;
    }
    let mut formats = Vec::new();
    for text in raw.get_ref() {
        match tried(text.get_ref()) {
            Ok(()) => formats.push(text.get_ref().clone()),
            Err(problem) => p.add(KEY, Some(text.span()), problem),
        }
    }
    (formats.len() == raw.get_ref().len()).then_some(formats)
}

fn tried(format: &str) -> Result<(), String> {
    let sample = SAMPLE.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    let written = strtime::format(format, &sample).map_err(|error| format!("no strftime format: {error}"))?;
    let read = strtime::parse(format, &written)
        .and_then(|parsed| parsed.to_datetime())
        .map_err(|error| format!("what it writes cannot be read again: {error}"))?;
    if read.date() != SAMPLE.date() {
        return Err("does not name a day".to_owned());
    }
    let (hour, minute) = (SAMPLE.time().hour(), SAMPLE.time().minute());
    match (read.time().hour(), read.time().minute()) {
        // A day without a time: accepted, with the day as its uncertainty.
        (0, 0) => Ok(()),
        (h, m) if h == hour && (m == minute || m == 0) => Ok(()),
        _ => Err("does not tell morning from afternoon".to_owned()),
    }
}
