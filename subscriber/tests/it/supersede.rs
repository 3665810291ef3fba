//! Only the newest revision of a custody is handed over as actionable; the others are receipted and shown as superseded.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sallyport_proto::{provenance::TrafficClass, vocabulary::ReleaseState};

use crate::{keep::Bench, world::Case};

/// Keeps the batches and gives, by revision, what receipt and log said about being superseded.
fn superseded(bench: &mut Bench, batches: &[Vec<Case>]) -> BTreeMap<u32, bool> {
    let mut said = BTreeMap::new();
    for batch in batches {
        let kept = bench.keep_cases(batch);
        let receipts = bench.receipts(&kept);
        let by_receipt: BTreeMap<String, bool> = receipts
            .iter()
            .flat_map(|r| &r.notices)
            .map(|n| (n.notice_id.to_string(), n.superseded))
            .collect();
        for line in &kept.handed_over {
            assert_eq!(by_receipt[&line.notice_id], line.superseded, "receipt and log");
            said.insert(line.revision, line.superseded);
        }
    }
    said
}

fn life(revisions: usize) -> Vec<Case> {
    let states = [ReleaseState::Expected, ReleaseState::InProcess, ReleaseState::Released];
    let first = Case { state: states[0], ..Case::default() };
    std::iter::successors(Some(first), |last| Some(last.then(states[last.revision as usize % 3])))
        .take(revisions)
        .collect()
}

#[test]
fn after_a_gap_only_the_newest_of_a_batch_is_actionable() {
    let mut bench = Bench::new();
    let said = superseded(&mut bench, &[life(3)]);
    assert_eq!(said, BTreeMap::from([(1, true), (2, true), (3, false)]));
}

#[test]
fn a_late_older_one_is_receipted_and_shown_as_superseded() {
    let mut bench = Bench::new();
    let [first, second, third] = life(3).try_into().ok().unwrap();
    let said = superseded(&mut bench, &[vec![second], vec![first], vec![third]]);
    assert_eq!(said, BTreeMap::from([(1, true), (2, false), (3, false)]));
    // By now the second one is superseded, too, and whoever hands it over late sees that.
    let rows = bench.store.list(10, None).unwrap();
    let now: BTreeMap<u32, bool> = rows.into_iter().map(|row| (row.revision, row.superseded)).collect();
    assert_eq!(now, BTreeMap::from([(1, true), (2, true), (3, false)]));
    let due = bench.store.due(jiff::Timestamp::now()).unwrap();
    assert_eq!(due.iter().filter(|due| !due.superseded).count(), 1);
}

#[test]
fn custodies_do_not_supersede_each_other_and_an_exercise_nothing_real() {
    let mut bench = Bench::new();
    let real = Case { traffic: TrafficClass::Actual, ..Case::default() };
    let exercise = Case { revision: 5, ..Case::default() };
    let said = superseded(&mut bench, &[vec![exercise, real, Case { revision: 3, ..Case::custody(2) }]]);
    assert_eq!(said, BTreeMap::from([(1, false), (3, false), (5, false)]));
}

#[test]
fn a_jail_that_lost_its_store_is_not_silenced_by_what_it_sent_before() {
    let mut bench = Bench::new();
    let before = Case { revision: 4, ..Case::default() };
    let mut after = before.then(ReleaseState::Released);
    (after.epoch, after.revision) = ("e2".into(), 1);
    assert_eq!(
        superseded(&mut bench, &[vec![before], vec![after]]),
        BTreeMap::from([(1, false), (4, false)])
    );
    assert_eq!(bench.store.list(10, None).unwrap().iter().filter(|row| row.superseded).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever the order and the batches: exactly the newest revision is not superseded in the end, and what was
    /// superseded when it came was older than something that came before it or with it.
    #[test]
    fn in_any_order_and_any_batches_exactly_the_newest_stays_actionable(
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        cuts in prop::collection::vec(1..4usize, 6),
    ) {
        let mut bench = Bench::new();
        let cases = life(6);
        let mut left = order.as_slice();
        let mut newest_so_far = 0;
        for cut in cuts {
            let (batch, rest) = left.split_at(cut.min(left.len()));
            left = rest;
            newest_so_far = batch.iter().map(|n| cases[*n].revision).fold(newest_so_far, u32::max);
            let batch: Vec<Case> = batch.iter().map(|n| cases[*n].clone()).collect();
            for (revision, superseded) in superseded(&mut bench, std::slice::from_ref(&batch)) {
                prop_assert_eq!(superseded, revision < newest_so_far);
            }
        }
        let rows = bench.store.list(10, None).unwrap();
        let newest = rows.iter().map(|row| row.revision).max();
        for row in rows {
            prop_assert_eq!(row.superseded, Some(row.revision) != newest);
        }
    }
}
