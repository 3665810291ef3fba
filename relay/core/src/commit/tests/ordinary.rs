//! Batches, looks and races on a stream that stays what it is.

use super::*;

#[test]
fn what_waits_together_is_one_batch_of_notices_and_routed_records() {
    let mut bed = Bed::new();
    let (verdicts, trail) = bed.commit(&[plain(1), plain(2), plain(3)], &[]);
    assert!(verdicts.iter().all(accepted));
    assert_eq!(bed.batches, [6]);
    assert_eq!(trail.iter().filter(|t| **t == Transition::UsedAhead).count(), 3);
    bed.each_once();
}

#[test]
fn a_batch_that_was_stored_and_never_confirmed_is_found_and_not_written_again() {
    let mut bed = Bed::new();
    let (verdicts, _) = bed.commit(&[plain(1), plain(2)], &[Broker::StoresAndSaysNothing]);
    assert!(verdicts.iter().all(accepted));
    assert_eq!(bed.batches, [4]);
    bed.each_once();
}

#[test]
fn nothing_is_accepted_that_no_record_and_no_confirmation_shows() {
    let mut bed = Bed::new();
    let (verdicts, trail) = bed.commit(&[plain(1)], &[Broker::SaysNothing; 20]);
    assert_eq!(verdicts, [Verdict::Again(machine::TRY_LATER)]);
    assert_eq!(trail.last(), Some(&Transition::LeftToRedelivery));
    assert!(bed.waited > Duration::from_secs(1), "tries follow each other more and more slowly");
    assert!(bed.stream.is_empty());
}

#[test]
fn a_full_stream_leaves_everything_to_redelivery_at_once() {
    let mut bed = Bed::new();
    let (verdicts, _) = bed.commit(&[plain(1), plain(2)], &[Broker::IsFull]);
    assert_eq!(verdicts, [Verdict::Again(machine::TRY_LATER), Verdict::Again(machine::TRY_LATER)]);
    assert_eq!(bed.batches.len(), 1);
}

#[test]
fn one_event_that_is_too_large_is_found_among_many_and_the_others_are_committed() {
    let mut bed = Bed::new();
    let messages: Vec<Message> = (1..=8).map(plain).collect();
    // Refused as 8, 4, 2 and 1: the first is at fault.
    let (verdicts, trail) = bed.commit(&messages, &[Broker::FindsItTooLarge; 4]);
    assert_eq!(verdicts[0], Verdict::TooLarge);
    assert!(verdicts[1..].iter().all(accepted), "{verdicts:?}");
    assert!(trail.contains(&Transition::TooLarge));
    bed.each_once();
}

#[test]
fn of_two_nodes_the_first_commit_wins_and_both_say_the_same() {
    let mut bed = Bed::new();
    bed.other_node(&[plain(1)]);
    let (verdicts, trail) = bed.commit(&[plain(1), plain(2)], &[]);
    assert!(verdicts.iter().all(accepted));
    assert!(trail.contains(&Transition::LostRace) && trail.contains(&Transition::FoundCommitted));
    bed.each_once();
}

#[test]
fn what_was_delivered_before_is_looked_for_before_anything_is_written() {
    let mut bed = Bed::new();
    bed.other_node(&[plain(1)]);
    let (verdicts, trail) = bed.commit(&[plain(1).again()], &[]);
    assert!(accepted(&verdicts[0]));
    assert_eq!(trail, [Transition::LookedFirst, Transition::FoundCommitted]);
}

#[test]
fn other_bytes_under_a_committed_event_id_are_a_conflict_also_within_one_batch() {
    let mut bed = Bed::new();
    let other = || message(1, |head| head.seq = 99);
    let (verdicts, _) = bed.commit(&[plain(1), other(), plain(1)], &[]);
    assert!(accepted(&verdicts[0]) && matches!(verdicts[1], Verdict::Conflict(_)) && accepted(&verdicts[2]));
    assert!(matches!(bed.commit(&[other()], &[]).0[0], Verdict::Conflict(_)));
    bed.each_once();
}

#[test]
fn a_revision_waits_for_its_predecessor_and_after_a_minute_goes_without_it() {
    let mut bed = Bed::new();
    let (verdicts, trail) = bed.commit(&[after(2, 1)], &[]);
    assert_eq!(verdicts, [Verdict::Again(LOOK_AGAIN)]);
    assert!(trail.contains(&Transition::PutOff));
    bed.now += WAIT_MAX + jiff::SignedDuration::from_secs(2);
    let (verdicts, trail) = bed.commit(&[after(2, 1).again()], &[]);
    let Verdict::Accepted(routed) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(routed.event.predecessor_missing && trail.contains(&Transition::WithoutPredecessor));
}

#[test]
fn a_revision_goes_into_the_batch_of_its_predecessor_and_after_it() {
    let mut bed = Bed::new();
    let (verdicts, _) = bed.commit(&[plain(1), after(2, 1)], &[]);
    assert!(verdicts.iter().all(accepted));
    assert_eq!(bed.batches, [4]);
    // The other way round the predecessor is committed now and the revision at its redelivery.
    let mut bed = Bed::new();
    let (verdicts, _) = bed.commit(&[after(2, 1), plain(1)], &[]);
    assert_eq!((verdicts[0].clone(), accepted(&verdicts[1])), (Verdict::Again(LOOK_AGAIN), true));
    assert!(accepted(&bed.commit(&[after(2, 1).again()], &[]).0[0]));
}

#[test]
fn a_leader_that_cannot_be_asked_leaves_everything_to_redelivery() {
    let bed = Bed::new();
    let mut known = Known::default();
    let again = plain(1).again();
    let author = Author { instance: &bed.instance, build: "test/0", node: &bed.node, signer: &bed.signer };
    let mut machine = Committing::new(&mut known, [again.arrival()], Ahead::default());
    let Step::Read(places) = machine.next(&author, &bed.routing, bed.now) else { panic!() };
    machine.handle_read(places.into_iter().map(|(key, _)| (key, Found::Unknown)));
    assert!(matches!(machine.next(&author, &bed.routing, bed.now), Step::Done));
    assert_eq!(machine.verdicts([again.arrival()]), [Verdict::Again(machine::TRY_LATER)]);
}
