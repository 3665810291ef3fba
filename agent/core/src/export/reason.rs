//! One reason for a custody, from the texts of its charge rows.
//!
//! (1) A row of a deciding rank that ended shortly before the door, or after it, says into whose hands the person went.
//! (2) Else the rows of other ranks with the latest end; (3) on a tie the lower rank, then the place in the table.
//! Only older rows of deciding ranks, or no text at all: UNKNOWN.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use crate::mapping::{Disposition, Precedence};

/// One row with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) text: String,
    pub(super) meaning: Disposition,
    /// When the charge ended. Where the export has no such column at all: the door.
    pub(super) ended: Option<Timestamp>,
}

/// The row that decides, for a door at this time.
pub(super) fn decide<'r>(rows: &'r [Stated], door: Timestamp, rules: &Precedence) -> Option<&'r Stated> {
    let within = SignedDuration::from_hours(i64::from(rules.decides_within_h));
    let since = door.checked_sub(within).unwrap_or(Timestamp::MIN);
    let decides = |row: &&Stated| row.meaning.rank <= rules.decides_rank_max;
    let recent = rows
        .iter()
        .filter(decides)
        .filter(|row| row.ended.is_some_and(|ended| ended >= since))
        .min_by_key(|row| (row.meaning.rank, Reverse(row.ended), row.meaning.place, &row.text));
    recent.or_else(|| {
        rows.iter()
            .filter(|row| !decides(row))
            // A row without an end comes after all that have one: nothing is less than None.
            .min_by_key(|row| (Reverse(row.ended), row.meaning.rank, row.meaning.place, &row.text))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sallyport_proto::vocabulary::{Certainty, ReleaseReason, ReleaseState};

    const RULES: Precedence = Precedence {
        decides_rank_max: 2,
        decides_within_h: 24,
        unmapped_rank: 99,
        unmapped_state: ReleaseState::Released,
        unmapped_certainty: Certainty::Likely,
    };

    /// Rows are (rank, place, hours from the door or none); the expected one is named by its position.
    fn check(rows: &[(u32, usize, Option<i64>)], expect: Option<usize>) {
        let door: Timestamp = "2026-03-17T12:00:00Z".parse().unwrap();
        let stated: Vec<Stated> = rows
            .iter()
            .enumerate()
            .map(|(n, &(rank, place, hours))| Stated {
                text: n.to_string(),
                meaning: Disposition {
                    rank,
                    place,
                    reason: ReleaseReason::Unknown,
                    state: ReleaseState::Released,
                    certainty: Certainty::Confirmed,
                    health: false,
                },
                ended: hours.map(|hours| door + SignedDuration::from_hours(hours)),
            })
            .collect();
        let decided = decide(&stated, door, &RULES).map(|row| row.text.clone());
        assert_eq!(decided, expect.map(|n| n.to_string()), "{rows:?}");
        let reversed: Vec<Stated> = stated.into_iter().rev().collect();
        assert_eq!(decide(&reversed, door, &RULES).map(|row| row.text.clone()), decided);
    }

    #[test]
    fn a_deciding_rank_wins_while_it_ended_at_most_a_day_before_the_door() {
        check(&[(6, 3, Some(-1)), (2, 1, Some(-24))], Some(1));
        check(&[(6, 3, Some(-1)), (2, 1, Some(-25))], Some(0));
        check(&[(6, 3, Some(-1)), (2, 1, Some(200))], Some(1));
        check(&[(6, 3, Some(-1)), (2, 1, None)], Some(0));
    }

    #[test]
    fn among_deciding_rows_the_lowest_rank_wins_then_the_latest_end() {
        check(&[(2, 1, Some(5)), (1, 0, Some(-20))], Some(1));
        check(&[(2, 1, Some(-3)), (2, 2, Some(-2))], Some(1));
    }

    #[test]
    fn otherwise_the_latest_end_wins_then_the_lower_rank_then_the_place_in_the_table() {
        check(&[(3, 4, Some(-9)), (9, 8, Some(-8))], Some(1));
        check(&[(9, 8, Some(-8)), (3, 4, Some(-8))], Some(1));
        check(&[(8, 10, Some(-8)), (8, 9, Some(-8))], Some(1));
        check(&[(3, 4, None), (9, 8, Some(-800))], Some(1));
    }

    #[test]
    fn only_older_deciding_rows_decide_nothing() {
        check(&[(2, 1, Some(-25)), (1, 0, Some(-900))], None);
        check(&[], None);
    }
}
