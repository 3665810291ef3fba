//! What the committing machine asks for, what it is told, and what it says in the end.

use std::{sync::Arc, time::Duration};

use sallyport_proto::ids::Jurisdiction;

use super::{
    draft::Entry,
    known::{Accepted, Key},
};

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Read these `routed` records at the stream's leader; then `handle_read`.
    Read(Vec<(Key, Jurisdiction)>),
    /// Publish this as one atomic batch; then `handle_commit`.
    Commit(Vec<Entry>),
    /// Wait.
    Pause(Duration),
    /// Every event has its verdict: `verdicts`.
    Done,
}

/// What a read at the leader found.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is committed.
    There(Arc<Accepted>),
    /// It is not, or not yet.
    Absent,
    /// The leader could not be asked.
    Unknown,
}

/// Why a batch is not known to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotConfirmed {
    /// A subject holds a message already, or one of a batch in flight: another node may have been first.
    Taken,
    /// The stream takes nothing now, whatever it is.
    Full,
    /// A message is larger than the stream takes.
    TooLarge,
    /// Refused for another reason.
    Refused,
    /// No answer, or none that could be read.
    Unknown,
}

/// What is to be said of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Committed, now or before.
    Accepted(Arc<Accepted>),
    /// Other bytes were committed under the same event id.
    Conflict(Arc<Accepted>),
    /// The broker will never take one of its notices.
    TooLarge,
    /// To be delivered again after this long.
    Again(Duration),
}

/// What the machine went through; a simulation proves that it has seen each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transition {
    /// Something was delivered before: looked before writing.
    LookedFirst,
    /// Found committed.
    FoundCommitted,
    /// Asked for a predecessor.
    AskedForPredecessor,
    /// Put off until its predecessor is routed.
    PutOff,
    /// Routed without its predecessor.
    WithoutPredecessor,
    /// Used a draft that was written ahead.
    UsedAhead,
    /// A batch was confirmed.
    Committed,
    /// A batch lost a race.
    LostRace,
    /// A batch had no clear outcome.
    Doubtful,
    /// The stream was full.
    Full,
    /// One event alone is too large.
    TooLarge,
    /// The leader could not be asked, or too many batches were not confirmed.
    LeftToRedelivery,
}

impl Transition {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::LookedFirst,
        Self::FoundCommitted,
        Self::AskedForPredecessor,
        Self::PutOff,
        Self::WithoutPredecessor,
        Self::UsedAhead,
        Self::Committed,
        Self::LostRace,
        Self::Doubtful,
        Self::Full,
        Self::TooLarge,
        Self::LeftToRedelivery,
    ];
}
