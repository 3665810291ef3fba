//! What the store makes of the relay's heads: exactly as many notices must have come as the relay's number rose by.

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    operations::SubscriberHead, provenance::Provenance, time::Moment, vocabulary::SourceClock,
};
use sallyport_subscriber::store::{Place, Reach, Store};

use crate::{
    keep::Bench,
    world::{Case, me},
};

fn at(minute: i64) -> Timestamp {
    "2026-11-21T22:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

impl Bench {
    fn head(&mut self, created: &str, rank: u64, last_sequence: u64, minute: i64) -> Reach {
        let head = SubscriberHead {
            provenance: Provenance::of(&"zz-test".parse().unwrap(), "test/0"),
            subscriber: me(),
            rank,
            last_sequence,
            at: Moment::exact(at(minute), SourceClock::Relay),
            stream_created: created.into(),
        };
        self.store.compare(&head, at(minute)).unwrap().1
    }

    fn came(&mut self, sequence: u64) {
        let notice = self.world.notice(&Case::custody(u32::try_from(sequence).unwrap()));
        self.came_at(sequence, at(0), &notice);
    }

    fn came_at(&mut self, sequence: u64, stored: Timestamp, notice: &[u8]) {
        self.keep_from(Some(Place { sequence, stored }), &[notice.to_vec()]);
    }
}

#[test]
fn what_came_and_what_was_sent_agree_in_any_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.store.reach(at(0)).unwrap(), Reach::default());
    bench.came(7);
    assert_eq!(bench.head("s", 3, 7, 0).missing, 0, "what was before the first head is not judged");
    // Between them lie other agencies' notices; a later one overtakes, and a copy comes twice.
    for sequence in [12, 9, 12, 20] {
        bench.came(sequence);
    }
    let reach = bench.head("s", 5, 15, 1);
    assert_eq!((reach.missing, reach.rank, reach.since, reach.through), (0, 5, 15, 15));
    bench.came(9);
    assert_eq!(bench.head("s", 6, 20, 2).missing, 0, "a copy of what is counted is not counted again");
}

#[test]
fn a_notice_that_never_came_is_missing_and_an_alarm_after_the_longest_redelivery() {
    let mut bench = Bench::new();
    bench.head("s", 0, 0, 0);
    bench.came(1);
    bench.came(3);
    let short = bench.head("s", 3, 3, 1);
    assert_eq!((short.missing, short.alarm, short.since, short.through), (1, false, 0, 3));
    bench.came(4);
    let later = bench.head("s", 4, 4, 15);
    assert_eq!((later.missing, later.alarm), (1, false));
    assert!(bench.head("s", 4, 4, 16).alarm);
    bench.came(2);
    let whole = bench.head("s", 4, 4, 17);
    assert_eq!((whole.missing, whole.alarm, whole.since), (0, false, 4));
}

#[test]
fn another_stream_or_a_number_that_began_anew_is_compared_from_there_on() {
    let mut bench = Bench::new();
    bench.head("s", 10, 100, 0);
    assert_eq!(bench.head("made again", 10, 4, 1).missing, 0);
    assert_eq!(bench.head("made again", 2, 8, 2).missing, 0);
    assert_eq!(bench.head("made again", 3, 9, 3).missing, 1);
}

#[test]
fn a_relay_that_says_nothing_is_silent_and_a_quiet_one_is_not() {
    let mut bench = Bench::new();
    assert!(!bench.store.reach(at(60)).unwrap().silent, "one that never spoke may be of an older build");
    bench.head("s", 1, 1, 0);
    bench.head("s", 1, 1, 1);
    assert!(!bench.store.reach(at(3)).unwrap().silent);
    let silent = bench.store.reach(at(4)).unwrap();
    assert_eq!((silent.silent, silent.head_age_s), (true, Some(180)));
}

const FIRST: &str = "2026-11-01T00:00:00Z";
/// A minute after the first head.
const SECOND: &str = "2026-11-21T22:01:00Z";

