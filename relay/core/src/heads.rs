//! What a head may claim: how many notices DELIVER was given for a subscriber, up to where. The number goes on from the
//! last head that stands, so that what DELIVER no longer keeps stays counted, and rises only by what is committed.
//!
//! Out of scope: reading and counting the model, and stating the head (the relay's `heads`); what a bridge makes of it
//! (`subscriber/core`, `reach`).

use std::time::Duration;

use jiff::Timestamp;
use sallyport_proto::operations::SubscriberHead;

/// Whether it is time for another head of a subscriber whose last one was `stored` then. One of this minute is another
/// node's, or this one's clock went back: the next turn is soon enough.
pub fn is_due(stored: Option<Timestamp>, now: Timestamp, every: Duration) -> bool {
    let age = stored.and_then(|stored| Duration::try_from(now.duration_since(stored)).ok());
    age.is_none_or(|age| age >= every / 2)
}

/// Whether DELIVER, which ends at `through` now, was cut short since this head was stated: it was restored from an older
/// copy. The number begins anew, or the head would hide what is gone until the stream is as long again.
pub fn is_cut(last: &SubscriberHead, created: &str, through: u64) -> bool {
    last.stream_created == created && last.last_sequence > through
}

/// Where a number goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// So many were counted,
    pub rank: u64,
    /// up to this sequence of DELIVER.
    pub sequence: u64,
}

impl Base {
    /// For a model that holds the DELIVER of `created` up to `sequence`. None when the last head is of another node's
    /// model that is further. No last head, one that nobody may believe, or one of another stream: the number begins anew.
    pub fn of(last: Option<&SubscriberHead>, created: &str, sequence: u64) -> Option<Self> {
        let last = last.filter(|head| head.stream_created == created);
        let base = last.map_or(Self { rank: 0, sequence: 0 }, |head| Self {
            rank: head.rank,
            sequence: head.last_sequence,
        });
        (base.sequence <= sequence).then_some(base)
    }
}

#[cfg(test)]
mod tests {
    use sallyport_proto::{provenance::Provenance, time::Moment, vocabulary::SourceClock};

    use super::*;

    fn last(created: &str) -> SubscriberHead {
        SubscriberHead {
            provenance: Provenance::of(&"zz-test".parse().unwrap(), "test/0"),
            subscriber: "office".parse().unwrap(),
            rank: 5,
            last_sequence: 12,
            at: Moment::exact(Timestamp::UNIX_EPOCH, SourceClock::Relay),
            stream_created: created.into(),
        }
    }

    #[test]
    fn a_number_goes_on_from_the_last_head_of_the_same_stream_only() {
        let of = |last: Option<&SubscriberHead>, sequence| Base::of(last, "s", sequence);
        let goes_on = Some(Base { rank: 5, sequence: 12 });
        let anew = Some(Base { rank: 0, sequence: 0 });
        assert_eq!((of(Some(&last("s")), 30), of(Some(&last("s")), 12)), (goes_on, goes_on));
        assert_eq!((of(Some(&last("before")), 30), of(None, 30)), (anew, anew));
        assert_eq!(of(Some(&last("s")), 11), None, "another node's model is further");
    }

    #[test]
    fn a_stream_that_ends_before_the_last_head_was_cut_short() {
        assert!(is_cut(&last("s"), "s", 11));
        assert!(!is_cut(&last("s"), "s", 12) && !is_cut(&last("before"), "s", 11));
    }

    #[test]
    fn one_head_a_minute_is_enough_whoever_states_it_and_a_clock_that_is_wrong_silences_nobody() {
        let minute = Duration::from_secs(60);
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        assert!(is_due(None, at(0), minute));
        assert!(!is_due(Some(at(0)), at(29), minute));
        assert!(is_due(Some(at(0)), at(30), minute));
        assert!(is_due(Some(at(500)), at(0), minute), "stored in the future of this node's clock");
    }
}
