//! Sends what is in the outbox, as the agent's publisher does: what the window chooses, again and again until the relay
//! has answered. A PubAck is recorded and retires nothing.

use std::{convert::Infallible, rc::Rc, time::Duration};

use jiff::Timestamp;
use sallyport_agent_core::outbox::{
    Effect, Input, Row,
    window::{Lane, Limits, Offer, Share, Unanswered, Window, is_fresh},
};
use sallyport_proto::{answer::AcceptedEvent, subject, time::Moment, vocabulary::SourceClock};

use super::{Jail, Kept, Record, Store};
use crate::{
    exec::{MS, S, Us},
    mutant::Mutant,
    net::NotStored,
    process::Life,
};

/// A window that a story of some dozen facts can fill.
const LIMITS: Limits =
    Limits { unanswered: 8, for_live: 3, for_backlog: 2, in_flight: 6, in_flight_for_each: 2 };
/// A hint that was missed costs no more than this.
const LOOK_AGAIN: Us = S;
/// A row that became due this moment is looked at again without a hot loop.
const MIN_WAIT: Us = MS;

pub(super) async fn run(jail: Rc<Jail>, life: Life) {
    unsent_are_due(&jail, &life);
    let mut connects = life.of.connects.get();
    let mut window = Window::new(LIMITS);
    loop {
        if life.of.connects.get() != connects {
            connects = life.of.connects.get();
            window.handle_connected();
            unsent_are_due(&jail, &life);
        }
        let wait = fill(&jail, &life, &mut window);
        let (stored, connected) = (jail.stored.notified(), life.of.connected.notified());
        futures_util::pin_mut!(stored, connected);
        let hint = futures_util::future::select(stored, connected);
        futures_util::future::select(hint, life.world().exec.sleep(wait)).await;
    }
}

/// One step of a row, as its own table has it.
pub(super) fn see(life: &Life, row: &Row, input: Input<'_>) {
    life.world().coverage.borrow_mut().outbox(row.transition(input));
}

/// After a start or a reconnect what has no PubAck for its last attempt does not wait for its backoff.
fn unsent_are_due(jail: &Jail, life: &Life) {
    let now = life.now();
    for kept in &mut jail.store.borrow_mut().rows {
        // A closed row is never due, however late it is.
        if kept.row.poll_deadline().is_none() {
            see(life, &kept.row, Input::Deadline(Timestamp::MAX));
            kept.row.handle_deadline(Timestamp::MAX, 0.0);
        }
        if kept.sent.is_some() && kept.acked.is_none_or(|acked| Some(acked) < kept.sent) {
            see(life, &kept.row, Input::Unsent);
            kept.row.handle_unsent(now);
        }
    }
}

/// Sends what the window lets out; gives how long to wait when nothing else happens.
fn fill(jail: &Rc<Jail>, life: &Life, window: &mut Window) -> Us {
    let now = life.now();
    note_answers(&mut jail.store.borrow_mut(), life.world().now(), window);
    let chosen = choose(&jail.store.borrow(), life, window);
    for (n, share) in chosen {
        let mut store = jail.store.borrow_mut();
        store.in_flight.insert(n);
        if share == Share::Live {
            store.live.insert(n);
        } else if store.rows[n].row.attempt == 0 {
            store.first_sent.insert(n, life.world().now());
        } else {
            store.first_sent.remove(&n);
        }
        drop(store);
        life.spawn(send(jail.clone(), life.clone(), n));
    }
    let store = jail.store.borrow();
    let sent = store.rows.iter().filter(|kept| kept.row.attempt > 0 && !is_due(life, &kept.row, now));
    let next = sent.filter_map(|kept| kept.row.poll_deadline()).min();
    let wait = next.map(|next| next.duration_since(now).as_micros().try_into().unwrap_or(0));
    wait.unwrap_or(LOOK_AGAIN).clamp(MIN_WAIT, LOOK_AGAIN)
}

fn note_answers(store: &mut Store, now: Us, window: &mut Window) {
    let Store { rows, first_sent, live, .. } = store;
    let open = |n: &usize| rows[*n].row.poll_deadline().is_some();
    live.retain(open);
    first_sent.retain(|n, since| {
        if !open(n) {
            window.handle_answered(Duration::from_micros(now.saturating_sub(*since)));
        }
        open(n)
    });
}

