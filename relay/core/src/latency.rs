//! What the times of one notice say: stage latencies between two clocks, and lead time before the door.
//!
//! A figure whose inputs are absent is absent, never zero. Two clocks can disagree: a negative difference stays negative
//! and is named as skew with its size. A lead time may be negative by nature: the notice came after the door.

use jiff::SignedDuration;
use sallyport_proto::{time::Moment, vocabulary::SourceClock};
use serde::{Deserialize, Serialize};

/// The times of one notice that figures are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Trigger.
    pub t0: Option<Moment>,
    /// Observed by the agent.
    pub t2: Option<Moment>,
    /// Stored on INGEST.
    pub t4: Option<Moment>,
    /// Routed.
    pub t5: Option<Moment>,
    /// Received by the subscriber's machine.
    pub t6: Option<Moment>,
    /// Seen by a person.
    pub t7: Option<Moment>,
    /// Answered.
    pub t8: Option<Moment>,
    /// The door.
    pub t10: Option<Moment>,
    /// A replay of past records: its trigger and its door say nothing about us.
    pub backfill: bool,
}

/// The stages, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// t4 - t2: from the agent's reading to the broker.
    #[serde(rename = "t4-t2")]
    Store,
    /// t5 - t4: from the broker through the route.
    #[serde(rename = "t5-t4")]
    Route,
    /// t6 - t5: to the subscriber's machine.
    #[serde(rename = "t6-t5")]
    Deliver,
    /// t7 - t6: to a person.
    #[serde(rename = "t7-t6")]
    See,
    /// t8 - t6: to an answer.
    #[serde(rename = "t8-t6")]
    Answer,
    /// t6 - t0: from the trigger to the subscriber's machine; t6 - t2 for a backfill.
    #[serde(rename = "t6-t0")]
    Whole,
}

/// A difference of two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Later minus earlier; never clamped.
    pub value: SignedDuration,
    /// How far both sources together may be off.
    pub uncertainty_s: u32,
    /// The clocks of the earlier and of the later time.
    pub clocks: (SourceClock, SourceClock),
    /// How far the two clocks provably disagree: the size of a negative difference.
    pub skew: Option<SignedDuration>,
}

/// How long before the door the subscriber knew, or had answered. Negative: after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeadTimes {
    /// t10 - t6.
    pub received: Option<SignedDuration>,
    /// t10 - t8.
    pub answered: Option<SignedDuration>,
}

impl Stage {
    /// Every stage.
    pub const ALL: &'static [Self] =
        &[Self::Store, Self::Route, Self::Deliver, Self::See, Self::Answer, Self::Whole];

    /// As tables and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "t4-t2",
            Self::Route => "t5-t4",
            Self::Deliver => "t6-t5",
            Self::See => "t7-t6",
            Self::Answer => "t8-t6",
            Self::Whole => "t6-t0",
        }
    }
}

impl Interval {
    /// `later - earlier`.
    pub fn between(earlier: Moment, later: Moment) -> Self {
        let value = later.since(&earlier);
        Self {
            value,
            uncertainty_s: earlier.uncertainty_s.saturating_add(later.uncertainty_s),
            clocks: (earlier.clock, later.clock),
            skew: (value.is_negative() && earlier.clock != later.clock).then(|| value.abs()),
        }
    }
}

impl Times {
    /// One stage, when both its times are known.
    pub fn stage(&self, stage: Stage) -> Option<Interval> {
        let (earlier, later) = match stage {
            Stage::Store => (self.t2, self.t4),
            Stage::Route => (self.t4, self.t5),
            Stage::Deliver => (self.t5, self.t6),
            Stage::See => (self.t6, self.t7),
            Stage::Answer => (self.t6, self.t8),
            Stage::Whole if self.backfill => (self.t2, self.t6),
            Stage::Whole => (self.t0, self.t6),
        };
        Some(Interval::between(earlier?, later?))
    }

    /// Lead times; none for a backfill, whose door was passed long ago.
    pub fn lead(&self) -> LeadTimes {
        let before_door = |known: Option<Moment>| Some(self.t10?.since(&known?)).filter(|_| !self.backfill);
        LeadTimes { received: before_door(self.t6), answered: before_door(self.t8) }
    }
}

