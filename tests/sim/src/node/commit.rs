//! Carries out what the committing machine says: reads at the leader, publishes batches, waits. The machine is the
//! product's own.

use std::rc::Rc;

use sallyport_proto::{
    ids::{Jurisdiction, SubscriberId},
    routed::Routed,
    subject,
    vocabulary::RefusalCode,
};
use sallyport_relay_core::{
    admit::Refused,
    commit::{Accepted, Committing, Entry, Found, Key, Known, NotConfirmed, Step, Verdict as Said},
};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::{
    Node,
    intake::{Content, Prepared, Pulled},
};
use crate::{exec::Us, mutant::Mutant, process::Life};

/// Messages that go into one atomic batch together, when that many wait.
const EVENTS_PER_COMMIT_MAX: usize = 128;

/// What became of one pulled message.
pub(super) enum Verdict {
    Accepted(Arc<Accepted>),
    Refused(Refused),
    Again(Us),
}

/// A batch with its verdicts, in stream order.
pub(super) type Decided = Vec<(Pulled, Verdict)>;

pub(super) async fn run(
    node: Rc<Node>,
    life: Life,
    mut prepared: mpsc::Receiver<Prepared>,
    answer: mpsc::Sender<Decided>,
) {
    let mut known = Known::default();
    while let Some(mut batch) = prepared.recv().await {
        while batch.pulled.len() < EVENTS_PER_COMMIT_MAX
            && let Ok(more) = prepared.try_recv()
        {
            batch.pulled.extend(more.pulled);
            batch.ahead.extend(more.ahead);
        }
        life.point("relay.commit.before").await;
        let decided = decide(&node, &life, &mut known, batch).await;
        life.point("relay.commit.after").await;
        if answer.send(decided).await.is_err() {
            return;
        }
    }
}

async fn decide(node: &Node, life: &Life, known: &mut Known, batch: Prepared) -> Decided {
    let Prepared { pulled, ahead } = batch;
    known.handle_connected(life.of.connects.get());
    let mut verdicts = resolve(node, life, known, &pulled, ahead).await.into_iter();
    pulled
        .into_iter()
        .filter_map(|pulled| {
            let verdict = match &pulled.content {
                Content::Refused(refused) => Verdict::Refused(refused.clone()),
                Content::Event(_) => verdicts.next()?,
            };
            Some((pulled, verdict))
        })
        .collect()
}

async fn resolve(
    node: &Node,
    life: &Life,
    known: &mut Known,
    pulled: &[Pulled],
    ahead: sallyport_relay_core::commit::Ahead,
) -> Vec<Verdict> {
    let arrivals = || pulled.iter().filter_map(Pulled::arrival);
    let began = life.world().now();
    let mut machine = Committing::new(known, arrivals(), ahead);
    loop {
        // The registry in force at each step: a reload in the middle of a burst counts from then on.
        let step = machine.next(&node.author(), &node.routing(), life.now());
        match step {
            Step::Read(places) => machine.handle_read(records(node, life, places).await),
            Step::Commit(entries) => {
                let counted = begun(node, life, &entries);
                let mut outcome = life.batch(entries).await;
                if let Ok(sequence) = &outcome {
                    machine.handle_stored(*sequence);
                }
                // The defect: whatever the broker says, another node must have been first.
                if life.world().is(Mutant::AnswerWithoutLeaderRead)
                    && matches!(
                        outcome,
                        Err(NotConfirmed::Taken | NotConfirmed::Unknown | NotConfirmed::Refused)
                    )
                {
                    outcome = Ok(0);
                }
                if outcome.is_ok() {
                    counted
                        .iter()
                        .for_each(|to| *node.begun.borrow_mut().entry(to.clone()).or_default() -= 1);
                    life.point("relay.commit.after-batch").await;
                }
                machine.handle_commit(outcome.map(drop));
            }
            Step::Pause(time) => life.sleep(time.as_micros() as Us).await,
            Step::Done => break,
        }
    }
    life.world().note(|| format!("{} commits: {:?}", life.of.name, machine.trail()));
    life.world().coverage.borrow_mut().transitions(machine.trail());
    let verdicts = machine.verdicts(arrivals());
    let world = life.world();
    for (arrival, said) in arrivals().zip(&verdicts) {
        if let Said::Accepted(_) = said {
            let (ori, event) = (arrival.from.1.as_str(), arrival.event.head.event_id.as_str());
            let broken = world.law.borrow().decided(ori, event, &arrival.digest, began);
            broken.into_iter().for_each(|what| world.found(what));
        }
    }
    arrivals().zip(verdicts).map(|(arrival, said)| say(&arrival.event.head.event_id, said)).collect()
}

/// The defect: notices are counted when they are about to be committed, for those who state heads.
fn begun(node: &Node, life: &Life, entries: &[Entry]) -> Vec<SubscriberId> {
    if !life.world().is(Mutant::HeadCountsBeforeCommit) {
        return Vec::new();
    }
    let to = |entry: &Entry| entry.subject.strip_prefix("hub.v1.deliver.")?.split('.').next()?.parse().ok();
    let all: Vec<SubscriberId> = entries.iter().filter_map(to).collect();
    all.iter().for_each(|to| *node.begun.borrow_mut().entry(to.clone()).or_default() += 1);
    all
}

fn say(event: &sallyport_proto::ids::EventId, said: Said) -> Verdict {
    let refused =
        |code| Verdict::Refused(Refused { event_id: Some(event.clone()), code, text: String::new() });
    match said {
        Said::Accepted(accepted) => Verdict::Accepted(accepted),
        Said::Again(delay) => Verdict::Again(delay.as_micros() as Us),
        Said::Conflict(_) => refused(RefusalCode::Conflict),
        Said::TooLarge => refused(RefusalCode::TooLarge),
    }
}

async fn records(node: &Node, life: &Life, places: Vec<(Key, Jurisdiction)>) -> Vec<(Key, Found)> {
    let mut found = Vec::with_capacity(places.len());
    for (key, st) in places {
        let at = subject::hub_routed(&st, &key.0, &key.1);
        let look = move |broker: &crate::broker::Broker| {
            broker.stream(subject::DELIVER).last_of(&at).map(|message| message.payload.clone())
        };
        let record = match life.ask(subject::DELIVER, look).await {
            None => Found::Unknown,
            Some(None) => Found::Absent,
            Some(Some(bytes)) => match Routed::open(&bytes, node.routing().registry.relay_keys()) {
                Ok(routed) => Found::There(Arc::new(routed.into())),
                Err(_) => Found::Unknown,
            },
        };
        found.push((key, record));
    }
    found
}
