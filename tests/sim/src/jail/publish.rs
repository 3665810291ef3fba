//! Sends what is in the outbox, as the agent's publisher does: in order, again and again until the relay has answered. A
//! PubAck is recorded and retires nothing.

use std::rc::Rc;

use jiff::Timestamp;
use sallyport_agent_core::outbox::{Effect, Row, Status};
use sallyport_proto::{answer::AcceptedEvent, subject, time::Moment, vocabulary::SourceClock};

use super::{Jail, Record};
use crate::{
    exec::{MS, S, Us},
    mutant::Mutant,
    net::NotStored,
    process::Life,
};

/// Events without a PubAck.
const IN_FLIGHT_MAX: usize = 256;
/// A hint that was missed costs no more than this.
const LOOK_AGAIN: Us = S;
/// A row that became due this moment is looked at again without a hot loop.
const MIN_WAIT: Us = MS;

pub(super) async fn run(jail: Rc<Jail>, life: Life) {
    unsent_are_due(&jail, &life);
    let mut connects = life.of.connects.get();
    loop {
        if life.of.connects.get() != connects {
            connects = life.of.connects.get();
            unsent_are_due(&jail, &life);
        }
        let wait = fill(&jail, &life);
        let (stored, connected) = (jail.stored.notified(), life.of.connected.notified());
        futures_util::pin_mut!(stored, connected);
        let hint = futures_util::future::select(stored, connected);
        futures_util::future::select(hint, life.world().exec.sleep(wait)).await;
    }
}

/// After a start or a reconnect what has no PubAck for its last attempt does not wait for its backoff.
fn unsent_are_due(jail: &Jail, life: &Life) {
    let now = life.now();
    for kept in &mut jail.store.borrow_mut().rows {
        // A closed row is never due, however late it is.
        if kept.row.poll_deadline().is_none() {
            let sent = kept.row.handle_deadline(Timestamp::MAX, 0.0);
            let word = if sent.is_some() { "sent" } else { "nothing" };
            life.world().coverage.borrow_mut().outbox(kept.row.status, "due", word);
        }
        if kept.sent.is_some() && kept.acked.is_none_or(|acked| Some(acked) < kept.sent) {
            let stood = kept.row.status;
            kept.row.handle_unsent(now);
            let word = if matches!(stood, Status::Open { .. }) { "due" } else { "nothing" };
            life.world().coverage.borrow_mut().outbox(stood, "unsent", word);
        }
    }
}

/// Sends what is due; gives how long to wait when nothing else happens.
fn fill(jail: &Rc<Jail>, life: &Life) -> Us {
    let now = life.now();
    let mut store = jail.store.borrow_mut();
    let room = IN_FLIGHT_MAX.saturating_sub(store.in_flight.len());
    let due: Vec<usize> = (0..store.rows.len())
        .filter(|n| !store.in_flight.contains(n))
        .filter(|n| is_due(life, &store.rows[*n].row, now))
        .take(room)
        .collect();
    for n in due {
        store.in_flight.insert(n);
        life.spawn(send(jail.clone(), life.clone(), n));
    }
    let rows = store.rows.iter().enumerate().filter(|(n, _)| !store.in_flight.contains(n));
    let next = rows.filter_map(|(_, kept)| kept.row.poll_deadline()).min();
    let wait = next.map(|next| next.duration_since(now).as_micros().try_into().unwrap_or(0));
    wait.unwrap_or(LOOK_AGAIN).clamp(MIN_WAIT, LOOK_AGAIN)
}

fn is_due(life: &Life, row: &Row, now: Timestamp) -> bool {
    if life.world().is(Mutant::WaitForAClockThatWasAhead) {
        return row.poll_deadline().is_some_and(|due| due <= now);
    }
    row.is_due(now)
}

async fn send(jail: Rc<Jail>, life: Life, n: usize) {
    let mut kept = jail.store.borrow().rows[n].clone();
    let (stood, sent) = (kept.row.status, life.now());
    let jitter = life.world().chance.borrow_mut().below(1_000) as f64 / 1_000.0;
    let msg_id = kept.row.handle_deadline(sent, jitter);
    life.world().coverage.borrow_mut().outbox(
        stood,
        "due",
        if msg_id.is_some() { "sent" } else { "nothing" },
    );
    // Asked twice at one time it says nothing the second time.
    let (stood, again) = (kept.row.status, kept.row.clone().handle_deadline(sent, jitter));
    let word = if again.is_some() { "sent" } else { "nothing" };
    life.world().coverage.borrow_mut().outbox(stood, "early", word);
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
            receipts: Vec::new(),
            position: None,
        };
        jail.write(life, record, None).await;
    }
}
