//! What one receipt counts for: credited, or classified as what it is.

use sallyport_proto::{
    notice::Deadlines,
    vocabulary::{ReceiptLevel, ResponseKind, Severity},
};
use serde::{Deserialize, Serialize};

use super::{Credited, Move, Said, What};

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Credit {
    /// It moved the delivery or added a time; `late` when it came after its deadline.
    Counted {
        /// After its deadline.
        late: bool,
    },
    /// It says what was already known.
    Duplicate,
    /// It came after the delivery had ended: its times are kept, the status stays.
    AfterEnd,
    /// No such notice in DELIVER, or not yet.
    Unknown,
    /// It does not belong to the notice it names.
    Mismatched(Mismatch),
    /// The relay has not passed it on to the jail: not yet, or because its signature does not verify.
    NotPassedOn,
    /// The relay did not believe it and parked it.
    Discredited,
}

/// What does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mismatch {
    /// The attempt it names was never made.
    Attempt,
    /// The digest it names is not of the event that was sent.
    Digest,
    /// Another subscriber's subject or notice.
    Subscriber,
    /// What it states cannot be said about this notice.
    Statement,
}

impl Credit {
    /// In words, for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted { late: false } => "counted",
            Self::Counted { late: true } => "LATE",
            Self::Duplicate => "duplicate",
            Self::AfterEnd => "after the end",
            Self::Unknown => "UNKNOWN NOTICE",
            Self::Mismatched(Mismatch::Attempt) => "MISMATCHED ATTEMPT",
            Self::Mismatched(Mismatch::Digest) => "MISMATCHED DIGEST",
            Self::Mismatched(Mismatch::Subscriber) => "MISMATCHED SUBSCRIBER",
            Self::Mismatched(Mismatch::Statement) => "MISMATCHED STATEMENT",
            Self::NotPassedOn => "NOT PASSED ON",
            Self::Discredited => "NOT BELIEVED",
        }
    }
}

/// The move a receipt asks for; `None` when its statement cannot be said about this notice.
pub(super) fn step(said: &Said, withdraws: bool) -> Option<Move> {
    Some(match said.what {
        What::Level(ReceiptLevel::Received | ReceiptLevel::Staged) => Move::Received,
        What::Level(ReceiptLevel::Seen) => Move::Seen,
        // RELAYED and the OVERDUE levels are the relay's to state, RESPONDED comes with a response.
        What::Level(_) => return None,
        What::Response { kind: ResponseKind::RetractionAcknowledged, .. } if withdraws => {
            Move::RetractionAcknowledged
        }
        What::Response { kind: ResponseKind::RetractionAcknowledged, .. } => return None,
        What::Response { kind, .. } if kind.ends_interest() => Move::SubscriberDone,
        What::Response { .. } => Move::Responded,
        What::Refusal { severity: Severity::Failure, .. } => Move::Refused,
        What::Refusal { severity: Severity::Warning, .. } => Move::Remarked,
    })
}

/// Whether it came after its deadline, by the broker's clock.
pub(super) fn is_late(deadlines: &Deadlines, said: &Said) -> bool {
    let due = match said.what {
        What::Level(ReceiptLevel::Received | ReceiptLevel::Staged) | What::Refusal { .. } => {
            deadlines.received
        }
        What::Level(_) => deadlines.seen,
        What::Response { .. } => deadlines.answered.or(deadlines.seen),
    };
    due.is_some_and(|due| said.stored.at > due.at)
}

impl Credited {
    pub(super) fn note(&mut self, said: &Said) {
        self.note_times(said);
        match said.what {
            What::Level(_) => {}
            What::Response { kind, at } => self.response = Some((kind, at)),
            What::Refusal { code, severity } => self.refusal = Some((code, severity)),
        }
    }

    /// Each time as first stated. A refusal says that the notice was not taken: it is no receipt of it.
    pub(super) fn note_times(&mut self, said: &Said) {
        if matches!(said.what, What::Refusal { .. }) {
            return;
        }
        self.first_stored.get_or_insert(said.stored);
        self.t6_received = self.t6_received.or(said.t6_received);
        self.t7_seen = self.t7_seen.or(said.t7_seen);
        if matches!(said.what, What::Response { .. }) {
            self.t8_answered = self.t8_answered.or(said.t8_answered);
        }
    }
}
