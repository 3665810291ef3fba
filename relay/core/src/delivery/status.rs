//! The delivery statuses and the only ways between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a notice stands; exactly one at a time. Terminal ones are written in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Addressed, not yet in DELIVER.
    #[serde(rename = "pending")]
    Pending,
    /// In DELIVER.
    #[serde(rename = "relayed")]
    Relayed,
    /// The agency's endpoint has it.
    #[serde(rename = "received")]
    Received,
    /// A person saw it.
    #[serde(rename = "seen")]
    Seen,
    /// People answered.
    #[serde(rename = "responded")]
    Responded,
    /// The custody's outcome is known.
    #[serde(rename = "CLOSED_BY_OUTCOME")]
    ClosedByOutcome,
    /// The subscriber wants nothing more of it.
    #[serde(rename = "CLOSED_BY_SUBSCRIBER")]
    ClosedBySubscriber,
    /// The endpoint could not take it.
    #[serde(rename = "REFUSED")]
    Refused,
    /// A later revision was received.
    #[serde(rename = "SUPERSEDED")]
    Superseded,
    /// "Disregard" was acknowledged.
    #[serde(rename = "RETRACTION_ACKNOWLEDGED")]
    RetractionAcknowledged,
    /// The ladder ended.
    #[serde(rename = "EXPIRED_UNCONFIRMED")]
    ExpiredUnconfirmed,
    /// Given up by a recorded decision.
    #[serde(rename = "DEAD_LETTERED")]
    DeadLettered,
}

/// What may move a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Move {
    /// DELIVER has it.
    Stored,
    /// RECEIVED or STAGED.
    Received,
    /// SEEN.
    Seen,
    /// A response that leaves it open.
    Responded,
    /// A response that ends the subscriber's interest.
    SubscriberDone,
    /// The subscriber took note of a withdrawal.
    RetractionAcknowledged,
    /// A refusal that is a failure.
    Refused,
    /// A receipt that moves nothing: a warning.
    Remarked,
    /// A later revision of the custody was received.
    Superseded,
    /// An outcome.
    Outcome,
    /// The attempts ended.
    LadderEnded,
    /// Given up.
    DeadLettered,
}

impl Move {
    /// Every move.
    pub const ALL: &'static [Self] = &[
        Self::Stored,
        Self::Received,
        Self::Seen,
        Self::Responded,
        Self::SubscriberDone,
        Self::RetractionAcknowledged,
        Self::Refused,
        Self::Remarked,
        Self::Superseded,
        Self::Outcome,
        Self::LadderEnded,
        Self::DeadLettered,
    ];
}

/// One that is forgotten above does not compile, as long as the last one stays the last.
const _: () = assert!(Move::ALL.len() == Move::DeadLettered as usize + 1);

/// A way that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no {step:?} from {from}")]
pub struct Illegal {
    /// Where it stood.
    pub from: Status,
    /// What was asked.
    pub step: Move,
}

impl Status {
    /// Every status.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Relayed,
        Self::Received,
        Self::Seen,
        Self::Responded,
        Self::ClosedByOutcome,
        Self::ClosedBySubscriber,
        Self::Refused,
        Self::Superseded,
        Self::RetractionAcknowledged,
        Self::ExpiredUnconfirmed,
        Self::DeadLettered,
    ];

    /// Nothing follows.
    pub fn is_terminal(self) -> bool {
        self > Self::Responded
    }

    /// Where `step` leads from here. Levels never go back: a RECEIVED after a SEEN leaves it seen.
    pub fn after(self, step: Move) -> Result<Self, Illegal> {
        use Status as S;
        let illegal = Err(Illegal { from: self, step });
        if self.is_terminal() {
            return illegal;
        }
        // Only what the subscriber cannot have said about a notice that is not out yet is refused on `Pending`.
        Ok(match step {
            Move::Stored => self.max(S::Relayed),
            Move::DeadLettered => S::DeadLettered,
            Move::Outcome => S::ClosedByOutcome,
            Move::Superseded => S::Superseded,
            _ if self == S::Pending => return illegal,
            Move::Remarked => self,
            Move::Received => self.max(S::Received),
            Move::Seen => self.max(S::Seen),
            Move::Responded => S::Responded,
            Move::SubscriberDone => S::ClosedBySubscriber,
            Move::RetractionAcknowledged => S::RetractionAcknowledged,
            // What a person has seen or answered was taken: its endpoint cannot un-take it.
            Move::Refused if self >= S::Seen => return illegal,
            Move::Refused => S::Refused,
            // Whoever received it has confirmed.
            Move::LadderEnded if self >= S::Received => return illegal,
            Move::LadderEnded => S::ExpiredUnconfirmed,
        })
    }

    /// Every move that is legal somewhere, with where: what a simulation must have seen.
    pub fn ways() -> impl Iterator<Item = (Self, Move)> {
        let moves = |from: &'static Self| Move::ALL.iter().map(|step| (*from, *step));
        Self::ALL.iter().flat_map(moves).filter(|(from, step)| from.after(*step).is_ok())
    }

    /// The word that both sides see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Relayed => "relayed",
            Self::Received => "received",
            Self::Seen => "seen",
            Self::Responded => "responded",
            Self::ClosedByOutcome => "CLOSED_BY_OUTCOME",
            Self::ClosedBySubscriber => "CLOSED_BY_SUBSCRIBER",
            Self::Refused => "REFUSED",
            Self::Superseded => "SUPERSEDED",
            Self::RetractionAcknowledged => "RETRACTION_ACKNOWLEDGED",
            Self::ExpiredUnconfirmed => "EXPIRED_UNCONFIRMED",
            Self::DeadLettered => "DEAD_LETTERED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
