//! Whatever the broker does.

use proptest::prelude::*;

use super::*;

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
