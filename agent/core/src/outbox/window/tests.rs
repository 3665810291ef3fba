//! Whatever comes and whatever is answered: the window is kept, no revision overtakes its predecessor, nothing starves.
#![allow(clippy::unwrap_used)]
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const SMALL: Limits =
    Limits { unanswered: 12, for_live: 4, for_backlog: 2, in_flight: 8, in_flight_for_each: 2 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Waiting,
    Out(Share),
    Due(Share),
    Answered,
}

#[derive(Debug, Clone)]
struct Kept {
    lane: Lane,
    custody: u8,
    stored: i64,
    at: At,
}

/// A jail's outbox, as plainly as it can be said.
struct Jail {
    window: Window,
    rows: Vec<Kept>,
    now: i64,
    order: Vec<usize>,
}

impl Jail {
    fn new() -> Self {
        Self { window: Window::new(SMALL), rows: Vec::new(), now: 0, order: Vec::new() }
    }

    fn state(&mut self, lane: Lane, custody: u8) {
        self.rows.push(Kept { lane, custody, stored: self.now, at: At::Waiting });
    }

    fn numbers(&self, wanted: impl Fn(&Kept) -> bool) -> Vec<i64> {
        (0..).zip(&self.rows).filter(|(_, row)| wanted(row)).map(|(n, _)| n).collect()
    }

    fn send(&mut self) -> Vec<(i64, Share)> {
        let fresh = |row: &Kept| row.lane == Lane::Live && self.now - row.stored <= FRESH_FOR.as_secs();
        let waits = |row: &Kept| row.at == At::Waiting;
        let offer = Offer {
            fresh: self.numbers(|row| waits(row) && fresh(row)).into_iter().rev().collect(),
            again: self.numbers(|row| matches!(row.at, At::Due(_))),
            backlog: self.numbers(|row| waits(row) && !fresh(row) && row.lane != Lane::Backfill),
            backfill: self.numbers(|row| waits(row) && row.lane == Lane::Backfill),
        };
        let earlier = |n: i64| {
            let row = &self.rows[n as usize];
            let before = self.numbers(|other| waits(other) && other.custody == row.custody);
            Ok::<_, Infallible>(before.into_iter().filter(|other| *other < n).collect())
        };
        let mut window = self.window.clone();
        let chosen = window.choose(&offer, self.unanswered(), earlier).unwrap();
        self.window = window;
        for (n, share) in &chosen {
            let row = &mut self.rows[*n as usize];
            row.at = match (row.at, share) {
                (At::Due(share), Share::Again) => At::Out(share),
                (At::Waiting, share) => At::Out(*share),
                (at, _) => panic!("row {n} was chosen while {at:?}"),
            };
            self.order.push(*n as usize);
        }
        chosen
    }

    fn unanswered(&self) -> Unanswered {
        let count = |wanted: fn(At) -> bool| self.rows.iter().filter(|row| wanted(row.at)).count();
        Unanswered {
            live: count(|at| matches!(at, At::Out(Share::Live) | At::Due(Share::Live))),
            backlog: count(|at| matches!(at, At::Out(Share::Backlog) | At::Due(Share::Backlog))),
            due: count(|at| matches!(at, At::Due(_))),
            in_flight_live: 0,
            in_flight_rest: 0,
        }
    }

    fn change(&mut self, from: fn(At) -> Option<At>, nth: usize) {
        let able = self.numbers(|row| from(row.at).is_some());
        if let Some(n) = able.get(nth % able.len().max(1)) {
            let row = &mut self.rows[*n as usize];
            row.at = from(row.at).unwrap();
        }
    }

    fn answer(&mut self, nth: usize) {
        self.change(|at| matches!(at, At::Out(_) | At::Due(_)).then_some(At::Answered), nth);
    }

    fn grow_due(&mut self, nth: usize) {
        let due = |at| if let At::Out(share) = at { Some(At::Due(share)) } else { None };
        self.change(due, nth);
    }
}