fn choose(store: &Store, life: &Life, window: &mut Window) -> Vec<(usize, Share)> {
    let now = life.now();
    let on_the_way = |n: usize| store.in_flight.contains(&n);
    let waits =
        |n: usize, kept: &Kept| kept.row.poll_deadline().is_some() && kept.row.attempt == 0 && !on_the_way(n);
    let fresh = |kept: &Kept| kept.lane == Lane::Live && is_fresh(kept.stored, now);
    let numbers = |wanted: &dyn Fn(usize, &Kept) -> bool| -> Vec<i64> {
        let rows = store.rows.iter().enumerate().filter(|(n, kept)| wanted(*n, kept));
        rows.map(|(n, _)| n as i64).collect()
    };
    let sent =
        |n: usize, kept: &Kept| on_the_way(n) || kept.row.attempt > 0 && kept.row.poll_deadline().is_some();
    let mut offer = Offer {
        fresh: numbers(&|n, kept| waits(n, kept) && fresh(kept)),
        again: numbers(&|n, kept| kept.row.attempt > 0 && !on_the_way(n) && is_due(life, &kept.row, now)),
        backlog: numbers(&|n, kept| waits(n, kept) && !fresh(kept)),
        backfill: Vec::new(),
    };
    offer.fresh.reverse();
    let unanswered = Unanswered {
        live: numbers(&|n, kept| sent(n, kept) && store.live.contains(&n)).len(),
        backlog: numbers(&|n, kept| sent(n, kept) && !store.live.contains(&n)).len(),
        due: offer.again.len(),
        in_flight_live: store.in_flight.intersection(&store.live).count(),
        in_flight_rest: store.in_flight.difference(&store.live).count(),
    };
    let earlier = |n: i64| {
        let row = &store.rows[n as usize];
        let before = numbers(&|m, kept| (m as i64) < n && waits(m, kept) && kept.booking == row.booking);
        Ok::<_, Infallible>(before)
    };
    let Ok(chosen) = window.choose(&offer, unanswered, earlier);
    chosen.into_iter().map(|(n, share)| (n as usize, share)).collect()
}

fn is_due(life: &Life, row: &Row, now: Timestamp) -> bool {
    if life.world().is(Mutant::WaitForAClockThatWasAhead) {
        return row.poll_deadline().is_some_and(|due| due <= now);
    }
    row.is_due(now)
}

async fn send(jail: Rc<Jail>, life: Life, n: usize) {
    let mut kept = jail.store.borrow().rows[n].clone();
    if kept.row.attempt == 0 {
        // A clock that was ahead when it was stored is no reason to wait.
        kept.row.handle_unsent(life.now());
    }
    let sent = life.now();
    let jitter = life.world().chance.borrow_mut().below(1_000) as f64 / 1_000.0;
    see(&life, &kept.row, Input::Deadline(sent));
    let msg_id = kept.row.handle_deadline(sent, jitter);
    // Asked twice at one time it says nothing the second time.
    see(&life, &kept.row, Input::Deadline(sent));
    if kept.row.clone().handle_deadline(sent, jitter).is_some() {
        life.world().found(format!("event {} was due twice at one time", kept.row.event_id));
    }
    if msg_id.is_none() {
        jail.store.borrow_mut().in_flight.remove(&n);
        return;
    }
    let connects = life.of.connects.get();
    life.point("agent.publish.before-send").await;
    let subject = subject::ingest_release(&jail.jurisdiction, &jail.ori);
    let published = life.publish(subject::INGEST, subject, kept.ingest.clone(), msg_id).await;
    life.point("agent.publish.after-puback").await;
    let acked = published.is_ok().then(|| life.now());
    if published == Err(NotStored::NoAnswer) && life.of.connects.get() != connects {
        kept.row.handle_unsent(life.now());
    }
    let (sent, acked) = (sent.as_microsecond(), acked.map(|at| at.as_microsecond()));
    jail.write(&life, Record::Sent { n, row: kept.row.clone(), sent, acked }, None).await;
    if acked.is_some() && life.world().is(Mutant::RetireOnPubAck) {
        retire(&jail, &life, n).await;
    }
    jail.store.borrow_mut().in_flight.remove(&n);
    jail.stored.notify_one();
}

/// The defect: what the broker has is taken for what the relay has accepted.
async fn retire(jail: &Jail, life: &Life, n: usize) {
    let mut row = jail.store.borrow().rows[n].row.clone();
    let moment = Moment::exact(life.now(), SourceClock::Relay);
    let made_up = AcceptedEvent {
        event_id: row.event_id.clone(),
        digest: row.digest,
        recipients: Vec::new(),
        unsubscribed: Vec::new(),
        registry_version: 0,
        predecessor_missing: false,
        t4_stored: moment,
        t5_routed: moment,
    };
    if row.handle_acceptance(&made_up) == Effect::Closed {
        jail.close(life, &row);
        let record = Record::Answered {
            digests: Vec::new(),
            rows: vec![(n, row)],
            memories: std::collections::BTreeMap::new(),
            receipts: Vec::new(),
            position: None,
        };
        jail.write(life, record, None).await;
    }
}
