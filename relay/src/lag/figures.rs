//! Percentiles of what was measured, and nothing where nothing was.

use jiff::SignedDuration;
use sallyport_relay_core::latency::{Interval, percentile};
use serde::Serialize;

/// Latencies of one stage, in milliseconds. May be negative: then two clocks disagree by at least so much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half are at most this.
    pub p50_ms: f64,
    /// 95 of 100 are at most this.
    pub p95_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// How many were negative between two clocks.
    pub skewed: u64,
    /// The largest disagreement of two clocks.
    pub skew_max_ms: Option<f64>,
}

/// Lead times in seconds. Negative: the notice came after the door.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lead {
    /// How many are known.
    pub count: u64,
    /// Half are at most this.
    pub p50_s: f64,
    /// The shortest.
    pub min_s: f64,
    /// How many came after the door.
    pub negative: u64,
}

impl Latency {
    /// None without a measurement.
    pub(super) fn of(intervals: &[Interval]) -> Option<Self> {
        let mut values: Vec<f64> = intervals.iter().map(|interval| millis(interval.value)).collect();
        values.sort_by(f64::total_cmp);
        let skews = intervals.iter().filter_map(|interval| interval.skew);
        Some(Self {
            count: values.len() as u64,
            p50_ms: percentile(&values, 0.5)?,
            p95_ms: percentile(&values, 0.95)?,
            p99_ms: percentile(&values, 0.99)?,
            skewed: skews.clone().count() as u64,
            skew_max_ms: skews.max().map(millis),
        })
    }
}

impl Lead {
    /// None without one.
    pub(super) fn of(leads: &[SignedDuration]) -> Option<Self> {
        let mut sorted = leads.to_vec();
        sorted.sort();
        Some(Self {
            count: sorted.len() as u64,
            p50_s: percentile(&sorted, 0.5)?.as_secs_f64(),
            min_s: sorted.first()?.as_secs_f64(),
            negative: sorted.iter().filter(|lead| lead.is_negative()).count() as u64,
        })
    }
}

fn millis(span: SignedDuration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
