//! Tests of the tests: each deliberate defect is found within a few seeds, by a finding that speaks of it.

#![allow(clippy::print_stdout, reason = "with which seed a mutant is caught is worth knowing")]

use sallyport_sim::{Mutant, Options, kept_seeds, run};

/// A defect that needs more luck than this would slip through.
const SEEDS_MAX: u64 = 60;

fn is_caught(mutant: Mutant, by: &[&str]) {
    for seed in kept_seeds().into_iter().chain(1..=SEEDS_MAX) {
        let outcome = run(seed, &Options { mutant: Some(mutant), ..Options::default() });
        let caught = outcome.findings.iter().find(|finding| by.iter().any(|word| finding.contains(word)));
        if let Some(finding) = caught {
            println!("{mutant:?} is caught with seed {seed}: {finding}");
            return;
        }
    }
    panic!("{mutant:?} is not caught by {SEEDS_MAX} seeds");
}

#[test]
fn a_row_that_retires_on_a_puback_is_caught() {
    is_caught(Mutant::RetireOnPubAck, &["closed and the event is not on DELIVER"]);
}

#[test]
fn an_event_that_is_settled_before_it_is_committed_is_caught() {
    is_caught(Mutant::SettleBeforeCommit, &["settled and is neither routed nor parked"]);
}

#[test]
fn an_answer_on_a_refused_batch_without_a_leader_read_is_caught() {
    is_caught(Mutant::AnswerWithoutLeaderRead, &["was accepted and is not on DELIVER"]);
}

#[test]
fn a_decision_without_an_expected_sequence_is_caught() {
    is_caught(Mutant::NoExpectedSequence, &["was routed twice", "stands on DELIVER twice"]);
}

#[test]
fn an_effect_in_the_fold_is_caught() {
    is_caught(Mutant::EffectInFold, &["times and delivered"]);
}

#[test]
fn a_notice_that_is_settled_before_it_is_stored_is_caught() {
    is_caught(Mutant::SettleBeforeStore, &["settled and has no receipt"]);
}

#[test]
fn a_hand_over_before_the_store_is_caught() {
    is_caught(Mutant::HandOverBeforeStore, &["handed over twice"]);
}

#[test]
fn a_row_that_waits_for_a_clock_that_was_ahead_is_caught() {
    is_caught(Mutant::WaitForAClockThatWasAhead, &["open rows"]);
}

#[test]
fn a_receipt_that_is_settled_because_an_older_registry_cannot_place_it_is_caught() {
    is_caught(Mutant::SettleUnplacedReceipts, &["settled and never passed on"]);
}

#[test]
fn a_refusal_for_good_that_counts_as_told_is_caught() {
    is_caught(Mutant::RefusedCountsAsTold, &["was never told"]);
}

#[test]
fn an_acceptance_after_a_refusal_that_counts_as_told_to_nobody_is_caught() {
    is_caught(Mutant::AcceptedAfterRefusalIsForgotten, &["was never told"]);
}

#[test]
fn a_head_that_counts_before_the_commit_is_caught() {
    is_caught(Mutant::HeadCountsBeforeCommit, &["a head claims"]);
}

#[test]
fn a_bridge_that_does_not_count_what_comes_again_is_caught() {
    is_caught(Mutant::RedeliveriesDoNotCount, &["are missing by the bridge"]);
}

#[test]
fn an_agent_that_takes_what_was_accepted_for_safe_is_caught() {
    is_caught(Mutant::IgnoreResendOfAccepted, &["INGEST and DELIVER do not hold it"]);
}

#[test]
fn a_node_that_compares_numbers_with_ingest_alone_is_caught() {
    is_caught(Mutant::MendLooksAtNumbersOnly, &["INGEST and DELIVER do not hold it"]);
}

#[test]
fn a_node_that_takes_a_part_of_its_model_for_the_whole_is_caught() {
    is_caught(Mutant::MendByAPartOfTheModel, &["asked to send again what was not lost"]);
}

#[test]
fn what_was_lost_shows_at_the_agencies_and_not_only_at_the_broker() {
    let lost = (1..=SEEDS_MAX).any(|seed| {
        let outcome = run(seed, &Options { mutant: Some(Mutant::RetireOnPubAck), ..Options::default() });
        outcome.lost > 0
    });
    assert!(lost, "a row that retires on a PubAck loses nothing in {SEEDS_MAX} seeds");
}
