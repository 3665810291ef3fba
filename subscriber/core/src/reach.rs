//! How far our notices reach: what the relay's head states against what came. Between two heads exactly as many messages
//! must have come as the number rose by.
//!
//! Another stream, or a number that fell, is a **break**: what was told of before may be nowhere, and nobody will deliver it.
//! It is an alarm for as long as something of that is not on the relay's stream again, or until an operator knows.
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

/// Heads that reach less far than one before, for three minutes on end and with a lower number: no node is behind for so
/// long and states heads.
const FELL_AFTER: SignedDuration = SignedDuration::from_mins(3);

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
    /// When the relay's stream was made anew or cut short, by the broker; none: never since this bridge listens.
    pub made_anew: Option<Timestamp>,
    /// Notices that are here and did not come again since: the relay's stream does not hold them.
    pub not_there: u64,
    /// Notices that we were told of before it, and that never came.
    pub owed: u64,
    /// An operator knows.
    pub acknowledged: bool,
    /// Something is lost at the relay, and nobody has said that they know.
    pub lost: bool,
}

/// The relay's stream became another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// When, by the broker: what it stored before is there only if it came again since.
    pub at: Timestamp,
    /// Up to this sequence it is the stream that it was; 0: nothing of it is.
    pub kept: u64,
    /// So many we were told of before, and had not come.
    pub owed: u64,
    /// When we were told last, by our clock: what is new to us since may be what is owed.
    pub told: Timestamp,
    /// An operator knows.
    pub acknowledged: bool,
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
    /// Since when only heads with lower numbers came.
    pub behind_since: Option<Timestamp>,
    /// Since when fewer came than were sent.
    pub short_since: Option<Timestamp>,
    /// The last break.
    pub broken: Option<Break>,
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
    /// although it stores one. Or of a stream that was before the one we know: a node that has not noticed. It says
    /// nothing new.
    Older,
    /// Of another stream, or with a number that does not go on from the one before: a break, and everything from here on
    /// is compared.
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
            behind_since: None,
            short_since: None,
            broken: None,
        };
        let Some(before) = before else { return Ok((fresh, Heard::First)) };
        let older = |before: Self| Ok((Self { heard: now, ..before }, Heard::Older));
        if before.created != head.stream_created {
            let (was, is) = (made(&before.created), made(&head.stream_created));
            if was.zip(is).is_some_and(|(was, is)| is < was) {
                return older(before);
            }
            let broken = before.breaks(is.unwrap_or(head.at.at), 0, came)?;
            return Ok((Self { broken: Some(broken), ..fresh }, Heard::Anew));
        }
        if head.last_sequence < before.sequence {
            // Of two nodes one may be behind, but not for long; a stream that was cut short stays so.
            let since = before.behind_since.unwrap_or(now);
            let fell = head.rank < before.rank && now.duration_since(since) >= FELL_AFTER;
            if !fell {
                return older(Self { behind_since: Some(since), ..before });
            }
        }
        let rise = if head.last_sequence < before.sequence { None } else { before.rise(head) };
        let Some(rose) = rise else {
            let broken = before.breaks(head.at.at, head.last_sequence, came)?;
            return Ok((Self { broken: Some(broken), ..fresh }, Heard::Anew));
        };
        let fresh = Self { broken: before.broken.clone(), ..fresh };
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

    /// What a break at `at` leaves open. An earlier one that nobody has acknowledged is in it.
    fn breaks<E>(
        &self,
        at: Timestamp,
        kept: u64,
        came: impl FnOnce(u64, u64) -> Result<u64, E>,
    ) -> Result<Break, E> {
        let missing = self.missing(came(self.base_sequence, self.sequence)?);
        let fresh = Break { at, kept, owed: missing, told: self.heard, acknowledged: false };
        Ok(match self.broken.as_ref().filter(|broken| !broken.acknowledged) {
            None => fresh,
            Some(before) => Break {
                kept: kept.min(before.kept),
                owed: missing.saturating_add(before.owed),
                told: before.told,
                ..fresh
            },
        })
    }

    fn missing(&self, came: u64) -> u64 {
        (self.rank - self.base_rank).saturating_sub(came)
    }

    /// By how much the number rose since everything had come; none when it is another number: it fell, or it rose by more
    /// than the stream has messages there.
    fn rise(&self, head: &SubscriberHead) -> Option<u64> {
        let rose = head.rank.checked_sub(self.base_rank)?;
        (rose <= head.last_sequence.checked_sub(self.base_sequence)?).then_some(rose)
    }

    /// How it stands, when so many came behind `base_sequence` and not behind `sequence`.
    pub fn reach(&self, came: u64, now: Timestamp) -> Reach {
        let missing = self.missing(came);
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
            ..Reach::default()
        }
    }
}

impl Break {
    /// Adds what the break leaves open: so many that are here are not there, and so many that are older than it came new
    /// since.
    pub fn judge(&self, not_there: u64, made_good: u64, reach: Reach) -> Reach {
        let owed = self.owed.saturating_sub(made_good);
        Reach {
            made_anew: Some(self.at),
            not_there,
            owed,
            acknowledged: self.acknowledged,
            lost: not_there + owed > 0 && !self.acknowledged,
            ..reach
        }
    }
}

/// The broker's words for when it made a stream. A later one took an earlier one's place.
pub fn made(created: &str) -> Option<Timestamp> {
    created.parse().ok()
}
