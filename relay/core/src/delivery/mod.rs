//! How far one notice got: exactly one delivery status at a time, and what each receipt did to it.
//!
//! A delivery is replayed from facts in their canonical order (attempts as DELIVER has them, then receipts as RECEIPTS
//! has them), so that it never depends on which stream was read first. A receipt that does not belong is classified and
//! kept; it is never credited to another notice, and a late one rewrites nothing.
//! Out of scope: who decides that a delivery is given up (CONTROL), and alarms.

mod credit;
mod status;
#[cfg(test)]
mod tests;

use sallyport_proto::{
    envelope::Digest,
    notice::Deadlines,
    time::Moment,
    vocabulary::{EndpointRefusalCode, ReceiptLevel, ReleaseState, ResponseKind, Severity},
};

pub use credit::{Credit, Mismatch};
pub use status::{Illegal, Move, Status};

/// One attempt of a notice, as DELIVER has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 0 for the first.
    pub number: u32,
    /// SHA-256 of the jail's message it carried.
    pub digest: Digest,
    /// Its own deadlines.
    pub deadlines: Deadlines,
}

/// What one receipt says about one notice, as RECEIPTS has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The attempt it names.
    pub attempt: u32,
    /// The digest it names.
    pub digest: Digest,
    /// What it states.
    pub what: What,
    /// Whether a newer revision of the custody was there already.
    pub superseded: bool,
    /// When the broker had it: deadlines are judged by this clock, which is nobody's own.
    pub stored: Moment,
    /// t6, when it states one.
    pub t6_received: Option<Moment>,
    /// t7, when it states one.
    pub t7_seen: Option<Moment>,
    /// t8, when it states one.
    pub t8_answered: Option<Moment>,
}

/// What a receipt states, without free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// RECEIVED, STAGED or SEEN.
    Level(ReceiptLevel),
    /// A response; `at` is the ETA or the time of WILL_ANSWER_BY.
    Response {
        /// Which.
        kind: ResponseKind,
        /// ETA of WILL_TAKE_CUSTODY, or the time of WILL_ANSWER_BY.
        at: Option<Moment>,
    },
    /// The endpoint could not take it.
    Refusal {
        /// Why.
        code: EndpointRefusalCode,
        /// Only a FAILURE ends the delivery.
        severity: Severity,
    },
}

/// What happened to a notice besides its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A receipt names it.
    Said(Said),
    /// A later revision of the custody was received by the same subscriber.
    LaterReceived,
    /// An outcome of the custody closed it.
    Outcome,
    /// The ladder of attempts ended without a confirmation.
    LadderEnded,
    /// A recorded decision gave it up.
    DeadLettered,
}

/// The life of one notice.
#[derive(Debug, Clone, Eq)]
pub struct Delivery {
    status: Status,
    withdraws: bool,
    attempts: Vec<Attempt>,
    credited: Credited,
    trail: Vec<(Status, Move)>,
}

/// How it got there is no part of where it stands.
impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        let stands = |d: &Self| (d.status, d.withdraws);
        stands(self) == stands(other) && self.attempts == other.attempts && self.credited == other.credited
    }
}

/// What credited receipts established; the first RECEIVED and SEEN count, and the last response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credited {
    /// The broker had the first credited receipt.
    pub first_stored: Option<Moment>,
    /// As the first receipt that states it.
    pub t6_received: Option<Moment>,
    /// As the first receipt that states it.
    pub t7_seen: Option<Moment>,
    /// Of the first response: the time to an answer is the time to the first.
    pub t8_answered: Option<Moment>,
    /// The last response, with its ETA or its time to answer by.
    pub response: Option<(ResponseKind, Option<Moment>)>,
    /// The refusal that ended it, or the last warning.
    pub refusal: Option<(EndpointRefusalCode, Severity)>,
}

impl Delivery {
    /// A notice that a `routed` record announces and DELIVER has not shown yet.
    pub fn announced(release_state: ReleaseState) -> Self {
        Self {
            status: Status::Pending,
            withdraws: release_state.withdraws(),
            attempts: Vec::new(),
            credited: Credited::default(),
            trail: Vec::new(),
        }
    }

    /// The life of a notice from its facts, each list in its stream's order, with what became of every happening.
    pub fn replay(
        release_state: ReleaseState,
        attempts: impl IntoIterator<Item = Attempt>,
        happened: impl IntoIterator<Item = Happened>,
    ) -> (Self, Vec<Credit>) {
        let mut delivery = Self::announced(release_state);
        for attempt in attempts {
            delivery.sent(attempt);
        }
        let credits = happened.into_iter().map(|what| delivery.happens(&what)).collect();
        (delivery, credits)
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What its receipts established.
    pub fn credited(&self) -> &Credited {
        &self.credited
    }

    /// The moves that the table allowed so far, each from where it stood: a simulation proves that it has seen each.
    pub fn trail(&self) -> &[(Status, Move)] {
        &self.trail
    }

    /// DELIVER has an attempt. The same number again is the same attempt.
    pub fn sent(&mut self, attempt: Attempt) {
        if self.attempts.iter().any(|known| known.number == attempt.number) {
            return;
        }
        self.attempts.push(attempt);
        self.go(Move::Stored);
    }

    /// Something happened to it. Never fails: what changes nothing is classified.
    pub fn happens(&mut self, what: &Happened) -> Credit {
        let step = match what {
            Happened::Said(said) => return self.said(said),
            Happened::LaterReceived => Move::Superseded,
            Happened::Outcome => Move::Outcome,
            Happened::LadderEnded => Move::LadderEnded,
            Happened::DeadLettered => Move::DeadLettered,
        };
        if self.go(step) { Credit::Counted { late: false } } else { Credit::AfterEnd }
    }

    fn said(&mut self, said: &Said) -> Credit {
        let attempt = match self.attempts.iter().find(|attempt| attempt.number == said.attempt) {
            None if self.attempts.is_empty() => return Credit::Unknown,
            None => return Credit::Mismatched(Mismatch::Attempt),
            Some(attempt) if attempt.digest != said.digest => return Credit::Mismatched(Mismatch::Digest),
            Some(attempt) => attempt,
        };
        let late = credit::is_late(&attempt.deadlines, said);
        let Some(step) = credit::step(said, self.withdraws) else {
            return Credit::Mismatched(Mismatch::Statement);
        };
        if self.status.is_terminal() {
            // It was received all the same, and its times are shown; but what failed never earns a success.
            if self.status != Status::Refused {
                self.credited.note_times(said);
            }
            return Credit::AfterEnd;
        }
        let before = (self.status, self.credited.clone());
        self.credited.note(said);
        let moved = self.go(step);
        if said.superseded {
            self.go(Move::Superseded);
        }
        if moved || (self.status, &self.credited) != (before.0, &before.1) {
            Credit::Counted { late }
        } else {
            Credit::Duplicate
        }
    }

    /// Goes where the table allows; anything else leaves it as it is.
    fn go(&mut self, step: Move) -> bool {
        match self.status.after(step) {
            Ok(next) => {
                let moved = next != self.status;
                self.trail.push((self.status, step));
                self.status = next;
                moved
            }
            Err(Illegal { .. }) => false,
        }
    }
}
