//! Carries out what the committing machine says: reads at the leader, publishes batches, waits; and says aloud what went
//! wrong.

use std::{sync::Arc, time::Instant};

use sallyport_link::{clock, fault};
use sallyport_proto::vocabulary::RefusalCode;
use sallyport_relay_core::{
    admit::Refused,
    commit::{self, Accepted, Ahead, Arrival, Committing, Entry, Known, NotConfirmed, Step},
};

use super::{Verdict, batch, read};
use crate::{intake::Pulled, node::Node};

pub(super) struct Committer {
    node: Arc<Node>,
    known: Known,
}

impl Committer {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node, known: Known::default() }
    }

    /// One verdict per event, in the order of `pulled`; none for what is refused already.
    pub(super) async fn resolve(&mut self, pulled: &[Pulled], ahead: Ahead) -> Vec<Verdict> {
        let node = &self.node;
        self.known.handle_connected(*node.connects.borrow());
        let arrivals = || pulled.iter().filter_map(Pulled::arrival);
        let mut machine = Committing::new(&mut self.known, arrivals(), ahead);
        loop {
            // The registry in force at each step: a reload in the middle of a burst counts from then on.
            let step = machine.next(&node.author(), &node.routing.load(), clock::now());
            match step {
                Step::Read(places) => machine.handle_read(read::records(node, places).await),
                Step::Commit(entries) => {
                    let outcome = publish(node, entries).await;
                    if let Ok(sequence) = &outcome {
                        machine.handle_stored(*sequence);
                        machine.told().for_each(|subscriber| node.metrics.committed(subscriber, 1));
                    }
                    machine.handle_commit(outcome.map(drop));
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Done => break,
            }
        }
        tracing::debug!(trail = ?machine.trail(), "a batch has its verdicts");
        if machine.lost() > 0 {
            let events = machine.lost();
            tracing::error!(
                events,
                "DELIVER does not hold any more what was committed and accepted; committing it again"
            );
        }
        let verdicts = machine.verdicts(arrivals());
        arrivals().zip(verdicts).map(|(arrival, verdict)| self.say(&arrival, verdict)).collect()
    }

    fn say(&self, arrival: &Arrival<'_>, verdict: commit::Verdict) -> Verdict {
        match verdict {
            commit::Verdict::Accepted(accepted) => Verdict::Accepted(accepted),
            commit::Verdict::Again(delay) => Verdict::Again(delay),
            commit::Verdict::Conflict(first) => self.conflict(arrival, &first),
            commit::Verdict::TooLarge => Verdict::Refused(Refused {
                event_id: Some(arrival.event.head.event_id.clone()),
                code: RefusalCode::TooLarge,
                text: "a notice of it would be larger than the broker takes".into(),
            }),
        }
    }

    fn conflict(&self, arrival: &Arrival<'_>, first: &Accepted) -> Verdict {
        let event_id = first.event.event_id.clone();
        tracing::error!(%event_id, ori = %arrival.from.1, "the same event id with other bytes");
        self.node.metrics.conflict(&arrival.from.1);
        Verdict::Refused(Refused {
            event_id: Some(event_id),
            code: RefusalCode::Conflict,
            text: "another message with this event id was accepted before".into(),
        })
    }
}

/// Gives where on DELIVER the batch ends.
async fn publish(node: &Node, entries: Vec<Entry>) -> Result<u64, NotConfirmed> {
    let began = Instant::now();
    // Unique per try: an abandoned batch holds its id for 10 s.
    let batch_id = uuid::Uuid::now_v7().simple().to_string();
    let outcome = batch::publish(&node.client, &batch_id, entries).await;
    node.metrics.commit_took(began.elapsed());
    let sequence = outcome.map_err(|error| {
        let why = error.means();
        match why {
            NotConfirmed::Full => {
                tracing::error!(%error, "DELIVER takes nothing more; the jails' messages wait on INGEST");
            }
            NotConfirmed::Taken => tracing::debug!(%error, "another node was first; reading what is there"),
            _ => tracing::warn!(%error, "batch not confirmed; reading what is there"),
        }
        why
    })?;
    fault::point("relay.commit.after-batch");
    Ok(sequence)
}
