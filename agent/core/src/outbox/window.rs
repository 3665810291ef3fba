//! Which rows of the outbox go to the broker next, and how many may be there without an answer (docs/adr/0009).
//!
//! INGEST is one queue for all jails. Whatever a jail puts into it stands before everybody's next event, its own too; so
//! what stands there of one jail is bounded, a backlog waits in the jail's outbox instead, and what is stated now goes
//! before it. When a row is due again is the row's own affair (`Row`); reading and sending are the agent's shell.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// What bounds the sending of one jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events at the broker without an answer of the relay.
    pub unanswered: usize,
    /// Of them kept free of any backlog, for what is stated now.
    pub for_live: usize,
    /// A backlog always has so many: nothing starves, however much is stated, and however slow the answers are.
    pub for_backlog: usize,
    /// Events without a PubAck.
    pub in_flight: usize,
    /// Of them kept for what is stated now, and as many for everything else: neither keeps the other from the link.
    pub in_flight_for_each: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Half a second of a relay's work (about 2,000 events a second): the longest that one jail delays another.
            unanswered: 1_024,
            // The busiest jails release 100 people a day: no hour comes near it.
            for_live: 256,
            // Two pulls of a relay, one in work and one that waits: less would leave it idle between two answers.
            for_backlog: 128,
            // Fills the link over a slow line, and is little to hold in memory.
            in_flight: 256,
            in_flight_for_each: 32,
        }
    }
}

/// A backlog's share grows while the relay answers within this time and shrinks while it does not: it is then the queue
/// that has grown. Enough for a relay to be busy all the time, little enough for a person not to see it.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// What was stored in the last minute and was not sent is late by no outage: it goes first.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Of so many events of a backlog one is of a backfill, while both wait.
const BACKFILL_EVERY: usize = 4;
/// Events of one intake that count as stated now. More come only with a first export, a replay or an outage of the jail
/// system: the rest of them is a backlog from the start, and a caller's event does not wait behind it.
pub const LIVE_PER_INTAKE_MAX: usize = 128;

/// How a row came into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Stated by a caller, or among the first of an export.
    Live,
    /// Came with many others.
    Bulk,
    /// A replay of past records.
    Backfill,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Bulk, Self::Backfill];

    /// The lane of an intake's `number`th event, from 0.
    pub fn of(number: usize, backfill: bool) -> Self {
        match number {
            _ if backfill => Self::Backfill,
            0..LIVE_PER_INTAKE_MAX => Self::Live,
            _ => Self::Bulk,
        }
    }

    /// As it is stored.
    pub fn number(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Bulk => 1,
            Self::Backfill => 2,
        }
    }
}

/// Whether a row of [`Lane::Live`] counts as stated now. Not one of a clock that was ahead and was set right since.
pub fn is_fresh(stored: Timestamp, now: Timestamp) -> bool {
    now.duration_since(stored).abs() <= FRESH_FOR
}

/// What may be sent. No row of it is in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Never sent and stated now: the newest first.
    pub fresh: Vec<i64>,
    /// Sent before and due again, the oldest first.
    pub again: Vec<i64>,
    /// Never sent, neither fresh nor a backfill: the oldest first.
    pub backlog: Vec<i64>,
    /// Never sent, of a backfill: the oldest first.
    pub backfill: Vec<i64>,
}

/// What was sent and has no answer, in flight or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// Sent as live.
    pub live: usize,
    /// Sent otherwise.
    pub backlog: usize,
    /// Of both: due to be sent again, so that nothing of them may be at the broker any more.
    pub due: usize,
    /// Sent as live and without a PubAck.
    pub in_flight_live: usize,
    /// Everything else without a PubAck.
    pub in_flight_rest: usize,
}

/// Why a row was chosen: the share it counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Stated now, or what must go before it.
    Live,
    /// It was sent before, and stays in the share it has.
    Again,
    /// What waited.
    Backlog,
}

/// Chooses, and remembers how many of a backlog the relay answers in time.
#[derive(Debug, Clone)]
pub struct Window {
    limits: Limits,
    /// Unanswered events that a backlog may have now.
    backlog_max: usize,
    /// The backlog had more to send than that.
    held_back: bool,
    answered: usize,
    fastest: Duration,
    turn: usize,
}

