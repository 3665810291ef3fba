//! What the machine does with what the broker says, against a small stream that is the truth.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use sallyport_proto::{
    envelope::Digest,
    event::{ReleaseHead, UnverifiedEvent, VerifiedEvent, seal_event},
    ids::{EventId, InstanceId, Jurisdiction, NodeId, Ori},
    key::Signer,
    time::Moment,
    vocabulary::SourceClock,
};

use super::*;
use crate::{fixture, route::Routing};

/// One message of INGEST, owned.
struct Message {
    from: (Jurisdiction, Ori),
    digest: Digest,
    t4: Moment,
    redelivered: bool,
    event: VerifiedEvent,
}

impl Message {
    fn arrival(&self) -> Arrival<'_> {
        Arrival {
            from: &self.from,
            digest: self.digest,
            t4_stored: self.t4,
            sequence: 1,
            redelivered: self.redelivered,
            event: &self.event,
        }
    }

    fn again(self) -> Self {
        Self { redelivered: true, ..self }
    }
}

fn message(n: u32, change: impl FnOnce(&mut ReleaseHead)) -> Message {
    let mut head = fixture::head(n);
    change(&mut head);
    let disclosure = fixture::disclosure(&head, "office");
    let jail = fixture::signer(5);
    let bytes = seal_event(&jail, head, vec![disclosure]);
    let event = UnverifiedEvent::read(&bytes).unwrap().verify(&jail.keyid().parse().unwrap()).unwrap();
    Message {
        from: ("zz".parse().unwrap(), "zz0010000".parse().unwrap()),
        digest: Digest::of(&bytes),
        t4: fixture::moment("2026-11-21T12:00:00Z", SourceClock::Broker),
        redelivered: false,
        event,
    }
}

fn plain(n: u32) -> Message {
    message(n, |_| {})
}

/// Event `n`, which supersedes event `before`.
fn after(n: u32, before: u32) -> Message {
    message(n, |head| {
        head.supersedes = Some(id(before));
        head.revision = 2;
    })
}

fn id(n: u32) -> EventId {
    fixture::uuid(n).parse().unwrap()
}

/// A node, and the stream that it writes to.
struct Bed {
    instance: InstanceId,
    node: NodeId,
    signer: Signer,
    routing: Routing,
    known: Known,
    /// What stands there: routed records by subject, notices by subject.
    stream: BTreeMap<String, usize>,
    committed: BTreeMap<Key, Arc<Accepted>>,
    batches: Vec<usize>,
    /// Records asked for, look by look.
    reads: Vec<usize>,
    /// Events that turned out to be committed no more.
    lost: usize,
    now: jiff::Timestamp,
    waited: Duration,
}

/// What the broker does with one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broker {
    Stores,
    StoresAndSaysNothing,
    SaysNothing,
    Refuses,
    IsFull,
    FindsItTooLarge,
}

impl Bed {
    fn new() -> Self {
        let now = "2026-11-21T12:00:01Z".parse().unwrap();
        let registry = fixture::registry().subscriber("office", &[fixture::subscription("all", "")]).parse();
        Self {
            instance: "zz-test".parse().unwrap(),
            node: "a".parse().unwrap(),
            signer: fixture::signer(1),
            routing: Routing::new(Arc::new(registry), now),
            known: Known::default(),
            stream: BTreeMap::new(),
            committed: BTreeMap::new(),
            batches: Vec::new(),
            reads: Vec::new(),
            lost: 0,
            now,
            waited: Duration::ZERO,
        }
    }

