//! The invented day's times: minutes since its local midnight, and when the people and the export jobs of the two jails
//! act. The day has no clock change.

use anyhow::Context as _;
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::chance::Chance;

/// How the county's columns write a time.
pub(crate) const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";
/// The last minute at which an export of the day may run.
pub(crate) const LAST_EXPORT_MIN: i64 = 23 * 60 + 58;
/// An export job runs every so many minutes.
const EXPORT_EVERY_MIN: i64 = 2;

/// Releases by hour of the day: few in the night, most in the afternoon and evening.
const DOORS_BY_HOUR: [u32; 24] = [2, 1, 1, 0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 10, 9, 8, 7, 5, 2];
/// One door time in three is typed as the full hour.
const FULL_HOUR_PERCENT: u32 = 33;

/// From bond posted to the door, by hundredths of the custodies: a tenth under 25 minutes, half under 70, a tenth over
/// four hours, as one county's records have it.
const GAP_QUANTILES_MIN: [(i64, i64); 5] = [(0, 9), (10, 25), (50, 70), (90, 240), (100, 420)];

/// A minute of the day, and seconds, as the columns write it. Days before and after it are minutes below and above.
pub(crate) fn written(minute: i64, second: i64) -> anyhow::Result<String> {
    Ok(at(minute, second)?.strftime(TIME_FORMAT).to_string())
}

fn at(minute: i64, second: i64) -> anyhow::Result<DateTime> {
    let midnight = date(2026, 3, 17).at(0, 0, 0, 0);
    let since = SignedDuration::from_secs(minute * 60 + second);
    midnight.checked_add(since).context("a time outside the calendar")
}

/// The minute and second of the first export that can hold what was typed at this minute. The two jails' jobs run apart.
pub(crate) fn export_after(minute: i64, facility: usize) -> (i64, i64) {
    let next = minute - minute.rem_euclid(EXPORT_EVERY_MIN) + EXPORT_EVERY_MIN;
    if facility == 0 { (next, 20) } else { (next + 1, 40) }
}

/// The minute somebody walks out.
pub(crate) fn door(chance: &mut Chance) -> i64 {
    let mut left = chance.below(DOORS_BY_HOUR.iter().sum());
    let mut hour = 0;
    for (at, weight) in (0..).zip(DOORS_BY_HOUR) {
        hour = at;
        if left < weight {
            break;
        }
        left -= weight;
    }
    let minute = if chance.percent(FULL_HOUR_PERCENT) { 0 } else { chance.minutes(1, 59) };
    hour * 60 + minute
}

/// `count` gaps that follow the quantiles exactly, in no order.
pub(crate) fn gaps(count: usize, chance: &mut Chance) -> Vec<i64> {
    let total = i64::try_from(count).unwrap_or(i64::MAX);
    // Halfway into the i-th of `count` equal slices, in units of 1 / (2 count).
    let mut gaps: Vec<i64> = (0..total).map(|slice| quantile(2 * slice + 1, 2 * total)).collect();
    chance.shuffle(&mut gaps);
    gaps
}

fn quantile(share: i64, of: i64) -> i64 {
    for pair in GAP_QUANTILES_MIN.windows(2) {
        if let [(low, from), (high, to)] = pair
            && share * 100 < high * of
        {
            return from + (to - from) * (share * 100 - low * of) / ((high - low) * of);
        }
    }
    GAP_QUANTILES_MIN[GAP_QUANTILES_MIN.len() - 1].1
}