#[derive(Debug, Clone)]
enum Step {
    State(Lane, u8, usize),
    Send,
    Answer(usize, u64),
    Due(usize),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop::sample::select(Lane::ALL.to_vec());
    prop_oneof![
        3 => (lane, 0..6u8, 1..20usize).prop_map(|(lane, custody, count)| Step::State(lane, custody, count)),
        6 => Just(Step::Send),
        6 => (any::<usize>(), 0..400u64).prop_map(|(nth, ms)| Step::Answer(nth, ms)),
        2 => any::<usize>().prop_map(Step::Due),
        1 => (0..90i64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn the_window_is_kept_and_nobody_overtakes_its_predecessor(steps in prop::collection::vec(step(), 0..200)) {
        let mut jail = Jail::new();
        for step in steps {
            match step {
                Step::State(lane, custody, count) => (0..count).for_each(|_| jail.state(lane, custody)),
                Step::Send => {
                    let chosen = jail.send();
                    prop_assert!(chosen.len() <= SMALL.in_flight);
                    let held = jail.unanswered();
                    prop_assert!(held.live + held.backlog <= SMALL.unanswered, "{:?}", held);
                    prop_assert!(held.backlog <= SMALL.unanswered - SMALL.for_live, "{:?}", held);
                    for n in jail.numbers(|row| row.at != At::Waiting) {
                        let custody = jail.rows[n as usize].custody;
                        let overtaken = jail.numbers(|row| row.at == At::Waiting && row.custody == custody);
                        prop_assert!(overtaken.iter().all(|waiting| *waiting > n), "{} before {:?}", n, overtaken);
                    }
                }
                Step::Answer(nth, ms) => {
                    jail.answer(nth);
                    jail.window.handle_answered(Duration::from_millis(ms));
                }
                Step::Due(nth) => jail.grow_due(nth),
                Step::Wait(seconds) => jail.now += seconds,
            }
        }
        let mut first: Vec<usize> = Vec::new();
        jail.order.iter().for_each(|n| if !first.contains(n) { first.push(*n) });
        for (place, n) in first.iter().enumerate() {
            let later = &first[place + 1..];
            prop_assert!(later.iter().all(|m| m > n || jail.rows[*m].custody != jail.rows[*n].custody));
        }
    }

    #[test]
    fn nothing_starves_however_much_is_stated(
        waiting in prop::collection::vec((prop::sample::select(Lane::ALL.to_vec()), 0..40u8), 1..60),
        stated_each_time in 0..12usize,
        slow in any::<bool>(),
    ) {
        let mut jail = Jail::new();
        waiting.iter().for_each(|(lane, custody)| jail.state(*lane, *custody));
        jail.now += 2 * FRESH_FOR.as_secs();
        let mut rounds = 0;
        while jail.rows[..waiting.len()].iter().any(|row| row.at == At::Waiting) {
            (0..stated_each_time).for_each(|n| jail.state(Lane::Live, 100 + n as u8));
            jail.send();
            for n in jail.numbers(|row| matches!(row.at, At::Out(_))) {
                jail.rows[n as usize].at = At::Answered;
            }
            jail.window.handle_answered(Duration::from_millis(if slow { 5_000 } else { 1 }));
            jail.now += 1;
            rounds += 1;
            prop_assert!(rounds <= 60 * waiting.len(), "{:?}", jail.rows);
        }
    }
}

#[test]
fn what_is_stated_now_goes_before_a_backlog_and_before_a_backfill() {
    let mut jail = Jail::new();
    (0..50).for_each(|n| jail.state(Lane::Backfill, n));
    (0..50).for_each(|n| jail.state(Lane::Bulk, 50 + n));
    jail.send();
    jail.state(Lane::Live, 200);
    assert_eq!(jail.send().first(), Some(&(100, Share::Live)));
}

#[test]
fn a_backlog_may_have_more_while_answers_are_quick_and_less_while_they_are_slow() {
    let mut jail = Jail::new();
    (0..200).for_each(|n| jail.state(Lane::Bulk, n));
    let mut answer = |after_ms: u64| {
        jail.send();
        for n in jail.numbers(|row| matches!(row.at, At::Out(_))) {
            jail.rows[n as usize].at = At::Answered;
            jail.window.handle_answered(Duration::from_millis(after_ms));
        }
        jail.window.backlog_max()
    };
    assert_eq!([answer(10), answer(10), answer(10)], [3, 4, 6]);
    assert_eq!([answer(400), answer(400), answer(400)], [4, 3, 2]);
    assert_eq!(answer(400), 2, "a backlog is never stopped");
}

#[test]
fn a_share_that_is_not_used_up_does_not_grow() {
    let mut window = Window::new(SMALL);
    (0..100).for_each(|_| window.handle_answered(Duration::from_millis(1)));
    assert_eq!(window.backlog_max(), SMALL.for_backlog);
}

#[test]
fn what_is_stated_now_has_its_share_beside_what_was_sent_before_a_restart() {
    let mut window = Window::new(SMALL);
    let offer = Offer { fresh: (20..40).rev().collect(), backlog: vec![1, 2], ..Offer::default() };
    let held = Unanswered { backlog: 30, ..Unanswered::default() };
    let chosen = window.choose(&offer, held, |_| Ok::<_, Infallible>(Vec::new())).unwrap();
    let expected: Vec<_> = (36..40).map(|n| (n, Share::Live)).collect();
    assert_eq!(chosen, expected);
}

#[test]
fn only_the_first_of_many_count_as_stated_now() {
    assert_eq!(
        [Lane::of(0, false), Lane::of(127, false), Lane::of(128, false)],
        [Lane::Live, Lane::Live, Lane::Bulk]
    );
    assert_eq!(Lane::of(0, true), Lane::Backfill);
}
