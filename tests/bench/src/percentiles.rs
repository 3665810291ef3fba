//! Latencies: how they are kept and what is said of them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency that is kept apart from longer ones: two minutes. Anything near it is a fault, not a figure.
const LONGEST_US: u64 = 120_000_000;
/// Three digits: finer than the machine repeats.
const DIGITS: u8 = 3;

/// An empty histogram of microseconds.
#[allow(clippy::expect_used, reason = "the bounds are constants that a test makes a histogram of")]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("constant bounds")
}

/// Half of all, and all but one in a hundred, are at most so long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
}

impl From<&Histogram<u64>> for Percentiles {
    fn from(us: &Histogram<u64>) -> Self {
        let ms = |quantile| us.value_at_quantile(quantile) as f64 / 1_000.0;
        Self { p50: ms(0.50), p99: ms(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_half_and_all_but_one_in_a_hundred_waited_at_most() {
        let mut us = histogram();
        (1..=1_000).for_each(|ms| us.saturating_record(ms * 1_000));
        let is = Percentiles::from(&us);
        assert!((is.p50 - 500.0).abs() < 1.0 && (is.p99 - 990.0).abs() < 1.0, "{is:?}");
    }
}
