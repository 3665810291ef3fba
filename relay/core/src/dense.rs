//! A set of sequence numbers that are given without gaps, and so a statement of what is missing. Kept as ranges: a facility
//! that lost nothing costs one, however much it sent.
//!
//! Out of scope: whose numbers they are, and what is done about a missing one (`audit`, the relay's shell).

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

/// Numbers from 1 on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dense {
    /// First of a range to its last; ranges neither touch nor overlap.
    ranges: BTreeMap<u64, u64>,
}

/// Numbers that are missing, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// The first that is missing.
    pub first: u64,
    /// The last that is missing.
    pub last: u64,
}

impl Gap {
    /// How many.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    /// What of it is not below `from`.
    pub fn not_below(&self, from: u64) -> Option<Self> {
        (self.last >= from).then(|| Self { first: self.first.max(from), last: self.last })
    }

    /// Each of them: as many as somebody stated, so never to be collected without a bound.
    pub fn numbers(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// The same numbers in order, what touches or overlaps as one.
    pub fn joined(mut gaps: Vec<Self>) -> Vec<Self> {
        gaps.sort_unstable();
        gaps.into_iter().fold(Vec::new(), |mut joined: Vec<Self>, gap| {
            match joined.last_mut() {
                Some(before) if gap.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(gap.last);
                }
                _ => joined.push(gap),
            }
            joined
        })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Dense {
    /// Notes a number; false when it was there.
    pub fn insert(&mut self, n: u64) -> bool {
        let before = self.ranges.range(..=n).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| n <= last) {
            return false;
        }
        let last = match n.checked_add(1).and_then(|next| self.ranges.remove(&next)) {
            Some(last) => last,
            None => n,
        };
        match before {
            // `last + 1` cannot overflow: it is below `n`.
            Some((first, end)) if end + 1 == n => self.ranges.insert(first, last),
            _ => self.ranges.insert(n, last),
        };
        true
    }

    /// Whether it is there.
    pub fn contains(&self, n: u64) -> bool {
        self.ranges.range(..=n).next_back().is_some_and(|(_, &last)| n <= last)
    }

    /// What is there, lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = Gap> {
        self.ranges.iter().map(|(&first, &last)| Gap { first, last })
    }

    /// The lowest.
    pub fn first(&self) -> Option<u64> {
        self.ranges.keys().next().copied()
    }

    /// The highest.
    pub fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }

    /// What is missing from `from` to `to`, both included, lowest first.
    pub fn missing(&self, from: u64, to: u64) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut next = from;
        let start = self.ranges.range(..=from).next_back().map_or(from, |(&first, _)| first);
        for (&first, &last) in self.ranges.range(start..) {
            if first > to {
                break;
            }
            if first > next {
                gaps.push(Gap { first: next, last: first - 1 });
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= to {
            gaps.push(Gap { first: next, last: to });
        }
        gaps
    }
}

impl FromIterator<u64> for Dense {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut dense = Self::default();
        for n in numbers {
            dense.insert(n);
        }
        dense
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_is_named_by_its_ends() {
        let dense: Dense = [1, 2, 3, 7, 8, 10].into_iter().collect();
        let gaps = dense.missing(1, 12);
        assert_eq!(gaps.iter().map(Gap::to_string).collect::<Vec<_>>(), ["4-6", "9", "11-12"]);
        assert!(dense.missing(1, 3).is_empty());
        assert_eq!(dense.missing(5, 5), [Gap { first: 5, last: 5 }]);
    }

    proptest! {
        #[test]
        fn joined_gaps_hold_the_same_numbers_and_never_touch(
            gaps in prop::collection::vec((1_u64..60, 0_u64..8), 0..12),
        ) {
            let gaps: Vec<Gap> = gaps.into_iter().map(|(first, more)| Gap { first, last: first + more }).collect();
            let mut numbers: Vec<u64> = gaps.iter().flat_map(Gap::numbers).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let joined = Gap::joined(gaps);
            prop_assert_eq!(joined.iter().flat_map(Gap::numbers).collect::<Vec<_>>(), numbers);
            prop_assert!(joined.windows(2).all(|two| two[0].last + 1 < two[1].first));
        }

        #[test]
        fn what_is_missing_is_what_was_not_put_in(numbers in prop::collection::btree_set(1_u64..60, 0..40), from in 1_u64..60, to in 1_u64..60) {
            let dense: Dense = numbers.iter().rev().copied().collect();
            let missing: Vec<u64> = dense.missing(from, to).iter().flat_map(Gap::numbers).collect();
            let expected: Vec<u64> = (from..=to).filter(|n| !numbers.contains(n)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert_eq!(dense.last(), numbers.last().copied());
            prop_assert!(numbers.iter().all(|n| dense.contains(*n)));
        }
    }
}
