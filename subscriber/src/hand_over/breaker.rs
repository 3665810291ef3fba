//! Whether the sink is tried at all. An agency's application that is down is left alone, and asked with one notice after
//! a pause that grows; what waits meanwhile stays stored and receipted, and no notice uses up its tries for it.
//!
//! Pure: the stage (`super`) tells what happened and when. One notice that the application never takes opens nothing: that
//! is the notice's fault, and its tries end it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Failures in a row that say that the sink is down: fewer may be a restart of the application.
pub(super) const FAILURES: u32 = 5;
/// Of so many different notices: more than one of them can hardly be poison at once.
const NOTICES: usize = 3;
/// Before the first probe; doubled for every further one.
const PAUSE: Duration = Duration::from_secs(5);
/// The application is back for at most this long before notices flow again.
const PAUSE_MAX: Duration = Duration::from_secs(120);

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The hand-over of this notice.
    Notice(i64),
    /// The sink itself, whatever it is given.
    Sink,
}

/// What may be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Whatever is due.
    All,
    /// One notice, to see whether the sink is back.
    One,
    /// Nothing, for so long.
    NothingFor(Duration),
}

/// It opened, or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The sink is down.
    Opened,
    /// It took something.
    Closed,
}

/// Closed while the sink works.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    notices: BTreeSet<i64>,
    whole: bool,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    pause: Duration,
}

impl Breaker {
    /// What may be handed over.
    pub(super) fn allowed(&self, now: Instant) -> Allowed {
        match self.open {
            None => Allowed::All,
            Some(open) if now >= open.until => Allowed::One,
            Some(open) => Allowed::NothingFor(open.until - now),
        }
    }

    /// The sink took something.
    pub(super) fn handle_success(&mut self) -> Option<Change> {
        let was_open = self.open.is_some();
        *self = Self::default();
        was_open.then_some(Change::Closed)
    }

    /// It did not.
    pub(super) fn handle_failure(&mut self, failed: Failed, now: Instant) -> Option<Change> {
        if let Some(open) = &mut self.open {
            open.pause = (open.pause * 2).min(PAUSE_MAX);
            open.until = now + open.pause;
            return None;
        }
        self.failures += 1;
        match failed {
            Failed::Sink => self.whole = true,
            // More of them would say nothing new.
            Failed::Notice(seq) if self.notices.len() < NOTICES => drop(self.notices.insert(seq)),
            Failed::Notice(_) => {}
        }
        if self.failures < FAILURES || !(self.whole || self.notices.len() >= NOTICES) {
            return None;
        }
        self.open = Some(Open { until: now + PAUSE, pause: PAUSE });
        Some(Change::Opened)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn failing(breaker: &mut Breaker, notices: &[i64], now: Instant) -> Vec<Option<Change>> {
        notices.iter().map(|seq| breaker.handle_failure(Failed::Notice(*seq), now)).collect()
    }

    #[test]
    fn it_opens_when_different_notices_fail_in_a_row() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let changes = failing(&mut breaker, &[1, 2, 3, 1, 2], now);
        assert_eq!(changes, [None, None, None, None, Some(Change::Opened)]);
        assert_eq!(breaker.allowed(now), Allowed::NothingFor(PAUSE));
        assert_eq!(breaker.allowed(now + PAUSE), Allowed::One);
    }

    #[test]
    fn one_poison_notice_never_opens_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(failing(&mut breaker, &[7; 1_000], now).iter().all(Option::is_none));
        assert_eq!(breaker.allowed(now), Allowed::All);
    }

    #[test]
    fn a_success_between_failures_says_that_the_sink_works() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            assert!(failing(&mut breaker, &[1, 2, 3, 4], now).iter().all(Option::is_none));
            assert_eq!(breaker.handle_success(), None);
        }
    }

    #[test]
    fn a_sink_that_fails_as_a_whole_needs_no_second_notice() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let changes: Vec<_> = (0..FAILURES).map(|_| breaker.handle_failure(Failed::Sink, now)).collect();
        assert_eq!(changes.last(), Some(&Some(Change::Opened)));
    }

    #[test]
    fn pauses_between_probes_grow_to_their_limit_and_the_first_success_closes_it() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        failing(&mut breaker, &[1, 2, 3, 4, 5], now);
        let mut pauses = Vec::new();
        for seq in 0..7 {
            let Allowed::NothingFor(pause) = breaker.allowed(now) else { panic!("it is open") };
            pauses.push(pause.as_secs());
            now += pause;
            assert_eq!(breaker.handle_failure(Failed::Notice(seq), now), None);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(breaker.handle_success(), Some(Change::Closed));
        assert_eq!(breaker.allowed(now), Allowed::All);
    }

    proptest! {
        #[test]
        fn it_is_never_shut_for_longer_than_its_limit_and_always_asks_again(
            steps in prop::collection::vec((any::<bool>(), 0..4i64, 0..200u64), 0..200),
        ) {
            let (mut breaker, mut now) = (Breaker::default(), Instant::now());
            for (takes, seq, wait_s) in steps {
                now += Duration::from_secs(wait_s);
                match breaker.allowed(now) {
                    Allowed::NothingFor(pause) => prop_assert!(pause <= PAUSE_MAX && !pause.is_zero()),
                    Allowed::All | Allowed::One if takes => {
                        breaker.handle_success();
                        prop_assert_eq!(breaker.allowed(now), Allowed::All);
                    }
                    Allowed::All | Allowed::One => drop(breaker.handle_failure(Failed::Notice(seq), now)),
                }
            }
        }
    }
}