/// The value that `share` (0.5, 0.95, 0.99) of `sorted` do not exceed, by nearest rank: always one that was measured.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    // Lossless up to 2^52 values; a share is in 0..=1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64, clock: SourceClock) -> Moment {
        Moment::exact(Timestamp::from_second(second).unwrap(), clock)
    }

    #[test]
    fn a_negative_difference_of_two_clocks_is_skew_with_its_size() {
        let interval = Interval::between(at(100, SourceClock::Agent), at(97, SourceClock::Broker));
        assert_eq!(interval.value, SignedDuration::from_secs(-3));
        assert_eq!(interval.skew, Some(SignedDuration::from_secs(3)));
    }

    #[test]
    fn a_clock_does_not_disagree_with_itself() {
        let interval = Interval::between(at(100, SourceClock::Subscriber), at(97, SourceClock::Subscriber));
        assert_eq!((interval.value, interval.skew), (SignedDuration::from_secs(-3), None));
    }

    #[test]
    fn uncertainties_add_up() {
        let hand_typed = Moment { uncertainty_s: 900, ..at(0, SourceClock::JailRecord) };
        let interval = Interval::between(hand_typed, at(60, SourceClock::Broker));
        assert_eq!((interval.uncertainty_s, interval.skew), (900, None));
    }

    #[test]
    fn a_notice_after_the_door_has_a_negative_lead_time() {
        let times = Times {
            t6: Some(at(4_020, SourceClock::Subscriber)),
            t10: Some(at(0, SourceClock::JailRecord)),
            ..Times::default()
        };
        assert_eq!(times.lead().received, Some(SignedDuration::from_secs(-4_020)));
        assert_eq!(times.lead().answered, None);
    }

    #[test]
    fn a_backfill_counts_from_the_reading_and_has_no_lead_time() {
        let times = Times {
            t0: Some(at(0, SourceClock::JailRecord)),
            t2: Some(at(9_000_000, SourceClock::Agent)),
            t6: Some(at(9_000_001, SourceClock::Subscriber)),
            t10: Some(at(60, SourceClock::JailRecord)),
            backfill: true,
            ..Times::default()
        };
        assert_eq!(times.stage(Stage::Whole).unwrap().value, SignedDuration::from_secs(1));
        assert_eq!(times.lead(), LeadTimes::default());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<i32> = (1..=100).collect();
        let of = |share| percentile(&hundred, share);
        assert_eq!(
            (of(0.0), of(0.5), of(0.95), of(0.99), of(1.0)),
            (Some(1), Some(50), Some(95), Some(99), Some(100))
        );
        assert_eq!((percentile(&[7], 0.99), percentile::<i32>(&[], 0.5)), (Some(7), None));
    }

    fn any_moment() -> impl Strategy<Value = Option<Moment>> {
        prop::option::weighted(
            0.6,
            (-1_000_000_i64..1_000_000, prop::sample::select(SourceClock::ALL), 0..5_000_u32)
                .prop_map(|(second, clock, uncertainty_s)| Moment { uncertainty_s, ..at(second, clock) }),
        )
    }

    fn any_times() -> impl Strategy<Value = Times> {
        (prop::array::uniform8(any_moment()), any::<bool>()).prop_map(
            |([t0, t2, t4, t5, t6, t7, t8, t10], backfill)| Times {
                t0,
                t2,
                t4,
                t5,
                t6,
                t7,
                t8,
                t10,
                backfill,
            },
        )
    }

    proptest! {
        #[test]
        fn a_latency_is_never_invented_and_never_clamped(times in any_times()) {
            for stage in Stage::ALL {
                let inputs = match stage {
                    Stage::Store => (times.t2, times.t4),
                    Stage::Route => (times.t4, times.t5),
                    Stage::Deliver => (times.t5, times.t6),
                    Stage::See => (times.t6, times.t7),
                    Stage::Answer => (times.t6, times.t8),
                    Stage::Whole => (if times.backfill { times.t2 } else { times.t0 }, times.t6),
                };
                match (inputs, times.stage(*stage)) {
                    ((Some(earlier), Some(later)), Some(interval)) => {
                        prop_assert_eq!(earlier.at + interval.value, later.at);
                        prop_assert_eq!(interval.skew.is_some(),
                            later.at < earlier.at && later.clock != earlier.clock);
                    }
                    ((Some(_), Some(_)), None) => prop_assert!(false, "a known latency is missing"),
                    (_, figure) => prop_assert_eq!(figure, None),
                }
            }
            let lead = times.lead();
            prop_assert_eq!(lead.received.is_some(), times.t10.is_some() && times.t6.is_some() && !times.backfill);
            prop_assert_eq!(lead.answered.is_some(), times.t10.is_some() && times.t8.is_some() && !times.backfill);
        }
    }
}
