//! What was counted so far, by everybody in the process.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use hdrhistogram::Histogram;
use sallyport_bench::percentiles::{Percentiles, histogram};

/// The counters in force: every scenario has its own.
pub(crate) type Shared = Arc<ArcSwap<Tally>>;

/// Counters of one scenario.
pub(crate) struct Tally {
    /// Events that the broker stored.
    pub(crate) published: AtomicU64,
    /// Events that the relay's signed Acceptance named.
    pub(crate) accepted: AtomicU64,
    /// Refusals of any kind.
    pub(crate) refused: AtomicU64,
    /// Notices that are due.
    pub(crate) due: AtomicU64,
    /// Notices that came for the first time.
    pub(crate) received: AtomicU64,
    /// The same notice and attempt again: absorbed, never handed over twice.
    pub(crate) copies: AtomicU64,
    /// Messages that an agency could not believe or read.
    pub(crate) bad: AtomicU64,
    accept_us: Mutex<Histogram<u64>>,
    deliver_us: Mutex<Histogram<u64>>,
    /// The longest time in which no agency received anything although something was due, microseconds.
    longest_stall_us: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            published: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            due: AtomicU64::new(0),
            received: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            accept_us: Mutex::new(histogram()),
            deliver_us: Mutex::new(histogram()),
            longest_stall_us: AtomicU64::new(0),
        }
    }

    pub(crate) fn accepted_after(&self, time: Duration) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        record(&self.accept_us, time);
    }

    pub(crate) fn received_after(&self, time: Duration) {
        self.received.fetch_add(1, Ordering::Relaxed);
        record(&self.deliver_us, time);
    }

    /// Nothing came for this long while something was due.
    pub(crate) fn stalled(&self, time: Duration) {
        self.longest_stall_us.fetch_max(micros(time), Ordering::Relaxed);
    }

    /// Events accepted and notices received, of how many.
    pub(crate) fn progress(&self) -> [u64; 4] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [of(&self.accepted), of(&self.published), of(&self.received), of(&self.due)]
    }

    pub(crate) fn accept_ms(&self) -> Percentiles {
        Percentiles::from(&*self.accept_us.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn deliver_ms(&self) -> Percentiles {
        Percentiles::from(&*self.deliver_us.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn longest_stall_s(&self) -> f64 {
        self.longest_stall_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}

fn record(histogram: &Mutex<Histogram<u64>>, time: Duration) {
    histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros(time));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
