//! A DELIVER that is lost, made anew or unreadable: what is remembered answers nothing.

use super::*;

#[test]
fn nothing_is_answered_from_memory_when_deliver_was_made_anew() {
    let mut bed = Bed::new();
    assert!(accepted(&bed.commit(&[plain(1), plain(2), plain(3)], &[]).0[0]));
    bed.lose_deliver();
    // The same bytes, sent again and delivered for the first time: only a commit makes them accepted.
    let (verdicts, trail) = bed.commit(&[plain(1), plain(2)], &[Broker::IsFull]);
    assert_eq!(verdicts, [Verdict::Again(machine::TRY_LATER), Verdict::Again(machine::TRY_LATER)]);
    assert_eq!(
        trail,
        [Transition::LookedFirst, Transition::UsedAhead, Transition::UsedAhead, Transition::Full]
    );
    let (verdicts, _) = bed.commit(&[plain(1), plain(2).again(), plain(3)], &[]);
    assert!(verdicts.iter().all(accepted));
    assert_eq!(
        (bed.committed.len(), bed.lost),
        (3, 2),
        "the first look showed that nothing remembered counts"
    );
    bed.each_once();
}

#[test]
fn what_is_remembered_is_asked_for_before_it_is_answered_and_nothing_else_is() {
    let mut bed = Bed::new();
    bed.commit(&[plain(1)], &[]);
    bed.reads.clear();
    let (verdicts, trail) = bed.commit(&[plain(1), plain(2)], &[]);
    assert!(verdicts.iter().all(accepted));
    assert_eq!(bed.reads, [1], "the resend alone");
    assert!(trail.contains(&Transition::FoundCommitted) && !trail.contains(&Transition::LostRace));
    assert_eq!(bed.lost, 0);
}

#[test]
fn other_bytes_are_no_conflict_with_what_deliver_lost() {
    let mut bed = Bed::new();
    bed.commit(&[plain(1)], &[]);
    bed.lose_deliver();
    let (verdicts, _) = bed.commit(&[message(1, |head| head.seq = 99)], &[]);
    assert!(accepted(&verdicts[0]), "a refusal for good needs a record: {verdicts:?}");
}

#[test]
fn a_batch_below_the_one_before_shows_another_stream_and_takes_back_what_was_confirmed_on_the_old_one() {
    let bed = Bed::new();
    let author = Author { instance: &bed.instance, build: "test/0", node: &bed.node, signer: &bed.signer };
    let mut known = Known::default();
    let stored = |known: &mut Known, message: &Message, before: Option<&Message>, sequence: u64| {
        let arrivals = || before.into_iter().chain([message]).map(Message::arrival);
        let mut machine = Committing::new(known, arrivals(), Ahead::default());
        loop {
            match machine.next(&author, &bed.routing, bed.now) {
                Step::Read(places) => {
                    let there = |key| {
                        let record =
                            before.map(|m| Arc::new(as_committed(m, &author, &bed.routing, bed.now)));
                        (key, record.map_or(Found::Absent, Found::There))
                    };
                    machine.handle_read(places.into_iter().map(|(key, _)| there(key)).collect::<Vec<_>>());
                }
                Step::Commit(_) => {
                    machine.handle_stored(sequence);
                    machine.handle_commit(Ok(()));
                }
                Step::Pause(_) => {}
                Step::Done => return machine.verdicts(arrivals()),
            }
        }
    };
    assert!(stored(&mut known, &plain(1), None, 7).iter().all(accepted));
    assert!(stored(&mut known, &plain(2), None, 9).iter().all(accepted));
    assert!(known.remembered(&plain(1).arrival().key()).is_some());
    // The first was found at the leader; then the stream became another, as the second's batch shows.
    let verdicts = stored(&mut known, &plain(3), Some(&plain(1)), 2);
    assert_eq!((&verdicts[0], accepted(&verdicts[1])), (&Verdict::Again(machine::TRY_LATER), true));
    assert!(known.remembered(&plain(1).arrival().key()).is_none());
    assert!(known.remembered(&plain(3).arrival().key()).is_some());
    known.handle_connected(2);
    assert!(known.remembered(&plain(3).arrival().key()).is_none(), "another connection, another memory");
}

#[test]
fn a_record_that_nobody_can_read_does_not_keep_its_neighbours_from_being_committed() {
    let bed = Bed::new();
    let mut known = Known::default();
    let (unreadable, well) = (plain(1).again(), plain(2));
    let author = Author { instance: &bed.instance, build: "test/0", node: &bed.node, signer: &bed.signer };
    let arrivals = || [unreadable.arrival(), well.arrival()];
    let mut machine = Committing::new(&mut known, arrivals(), Ahead::default());
    let Step::Read(places) = machine.next(&author, &bed.routing, bed.now) else { panic!() };
    machine.handle_read(places.into_iter().map(|(key, _)| (key, Found::Unknown)));
    assert!(matches!(machine.next(&author, &bed.routing, bed.now), Step::Commit(_)));
    machine.handle_commit(Ok(()));
    assert!(matches!(machine.next(&author, &bed.routing, bed.now), Step::Done));
    let verdicts = machine.verdicts(arrivals());
    assert_eq!((&verdicts[0], accepted(&verdicts[1])), (&Verdict::Again(machine::TRY_LATER), true));
}

fn as_committed(message: &Message, author: &Author<'_>, routing: &Routing, now: jiff::Timestamp) -> Accepted {
    let draft = draft::make(author, routing, &message.arrival(), &predecessor::Predecessor::None, now);
    Arc::into_inner(draft.accepted).unwrap()
}
