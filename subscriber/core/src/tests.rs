//! What a bridge makes of heads, however they come: exactly what is missing, and nothing that is not.

use std::{collections::BTreeSet, convert::Infallible};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sallyport_proto::{
    operations::SubscriberHead, provenance::Provenance, time::Moment, vocabulary::SourceClock,
};

use crate::reach::{Break, Heard, Mark, Reach};

fn at(minute: i64) -> Timestamp {
    "2026-11-21T22:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn head(created: &str, rank: u64, last_sequence: u64) -> SubscriberHead {
    SubscriberHead {
        provenance: Provenance::of(&"zz-test".parse().unwrap(), "test/0"),
        subscriber: "office".parse().unwrap(),
        rank,
        last_sequence,
        at: Moment::exact(at(0), SourceClock::Relay),
        stream_created: created.into(),
    }
}

/// A bridge that forgets nothing.
#[derive(Default)]
struct Bridge {
    mark: Option<Mark>,
    came: BTreeSet<u64>,
}

impl Bridge {
    fn count(&self, after: u64, through: u64) -> u64 {
        self.came.iter().filter(|sequence| **sequence > after && **sequence <= through).count() as u64
    }

    fn hears(&mut self, head: &SubscriberHead, minute: i64) -> Heard {
        let came = |after, through| Ok::<_, Infallible>(self.count(after, through));
        let Ok((mark, heard)) = Mark::hear(self.mark.clone(), head, at(minute), came);
        self.mark = Some(mark);
        heard
    }

    fn reach(&self, minute: i64) -> Reach {
        let mark = self.mark.as_ref().unwrap();
        mark.reach(self.count(mark.base_sequence, mark.sequence), at(minute))
    }
}

#[test]
fn a_head_that_reaches_less_far_than_one_before_it_takes_nothing_back() {
    let mut bridge = Bridge::default();
    assert_eq!(bridge.hears(&head("s", 3, 6), 0), Heard::First);
    bridge.came.extend([8, 10]);
    assert_eq!(bridge.hears(&head("s", 5, 10), 1), Heard::Whole);
    // What was agreed on need not be kept.
    bridge.came.clear();
    assert_eq!(bridge.hears(&head("s", 4, 8), 2), Heard::Older);
    bridge.came.insert(12);
    assert_eq!(bridge.hears(&head("s", 6, 12), 3), Heard::Whole);
    assert_eq!((bridge.reach(3).missing, bridge.reach(3).head_age_s), (0, Some(0)));
}

#[test]
fn an_older_head_is_a_sign_of_life_all_the_same() {
    let mut bridge = Bridge::default();
    bridge.hears(&head("s", 5, 10), 0);
    assert!(bridge.reach(3).silent);
    bridge.hears(&head("s", 4, 8), 3);
    assert_eq!((bridge.reach(3).silent, bridge.reach(3).rank), (false, 5));
}

#[test]
fn a_number_that_cannot_go_on_from_the_one_before_is_another_number() {
    let mut bridge = Bridge::default();
    bridge.hears(&head("s", 1_000, 5_000), 0);
    assert_eq!(bridge.hears(&head("s", 40, 5_010), 1), Heard::Anew);
    // The node that still knows the old number: nobody can have been sent 970 in 20 messages.
    assert_eq!(bridge.hears(&head("s", 1_010, 5_030), 2), Heard::Anew);
    assert_eq!(bridge.reach(2).missing, 0);
    assert_eq!(bridge.hears(&head("made again", 1_011, 5_031), 3), Heard::Anew);
}

const FIRST: &str = "2026-11-01T00:00:00Z";
const SECOND: &str = "2026-11-21T22:02:00Z";

