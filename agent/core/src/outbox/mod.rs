//! What becomes of one stored event until the relay has taken it: open, then accepted or refused.
//!
//! Only two things close a row: an Acceptance that names its event id and its digest, and a permanent Refusal of its
//! digest. A PubAck is not an input, because it says nothing about routing. Signatures were checked before anything
//! comes here; storing, reading and sending are the agent's shell. Time and chance are arguments.

mod backoff;
mod transition;
pub mod window;

use jiff::Timestamp;
use sallyport_proto::{
    answer::{AcceptedEvent, Refusal},
    envelope::Digest,
    ids::EventId,
    vocabulary::RefusalCode,
};

pub use backoff::{RESEND_AFTER, RESEND_AFTER_MAX, delay};
pub use transition::{Input, Transition};

/// One event in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which event.
    pub event_id: EventId,
    /// SHA-256 of the bytes that are sent, always the same.
    pub digest: Digest,
    /// How often it was sent.
    pub attempt: u32,
    /// Where it stands.
    pub status: Status,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not answered: sent again when due, for ever.
    Open {
        /// When it is sent next.
        next_due: Timestamp,
    },
    /// The relay has taken it.
    Accepted,
    /// The relay never will: shown to a person.
    Refused(RefusalCode),
}

/// What an answer did to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is closed now.
    Closed,
    /// It stays open: the same bytes may be accepted later.
    StaysOpen,
    /// It was closed before; nothing changes.
    AlreadyClosed,
    /// The answer is about other bytes or another event.
    NotThisRow,
}

impl Row {
    /// A row that was stored just now and is due at once.
    pub fn new(event_id: EventId, digest: Digest, now: Timestamp) -> Self {
        Self { event_id, digest, attempt: 0, status: Status::Open { next_due: now } }
    }

    /// When it is to be sent, while it is open.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        match self.status {
            Status::Open { next_due } => Some(next_due),
            Status::Accepted | Status::Refused(_) => None,
        }
    }

    /// Whether it is to be sent now. A time further ahead than the longest wait was given by a clock that was wrong and
    /// has been set right since: it counts for nothing, or the row would wait as long as the clock was ahead.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.poll_deadline().is_some_and(|due| due <= now || due > latest_due(now))
    }

    /// Sends it, if it is due: counts the attempt, sets the next one, and gives the Msg-Id of this one. `jitter` is a
    /// random number from 0 to 1.
    pub fn handle_deadline(&mut self, now: Timestamp, jitter: f64) -> Option<String> {
        if self.transition(Input::Deadline(now)) != Transition::Sent {
            return None;
        }
        self.attempt = self.attempt.saturating_add(1);
        self.status =
            Status::Open { next_due: now.saturating_add(delay(self.attempt, jitter)).unwrap_or(now) };
        Some(msg_id(&self.digest, self.attempt))
    }

    /// The last attempt never reached the broker: it is due again at once, so that a backlog does not wait for its
    /// backoff when the link returns.
    pub fn handle_unsent(&mut self, now: Timestamp) {
        if self.transition(Input::Unsent) == Transition::DueAgain {
            self.is_due_by(now);
        }
    }

    /// The relay committed an event. An acceptance after a refusal wins: the notices are out, whatever another node
    /// said before.
    pub fn handle_acceptance(&mut self, accepted: &AcceptedEvent) -> Effect {
        let effect = self.transition(Input::Acceptance(accepted)).effect();
        if effect == Effect::Closed {
            self.status = Status::Accepted;
        }
        effect
    }

    /// The relay does not hold this row's event any more (a stream was lost, or restored from an older copy): the same
    /// bytes are sent again. Nothing closes the row but what closes every row.
    pub fn handle_resend(&mut self, now: Timestamp) -> Resend {
        let resend = self.transition(Input::Resend).resend();
        match resend {
            Resend::DueNow => self.is_due_by(now),
            Resend::Reopened => self.status = Status::Open { next_due: now },
            Resend::Refused => {}
        }
        resend
    }

    /// The relay refused some bytes. Permanent is only what says so *and* has a code that can be: a refusal for an
    /// unknown key or version never closes a row.
    pub fn handle_refusal(&mut self, refusal: &Refusal) -> Effect {
        let effect = self.transition(Input::Refusal(refusal)).effect();
        if effect == Effect::Closed {
            self.status = Status::Refused(refusal.code);
        }
        effect
    }

    fn is_due_by(&mut self, now: Timestamp) {
        if let Status::Open { next_due } = &mut self.status {
            *next_due = (*next_due).min(now);
        }
    }
}

/// The latest time that a right clock can have given for the next attempt.
pub fn latest_due(now: Timestamp) -> Timestamp {
    now.saturating_add(RESEND_AFTER_MAX).unwrap_or(Timestamp::MAX)
}

/// What a request to send again did to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It was accepted and is open again, until a new Acceptance closes it.
    Reopened,
    /// It was open; it is due at once.
    DueNow,
    /// Refused for good: a person decides, and no machine sends it again.
    Refused,
}

/// `<base64url sha256>.<attempt>`: nobody can guess it, and every attempt has its own, because a copy with a known id is
/// acked by the broker and reaches no relay.
pub fn msg_id(digest: &Digest, attempt: u32) -> String {
    format!("{}.{attempt}", digest.to_base64url())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
