//! Receipts that this node's registry cannot place: another node may have a newer one, or this one gets it soon. They are
//! given back and come again, for some minutes and not many at once: what is given back takes a place among those that
//! the durable lets wait, and one subscriber must not take them all.

use std::{collections::BTreeMap, time::Duration};

use sallyport_proto::ids::SubscriberId;

/// A node may be behind in the roll-out of a registry that another one has: what it cannot place comes again after this.
pub const WAIT: Duration = Duration::from_secs(5);
/// And so often, ten minutes in all: a roll-out takes less. By deliveries, because a clock may leap.
const TRIES_MAX: i64 = 120;
/// Of one subscriber at once, at this node; the durable lets 1,024 wait in all.
const OF_ONE_MAX: usize = 128;
/// Of all at once, at this node: half of what the durable lets wait.
const OF_ALL_MAX: usize = 512;
/// Not seen again for so long, it went to another node.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// What this node gave back.
#[derive(Debug, Default)]
pub struct Later {
    /// And when, by the time since the node began.
    given_back: BTreeMap<(SubscriberId, u64), Duration>,
}

impl Later {
    /// Whether the receipt at `sequence`, which came for the `delivered`th time, is given back once more; `now` is
    /// the time since the node began: a clock may leap.
    pub fn waits(&mut self, from: &SubscriberId, sequence: u64, delivered: i64, now: Duration) -> bool {
        self.given_back.retain(|_, at| now.saturating_sub(*at) < FORGOTTEN_AFTER);
        let key = (from.clone(), sequence);
        let known = self.given_back.remove(&key).is_some();
        let room = || {
            let of_one = self.given_back.keys().filter(|(subscriber, _)| subscriber == from).count();
            of_one < OF_ONE_MAX && self.given_back.len() < OF_ALL_MAX
        };
        let waits = delivered < TRIES_MAX && (known || room());
        if waits {
            self.given_back.insert(key, now);
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn agency(n: usize) -> SubscriberId {
        format!("agency-{n}").parse().unwrap()
    }

    #[test]
    fn a_receipt_that_no_registry_comes_to_know_does_not_circle_for_ever() {
        let (mut later, mut now, mut delivered) = (Later::default(), Duration::ZERO, 1);
        while later.waits(&agency(0), 7, delivered, now) {
            (now, delivered) = (now + WAIT, delivered + 1);
            assert!(delivered < 1_000, "it circles");
        }
        assert_eq!(delivered, TRIES_MAX);
        assert!(later.given_back.is_empty(), "its place is free again");
    }

    #[test]
    fn one_subscriber_takes_a_bounded_share_of_what_may_wait_and_leaves_room_for_others() {
        let (mut later, now) = (Later::default(), Duration::ZERO);
        let taken = (0..10_000).filter(|n| later.waits(&agency(0), *n, 1, now)).count();
        assert_eq!(taken, OF_ONE_MAX);
        assert!(later.waits(&agency(1), 20_000, 1, now));
        assert!(later.waits(&agency(0), 0, 2, now), "one that waits keeps its place");
        for (a, n) in (0..100).flat_map(|a| (0..100).map(move |n| (a, n))) {
            later.waits(&agency(a), n, 1, now);
        }
        assert_eq!(later.given_back.len(), OF_ALL_MAX);
        assert!(later.waits(&agency(200), 1, 1, now + FORGOTTEN_AFTER), "other nodes took theirs");
    }
}