#[test]
fn another_stream_is_a_break_that_owes_what_had_not_come_and_a_stream_of_before_is_none() {
    let mut bridge = Bridge::default();
    bridge.hears(&head(FIRST, 0, 0), 0);
    bridge.came.extend([1, 2]);
    assert_eq!(bridge.hears(&head(FIRST, 5, 9), 1), Heard::Short);
    assert_eq!(bridge.mark.as_ref().unwrap().broken, None);
    assert_eq!(bridge.hears(&head(SECOND, 0, 0), 3), Heard::Anew);
    let broken = bridge.mark.clone().unwrap().broken.unwrap();
    let expected = Break { at: at(2), kept: 0, owed: 3, told: at(1), acknowledged: false };
    assert_eq!(broken, expected);
    // A node that has not noticed yet, and what is heard afterwards, change nothing of it.
    assert_eq!(bridge.hears(&head(FIRST, 6, 10), 4), Heard::Older);
    assert_eq!(bridge.hears(&head(SECOND, 0, 0), 5), Heard::Whole);
    assert_eq!(bridge.mark.clone().unwrap().broken, Some(broken.clone()));

    let judged = |not_there, made_good, broken: &Break| {
        let reach = broken.judge(not_there, made_good, Reach::default());
        (reach.lost, reach.not_there, reach.owed)
    };
    assert_eq!(judged(2, 0, &broken), (true, 2, 3));
    assert_eq!(judged(0, 2, &broken), (true, 0, 1));
    assert_eq!(judged(0, 4, &broken), (false, 0, 0), "everything is there again");
    assert_eq!(judged(2, 0, &Break { acknowledged: true, ..broken }), (false, 2, 3));
}

#[test]
fn a_number_that_fell_and_stays_so_is_a_stream_that_was_cut_short() {
    let mut bridge = Bridge::default();
    bridge.hears(&head("s", 9, 20), 0);
    assert_eq!(bridge.hears(&head("s", 6, 12), 1), Heard::Older);
    assert_eq!(bridge.hears(&head("s", 6, 12), 2), Heard::Older, "a node may be behind");
    assert_eq!(bridge.hears(&head("s", 6, 13), 3), Heard::Older);
    assert_eq!(bridge.hears(&head("s", 7, 14), 4), Heard::Anew);
    let broken = bridge.mark.clone().unwrap().broken.unwrap();
    assert_eq!((broken.kept, broken.owed), (14, 0), "behind it nothing that was is there");
    // A further head in between takes the suspicion away.
    bridge.hears(&head("s", 9, 20), 5);
    bridge.hears(&head("s", 8, 18), 6);
    bridge.hears(&head("s", 9, 20), 7);
    assert_eq!(bridge.hears(&head("s", 8, 18), 9), Heard::Older);
}

#[test]
fn a_second_break_keeps_what_the_first_left_open_unless_somebody_knew_of_it() {
    let mut bridge = Bridge::default();
    bridge.hears(&head(FIRST, 0, 0), 0);
    bridge.hears(&head(FIRST, 2, 9), 1);
    bridge.hears(&head(SECOND, 0, 0), 3);
    bridge.hears(&head(SECOND, 4, 4), 4);
    let third = "2026-11-21T22:05:00Z";
    let mut known = bridge.mark.clone().unwrap();
    bridge.hears(&head(third, 0, 0), 6);
    let broken = bridge.mark.clone().unwrap().broken.unwrap();
    assert_eq!((broken.at, broken.owed, broken.told), (at(5), 6, at(1)));
    known.broken.as_mut().unwrap().acknowledged = true;
    bridge.mark = Some(known);
    bridge.hears(&head(third, 0, 0), 6);
    let broken = bridge.mark.unwrap().broken.unwrap();
    assert_eq!((broken.owed, broken.told, broken.acknowledged), (4, at(4), false));
}

proptest! {
    /// Notices of ours among those of others; some come, in any order and twice; heads of two nodes that are not equally
    /// far, in any order. Whatever was said before, the furthest head decides, and names as many as are missing.
    #[test]
    fn what_is_missing_is_what_was_sent_and_did_not_come(
        ours in prop::collection::btree_set(1_u64..200, 0..60),
        lost in prop::collection::btree_set(1_u64..200, 0..4),
        heads in prop::collection::vec((0_u64..200, any::<bool>()), 1..12),
    ) {
        let rank = |through: u64| ours.iter().filter(|sequence| **sequence <= through).count() as u64;
        let mut bridge = Bridge::default();
        let (mut base, mut furthest) = (None, 0);
        for (through, all_came) in heads {
            // Before a head, what it counts came, or only a part of it.
            let coming = ours.iter().filter(|n| !lost.contains(n) && (all_came || **n % 3 > 0));
            bridge.came.extend(coming.filter(|n| **n <= through));
            bridge.hears(&head("s", rank(through), through), 0);
            furthest = furthest.max(through);
            let since = *base.get_or_insert(through);
            let missing = |since| ours.iter().filter(|n| **n > since && **n <= furthest && !bridge.came.contains(n)).count() as u64;
            prop_assert_eq!(bridge.reach(0).missing, missing(since), "behind {}", since);
            prop_assert!(bridge.reach(0).through == furthest);
        }
    }
}