    /// Runs the machine to its end; `script` is used up batch by batch, then the broker stores.
    fn commit(&mut self, messages: &[Message], script: &[Broker]) -> (Vec<Verdict>, Vec<Transition>) {
        let Self {
            instance,
            node,
            signer,
            routing,
            known,
            stream,
            committed,
            batches,
            reads,
            lost,
            now,
            waited,
        } = self;
        let author = Author { instance, build: "test/0", node, signer };
        let arrivals = || messages.iter().map(Message::arrival);
        let ahead = Ahead::of(arrivals(), &author, routing, *now);
        let mut machine = Committing::new(known, arrivals(), ahead);
        let mut script = script.iter();
        for _ in 0..200 {
            match machine.next(&author, routing, *now) {
                Step::Done => {
                    let trail = machine.trail().to_vec();
                    *lost += machine.lost();
                    return (machine.verdicts(arrivals()), trail);
                }
                Step::Pause(time) => *waited += time,
                Step::Read(places) => {
                    reads.push(places.len());
                    let found = places.into_iter().map(|(key, _)| {
                        let found = committed.get(&key).cloned().map_or(Found::Absent, Found::There);
                        (key, found)
                    });
                    machine.handle_read(found.collect::<Vec<_>>());
                }
                Step::Commit(entries) => {
                    batches.push(entries.len());
                    let taken = entries.iter().any(|e| e.first_of_subject && stream.contains_key(&e.subject));
                    let says = *script.next().unwrap_or(&Broker::Stores);
                    if !taken && matches!(says, Broker::Stores | Broker::StoresAndSaysNothing) {
                        entries.iter().for_each(|e| *stream.entry(e.subject.clone()).or_default() += 1);
                        committed.extend(accepted_of(&entries, signer));
                    }
                    machine.handle_commit(match says {
                        _ if taken => Err(NotConfirmed::Taken),
                        Broker::Stores => Ok(()),
                        Broker::StoresAndSaysNothing | Broker::SaysNothing => Err(NotConfirmed::Unknown),
                        Broker::Refuses => Err(NotConfirmed::Refused),
                        Broker::IsFull => Err(NotConfirmed::Full),
                        Broker::FindsItTooLarge => Err(NotConfirmed::TooLarge),
                    });
                }
            }
        }
        panic!("no end");
    }

    /// What another node commits first.
    fn other_node(&mut self, messages: &[Message]) {
        let mine = std::mem::take(&mut self.known);
        self.commit(messages, &[]);
        self.known = mine;
    }

    /// Somebody makes DELIVER anew, empty.
    fn lose_deliver(&mut self) {
        self.stream.clear();
        self.committed.clear();
    }

    fn each_once(&self) {
        assert!(self.stream.values().all(|times| *times == 1), "{:?}", self.stream);
    }
}

fn accepted_of(entries: &[Entry], signer: &Signer) -> Vec<(Key, Arc<Accepted>)> {
    let key = signer.keyid().parse().unwrap();
    let routed = entries.iter().filter(|entry| entry.first_of_subject);
    routed
        .map(|entry| sallyport_proto::routed::Routed::open(&entry.payload, [&key]).unwrap())
        .map(|routed| ((routed.ori.clone(), routed.event_id.clone()), Arc::new(Accepted::from(routed))))
        .collect()
}

fn accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accepted(_))
}

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

fn broker() -> impl Strategy<Value = Broker> {
    prop_oneof![
        3 => Just(Broker::Stores),
        2 => Just(Broker::StoresAndSaysNothing),
        2 => Just(Broker::SaysNothing),
        1 => Just(Broker::Refuses),
        1 => Just(Broker::IsFull),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the broker does to batches: what is said to be accepted stands there, and nothing stands there twice.
    #[test]
    fn accepted_means_committed_and_nothing_is_committed_twice(
        numbers in prop::collection::vec(1_u32..8, 1..10),
        script in prop::collection::vec(broker(), 0..12),
        first in prop::collection::vec(1_u32..8, 0..4),
        mine in prop::collection::vec(1_u32..8, 0..4),
        lost in any::<bool>(),
    ) {
        let mut bed = Bed::new();
        let mine: Vec<Message> = mine.into_iter().map(plain).collect();
        bed.commit(&mine, &[]);
        if lost {
            bed.lose_deliver();
        }
        let others: Vec<Message> = first.into_iter().map(plain).collect();
        bed.other_node(&others);
        let messages: Vec<Message> = numbers.into_iter().map(plain).collect();
        let (verdicts, _) = bed.commit(&messages, &script);
        prop_assert_eq!(verdicts.len(), messages.len());
        for (message, verdict) in messages.iter().zip(&verdicts) {
            let there = bed.committed.contains_key(&message.arrival().key());
            prop_assert!(!accepted(verdict) || there, "accepted, and not there");
        }
        bed.each_once();
        // A broker that works again: everything comes through.
        let messages: Vec<Message> = messages.into_iter().map(Message::again).collect();
        prop_assert!(bed.commit(&messages, &[]).0.iter().all(accepted));
        bed.each_once();
    }
}
