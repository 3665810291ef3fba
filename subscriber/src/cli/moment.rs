//! How people give times on the command line: RFC 3339, or so long from now.

use jiff::{SignedDuration, Timestamp};

/// Reads `2026-11-21T22:15:00Z`, `2026-11-21T15:15:00-07:00`, `+45m` or `+1h30m`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(duration) = text.strip_prefix('+') {
        let duration: SignedDuration =
            duration.parse().map_err(|_| format!("{text}: not a duration such as +45m or +1h30m"))?;
        return now.checked_add(duration).map_err(|_| format!("{text}: too far away"));
    }
    text.parse().map_err(|_| {
        format!("{text}: not a time with its offset, such as 2026-11-21T15:15:00-07:00, nor a duration such as +45m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        let now = "2026-11-21T22:00:00Z".parse().unwrap();
        let expect = expect.map(|time| time.parse().unwrap());
        assert_eq!(parse(text, now).ok(), expect, "{text}");
    }

    #[test]
    fn a_time_is_read_with_its_offset_or_as_a_duration_from_now() {
        check("2026-11-21T15:15:00-07:00", Some("2026-11-21T22:15:00Z"));
        check("2026-11-21T22:15:00Z", Some("2026-11-21T22:15:00Z"));
        check("+45m", Some("2026-11-21T22:45:00Z"));
        check("+1h30m", Some("2026-11-21T23:30:00Z"));
    }

    #[test]
    fn a_time_that_leaves_its_zone_open_is_refused() {
        check("2026-11-21T15:15:00", None);
        check("00:15", None);
        check("45m", None);
    }
}
