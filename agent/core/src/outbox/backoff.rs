//! How long an unanswered event waits before it is sent again.

use std::time::Duration;

use jiff::SignedDuration;

/// The first wait: longer than a leader change of the broker (up to 9 s), so that such a change costs no second copy.
pub const RESEND_AFTER: Duration = Duration::from_secs(10);
/// The longest wait: an operator who mends a relay sees the backlog move within this time.
pub const RESEND_AFTER_MAX: Duration = Duration::from_secs(600);
/// Jitter adds at most this share of the wait, so that a jail's backlog does not come back all at once.
const JITTER_SHARE: f64 = 0.5;

/// The wait after attempt `attempt` (from 1): doubles from [`RESEND_AFTER`], spread upwards by `jitter` (0 to 1), never
/// above [`RESEND_AFTER_MAX`].
pub fn delay(attempt: u32, jitter: f64) -> SignedDuration {
    let ceiling = RESEND_AFTER_MAX.as_secs_f64() / (1.0 + JITTER_SHARE);
    let doublings = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let base = (RESEND_AFTER.as_secs_f64() * 2f64.powi(doublings)).min(ceiling);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    let wait = Duration::from_secs_f64(base * (1.0 + JITTER_SHARE * jitter)).min(RESEND_AFTER_MAX);
    SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attempt: u32, jitter: f64, expect_s: i64) {
        assert_eq!(delay(attempt, jitter).as_secs(), expect_s, "attempt {attempt}, jitter {jitter}");
    }

    #[test]
    fn the_wait_doubles_from_ten_seconds_to_ten_minutes() {
        check(1, 0.0, 10);
        check(1, 1.0, 15);
        check(2, 0.0, 20);
        check(5, 0.0, 160);
        check(7, 1.0, 600);
        check(u32::MAX, 0.0, 400);
    }

    #[test]
    fn a_jitter_out_of_range_gives_no_wait_out_of_range() {
        for jitter in [-1.0, 2.0, f64::NAN, f64::INFINITY] {
            let wait = delay(3, jitter).as_secs();
            assert!((10..=600).contains(&wait), "{jitter}: {wait}");
        }
    }
}
