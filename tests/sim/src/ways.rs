//! The ways of a delivery that the fold of a run must have gone: every legal move of the relay's own table, but for those
//! that no simulated stream leads to. Which these are, and why, stands here and nowhere else.

use std::collections::BTreeMap;

use sallyport_relay_core::{
    delivery::{Move, Status},
    ledger::Model,
};

/// One legal move, from where.
pub(crate) type Way = (Status, Move);

/// Why, and which.
type LeftOut = (&'static str, fn(Way) -> bool);

/// Why some ways are not gone here, with which they are. A way that is gone all the same, or that is not legal any more,
/// makes its line stale, and a run or the test below says so.
const NOT_HERE: &[LeftOut] = &[
    // A recorded decision: nothing simulated writes to CONTROL.
    ("only by a CONTROL record: given up", |(_, step)| step == Move::DeadLettered),
    // The ladder of attempts and its end are decided by CONTROL records, too.
    ("only by a CONTROL record: the ladder ended", |(_, step)| step == Move::LadderEnded),
    // Outcomes come from agencies about custodies, and no relay folds them yet.
    ("no outcome is folded yet", |(_, step)| step == Move::Outcome),
    // DELIVER holds one attempt of each notice until a ladder repeats it.
    ("no second attempt without a ladder", |(from, step)| from == Status::Relayed && step == Move::Stored),
    // All attempts are replayed before anything that happened to them.
    ("attempts are replayed first", |(from, step)| from > Status::Relayed && step == Move::Stored),
    // The fold knows a notice by its attempt: none that has happenings is still pending.
    ("nothing happens to what is pending", |(from, step)| {
        from == Status::Pending && step == Move::Superseded
    }),
];

/// Why it is not to be seen here, if it is not.
fn is_not_here(way: Way) -> Option<&'static str> {
    NOT_HERE.iter().find(|(_, is_it)| is_it(way)).map(|(why, _)| *why)
}

/// Every way that must be gone.
pub(crate) fn all() -> impl Iterator<Item = Way> {
    Status::ways().filter(|way| is_not_here(*way).is_none())
}

/// The ways that the deliveries of one model went, with how often.
pub(crate) fn gone(model: &Model) -> BTreeMap<Way, u64> {
    let mut gone = BTreeMap::new();
    let ids: std::collections::BTreeSet<_> = model.notices.keys().map(|(id, _)| id).collect();
    let standings = ids.into_iter().filter_map(|id| model.notice(id)?.standing());
    for standing in standings {
        for way in standing.delivery.trail() {
            *gone.entry(*way).or_default() += 1;
        }
    }
    gone
}

/// What was gone although it is not to be seen here: the list is stale.
pub(crate) fn stale(gone: &BTreeMap<Way, u64>) -> Vec<String> {
    let named = |way: &Way| {
        Some(format!("a delivery went {way:?}, and does not by the list: {}", is_not_here(*way)?))
    };
    gone.keys().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_leaves_out_a_way_that_is_legal_and_no_other_line_does() {
        for (why, is_it) in NOT_HERE {
            let ways: Vec<Way> = Status::ways().filter(|way| is_it(*way)).collect();
            assert!(!ways.is_empty(), "nothing is left out because: {why}");
            let only_here = |way: &Way| NOT_HERE.iter().filter(|(_, other)| other(*way)).count() == 1;
            assert!(ways.iter().all(only_here), "left out twice: {why}");
        }
        assert!(all().count() > 20, "there are ways left to go");
    }

    #[test]
    fn a_way_that_is_gone_all_the_same_makes_the_list_stale() {
        let gone = BTreeMap::from([((Status::Seen, Move::DeadLettered), 1), ((Status::Seen, Move::Seen), 1)]);
        assert_eq!(stale(&gone).len(), 1);
    }
}
