//! When something that is missing is overdue, and when a jail may be asked for it (docs/adr/0006). Times are those of one
//! node's clock, which may have been wrong and set right since: a time that is still to come was given by such a clock, and
//! nothing waits for it.
//!
//! Out of scope: what is missing, and whether another node has asked (the relay's `mend`).

use jiff::{SignedDuration, Timestamp};

/// Since when one numbering of a facility misses something, and when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    since: Timestamp,
    asked: Option<Timestamp>,
}

impl Missed {
    /// Missed since now.
    pub fn new(now: Timestamp) -> Self {
        Self { since: now, asked: None }
    }

    /// Whether it is missed for so long that it cannot be on its way.
    pub fn is_overdue(&mut self, now: Timestamp, grace: SignedDuration) -> bool {
        self.since = self.since.min(now);
        now.duration_since(self.since) >= grace
    }

    /// Whether it was not asked for, or so long ago that it may be asked for again.
    pub fn may_ask(&self, now: Timestamp, again: SignedDuration) -> bool {
        let asked = self.asked.filter(|asked| *asked <= now);
        asked.is_none_or(|asked| now.duration_since(asked) >= again)
    }

    /// It was asked for, by whichever node.
    pub fn handle_asked(&mut self, at: Timestamp) {
        self.asked = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: SignedDuration = SignedDuration::from_secs(120);
    const AGAIN: SignedDuration = SignedDuration::from_secs(600);
    const DAYS: i64 = 5 * 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(DAYS + second)
    }

    #[test]
    fn what_is_missed_for_the_grace_time_is_overdue_and_asked_for_once_in_a_while() {
        let mut missed = Missed::new(at(0));
        assert!(!missed.is_overdue(at(119), GRACE));
        assert!(missed.is_overdue(at(120), GRACE) && missed.may_ask(at(120), AGAIN));
        missed.handle_asked(at(120));
        assert!(!missed.may_ask(at(719), AGAIN));
        assert!(missed.may_ask(at(720), AGAIN));
    }

    #[test]
    fn a_clock_that_was_days_ahead_keeps_nothing_from_being_asked_for_when_it_is_right_again() {
        let mut missed = Missed::new(at(DAYS));
        assert!(!missed.is_overdue(at(0), GRACE), "missed since now, as far as anybody knows");
        assert!(missed.is_overdue(at(120), GRACE));
        missed.handle_asked(at(DAYS));
        assert!(missed.may_ask(at(120), AGAIN));
    }
}