impl Window {
    /// Nothing is known of the relay yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            backlog_max: limits.for_backlog,
            held_back: false,
            answered: 0,
            fastest: Duration::MAX,
            turn: 0,
        }
    }

    /// Unanswered events that a backlog may have now.
    pub fn backlog_max(&self) -> usize {
        self.backlog_max
    }

    /// A new connection: maybe another relay, and everybody else comes back as well.
    pub fn handle_connected(&mut self) {
        *self = Self { turn: self.turn, ..Self::new(self.limits) };
    }

    /// An event of a backlog was answered so long after it was sent for the first time. The fastest of a round speaks: a
    /// queue delays all of them, a busy moment only some.
    pub fn handle_answered(&mut self, after: Duration) {
        self.answered += 1;
        self.fastest = self.fastest.min(after);
        if self.answered < self.backlog_max {
            return;
        }
        let (least, most) = (self.limits.for_backlog, self.limits.unanswered - self.limits.for_live);
        if self.fastest > ANSWER_WITHIN {
            self.backlog_max = (self.backlog_max * 3 / 4).max(least);
        } else if self.held_back {
            self.backlog_max = (self.backlog_max * 5 / 4 + 1).min(most);
        }
        (self.answered, self.fastest, self.held_back) = (0, Duration::MAX, false);
    }

    /// What goes next, in this order. `earlier` gives the rows of a row's custody that were never sent, are not in flight
    /// and were stored before it, the oldest first: none is ever overtaken by a later one.
    pub fn choose<E>(
        &mut self,
        offer: &Offer,
        unanswered: Unanswered,
        mut earlier: impl FnMut(i64) -> Result<Vec<i64>, E>,
    ) -> Result<Vec<(i64, Share)>, E> {
        let limits = self.limits;
        let mut round = Round {
            in_flight: limits.in_flight,
            in_flight_each: limits.in_flight - limits.in_flight_for_each,
            in_flight_live: unanswered.in_flight_live,
            in_flight_rest: unanswered.in_flight_rest,
            total: unanswered.live + unanswered.backlog,
            live: unanswered.live,
            backlog: unanswered.backlog,
            at_broker: (unanswered.live + unanswered.backlog).saturating_sub(unanswered.due),
            chosen: Vec::new(),
            taken: BTreeSet::new(),
        };
        for n in &offer.fresh {
            let chain = earlier(*n)?;
            if !round.take(chain, *n, Share::Live, |round| round.has_room_for_live(&limits)) {
                break;
            }
        }
        // The newest have the room; those that have it go in their order.
        round.chosen.sort_unstable_by_key(|(n, _)| *n);
        for n in &offer.again {
            if !round.take(Vec::new(), *n, Share::Again, |round| round.at_broker < limits.unanswered) {
                break;
            }
        }
        let backlog_max = self.backlog_max;
        let (mut backlog, mut backfill) = (offer.backlog.iter().peekable(), offer.backfill.iter().peekable());
        loop {
            let next = match (backlog.peek().is_some(), backfill.peek().is_some()) {
                (true, true) if self.turn == 0 => backfill.next(),
                (true, _) => backlog.next(),
                (false, _) => backfill.next(),
            };
            let Some(n) = next else { break };
            let has_room = |round: &Round| round.backlog < backlog_max && round.total < limits.unanswered;
            let chain = earlier(*n)?;
            if !round.take(chain, *n, Share::Backlog, has_room) {
                self.held_back |= round.backlog >= backlog_max;
                break;
            }
            self.turn = (self.turn + 1) % BACKFILL_EVERY;
        }
        Ok(round.chosen)
    }
}

/// One choice, as far as it is made.
struct Round {
    in_flight: usize,
    in_flight_each: usize,
    in_flight_live: usize,
    in_flight_rest: usize,
    total: usize,
    live: usize,
    backlog: usize,
    at_broker: usize,
    chosen: Vec<(i64, Share)>,
    taken: BTreeSet<i64>,
}

impl Round {
    /// Rows that were sent before this program started count as a backlog, whatever they were: what is stated now has its
    /// share beside them.
    fn has_room_for_live(&self, limits: &Limits) -> bool {
        self.live < limits.for_live
            || (self.total < limits.unanswered && self.live < limits.unanswered - limits.for_backlog)
    }

    /// Takes a row and what must go before it, as far as there is room; false: there is none.
    fn take(&mut self, chain: Vec<i64>, n: i64, share: Share, has_room: impl Fn(&Self) -> bool) -> bool {
        for n in chain.into_iter().chain([n]) {
            if self.taken.contains(&n) {
                continue;
            }
            if !has_room(self) {
                return false;
            }
            let full = self.in_flight_live + self.in_flight_rest >= self.in_flight;
            let mine = if share == Share::Live { &mut self.in_flight_live } else { &mut self.in_flight_rest };
            if full || *mine >= self.in_flight_each {
                return false;
            }
            *mine += 1;
            self.at_broker += 1;
            match share {
                Share::Live => (self.live, self.total) = (self.live + 1, self.total + 1),
                Share::Backlog => (self.backlog, self.total) = (self.backlog + 1, self.total + 1),
                Share::Again => {}
            }
            self.taken.insert(n);
            self.chosen.push((n, share));
        }
        true
    }
}

#[cfg(test)]
mod tests;