#[test]
fn a_stream_made_anew_is_an_alarm_until_everything_is_there_again() {
    let mut bench = Bench::new();
    let notices: Vec<_> = (1..=3).map(|n| bench.world.notice(&Case::custody(n))).collect();
    bench.head(FIRST, 0, 0, 0);
    for (n, notice) in (1..).zip(&notices) {
        bench.came_at(n, at(0), notice);
    }
    let before = bench.head(FIRST, 3, 3, 0);
    assert_eq!((before.made_anew, before.lost), (None, false));
    let empty = bench.head(SECOND, 0, 0, 2);
    assert_eq!((empty.made_anew, empty.not_there, empty.lost), (Some(at(1)), 3, true));
    assert_eq!(empty.missing, 0, "the new stream owes nothing; the old one did");
    // The same notices, from an archive or from the jails: copies.
    for (n, notice) in (7..).zip(&notices[..2]) {
        bench.came_at(n, at(2), notice);
    }
    let nearly = bench.head(SECOND, 2, 8, 3);
    assert_eq!((nearly.not_there, nearly.lost), (1, true));
    // What came to us late from the stream of before is not of this one.
    bench.came_at(3, at(0), &notices[2]);
    assert!(bench.store.reach(at(3)).unwrap().lost);
    bench.came_at(9, at(3), &notices[2]);
    let whole = bench.head(SECOND, 3, 9, 4);
    assert_eq!((whole.not_there, whole.lost, whole.made_anew), (0, false, Some(at(1))));
    assert_eq!(whole, Store::open(bench.dir.path(), &me()).unwrap().reach(at(4)).unwrap(), "it is kept");
}

#[test]
fn what_a_lost_stream_owed_us_is_owed_until_it_comes_and_an_operator_may_know_of_it() {
    let mut bench = Bench::new();
    bench.head(FIRST, 0, 0, 0);
    bench.head(FIRST, 2, 4, 0);
    let owed = bench.head(SECOND, 0, 0, 2);
    assert_eq!((owed.not_there, owed.owed, owed.lost), (0, 2, true));
    assert!(bench.store.acknowledge_break().unwrap());
    let known = bench.store.reach(at(3)).unwrap();
    assert_eq!((known.owed, known.lost, known.acknowledged), (2, false, true));
    assert!(!bench.store.acknowledge_break().unwrap(), "once");
    // The next one is another alarm.
    assert!(!bench.head("2026-11-21T22:05:00Z", 0, 0, 6).lost, "nothing was lost by it");
    bench.came(1);
    bench.head("2026-11-21T22:05:00Z", 1, 1, 7);
    assert!(bench.head("2026-11-21T22:09:00Z", 0, 0, 10).lost);
}

#[test]
fn a_notice_that_no_stream_would_hold_any_more_is_no_alarm() {
    let mut bench = Bench::new();
    bench.head(FIRST, 0, 0, 0);
    bench.came(1);
    assert!(bench.head(SECOND, 0, 0, 2).lost);
    assert!(!bench.store.reach(at(31 * 24 * 60)).unwrap().lost);
}

#[test]
fn what_came_from_the_stream_before_is_not_taken_for_what_stands_there_now() {
    let mut bench = Bench::new();
    bench.head(FIRST, 0, 0, 0);
    // The stream of before was long, and all of it came.
    for n in 1..=9 {
        bench.came(n);
    }
    bench.head(FIRST, 8, 8, 0);
    // The new one is short, and two of its notices never come.
    bench.head(SECOND, 0, 0, 2);
    let notice = bench.world.notice(&Case::custody(20));
    bench.came_at(7, at(3), &notice);
    let short = bench.head(SECOND, 3, 9, 4);
    assert_eq!((short.missing, short.since, short.through), (2, 0, 9));
    for (n, sequence) in (21..).zip([8, 9]) {
        let notice = bench.world.notice(&Case::custody(n));
        bench.came_at(sequence, at(5), &notice);
    }
    assert_eq!(bench.head(SECOND, 3, 9, 6).missing, 0);
}

#[test]
fn a_stream_that_begins_anew_behind_a_long_one_is_compared_as_well() {
    let mut bench = Bench::new();
    bench.head(FIRST, 0, 0, 0);
    let far = bench.world.notice(&Case::custody(1));
    bench.came_at(50_000_000, at(0), &far);
    bench.head(SECOND, 0, 0, 2);
    bench.came_at(1, at(3), &far);
    assert_eq!(bench.head(SECOND, 2, 2, 4).missing, 1);
    let late = bench.world.notice(&Case::custody(2));
    bench.came_at(2, at(4), &late);
    assert_eq!(bench.head(SECOND, 2, 2, 5).missing, 0, "the first is not forgotten meanwhile");
}
