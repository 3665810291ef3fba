//! How far our notices reach: what the relay's head states against what came. Between two heads exactly as many messages
//! must have come as the number rose by.
//!
//! Out of scope: hearing and believing a head, and keeping what came (the subscriber's `heads` and `store`); which notice
//! it is that is missing (the relay's `audit`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::operations::SubscriberHead;
use serde::Serialize;

/// Three heads that did not come: the relay is silent, whatever it says about notices.
pub const SILENT_AFTER: Duration = Duration::from_secs(3 * 60);
/// The longest pause before a redelivery is 10 minutes, and some.
const MISSING_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Age of the last head; none: the relay never stated one.
    pub head_age_s: Option<i64>,
    /// Three heads in a row did not come: nobody knows what waits at the relay.
    pub silent: bool,
    /// The relay's number for us.
    pub rank: u64,
    /// Sent to us and not here. Some may yet be on their way.
    pub missing: u64,
    /// They are missing for longer than a redelivery takes.
    pub alarm: bool,
    /// They lie behind this sequence of DELIVER,
    pub since: u64,
    /// and not behind this one.
    pub through: u64,
}

/// What was heard so far, and up to where it agrees with what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When DELIVER was created, in the broker's words.
    pub created: String,
    /// Up to here everything came: the number,
    pub base_rank: u64,
    /// and where it stands.
    pub base_sequence: u64,
    /// The furthest head: its number,
    pub rank: u64,
    /// and up to where it counts.
    pub sequence: u64,
    /// When the last head came.
    pub heard: Timestamp,
    /// Since when fewer came than were sent.
    pub short_since: Option<Timestamp>,
}

/// What a head came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// The first: everything from here on is compared.
    First,
    /// As many came as were sent.
    Whole,
    /// Fewer came.
    Short,
    /// It reaches less far than one that was heard: two nodes state heads at one time, and the broker hands on both
    /// although it stores one. It says nothing new.
    Older,
    /// Of another stream, or with a number that does not go on from the one before: everything from here on is compared.
    Anew,
}

impl Heard {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::First, Self::Whole, Self::Short, Self::Older, Self::Anew];
}

impl Mark {
    /// Takes a head. `came` counts what came behind one sequence of DELIVER and not behind another.
    pub fn hear<E>(
        before: Option<Self>,
        head: &SubscriberHead,
        now: Timestamp,
        came: impl FnOnce(u64, u64) -> Result<u64, E>,
    ) -> Result<(Self, Heard), E> {
        let fresh = Self {
            created: head.stream_created.clone(),
            base_rank: head.rank,
            base_sequence: head.last_sequence,
            rank: head.rank,
            sequence: head.last_sequence,
            heard: now,
            short_since: None,
        };
        let Some(before) = before else { return Ok((fresh, Heard::First)) };
        if before.created != head.stream_created {
            return Ok((fresh, Heard::Anew));
        }
        if head.last_sequence < before.sequence {
            return Ok((Self { heard: now, ..before }, Heard::Older));
        }
        let Some(rose) = before.rise(head) else { return Ok((fresh, Heard::Anew)) };
        if came(before.base_sequence, head.last_sequence)? >= rose {
            return Ok((fresh, Heard::Whole));
        }
        let short = Self {
            base_rank: before.base_rank,
            base_sequence: before.base_sequence,
            short_since: Some(before.short_since.unwrap_or(now)),
            ..fresh
        };
        Ok((short, Heard::Short))
    }

    /// By how much the number rose since everything had come; none when it is another number: it fell, or it rose by more
    /// than the stream has messages there.
    fn rise(&self, head: &SubscriberHead) -> Option<u64> {
        let rose = head.rank.checked_sub(self.base_rank)?;
        (rose <= head.last_sequence.checked_sub(self.base_sequence)?).then_some(rose)
    }

    /// How it stands, when so many came behind `base_sequence` and not behind `sequence`.
    pub fn reach(&self, came: u64, now: Timestamp) -> Reach {
        let missing = (self.rank - self.base_rank).saturating_sub(came);
        let age = now.duration_since(self.heard);
        let late = self.short_since.is_some_and(|since| now.duration_since(since) >= MISSING_AFTER);
        Reach {
            head_age_s: Some(age.as_secs()),
            silent: Duration::try_from(age).is_ok_and(|age| age >= SILENT_AFTER),
            rank: self.rank,
            missing,
            alarm: missing > 0 && late,
            since: self.base_sequence,
            through: self.sequence,
        }
    }
}
