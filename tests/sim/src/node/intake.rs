//! Pulls from INGEST, verifies, and writes ahead what can be: what is let in, the core says.

use std::rc::Rc;

use sallyport_proto::{
    envelope::Digest,
    event::VerifiedEvent,
    ids::{Jurisdiction, Ori},
    registry::Registry,
    subject,
    time::Moment,
    vocabulary::SourceClock,
};
use sallyport_relay_core::{
    admit::{self, Refused},
    commit::{Ahead, Arrival},
};
use tokio::sync::mpsc;

use super::Node;
use crate::{
    broker::{Delivered, relay_durable},
    mutant::Mutant,
    process::Life,
};

/// Messages of one pull.
const PULL_MAX: u64 = 64;

/// One message of INGEST on its way through the node.
pub(super) struct Pulled {
    pub(super) message: Delivered,
    pub(super) from: (Jurisdiction, Ori),
    pub(super) digest: Digest,
    t4_stored: Moment,
    pub(super) content: Content,
}

/// What it turned out to be.
pub(super) enum Content {
    Event(Box<VerifiedEvent>),
    Refused(Refused),
}

impl Pulled {
    pub(super) fn arrival(&self) -> Option<Arrival<'_>> {
        let Content::Event(event) = &self.content else { return None };
        Some(Arrival {
            from: &self.from,
            digest: self.digest,
            t4_stored: self.t4_stored,
            sequence: self.message.sequence,
            redelivered: self.message.deliveries > 1,
            event,
        })
    }
}

/// A batch with what could be written ahead.
pub(super) struct Prepared {
    pub(super) pulled: Vec<Pulled>,
    pub(super) ahead: Ahead,
}

pub(super) async fn run(node: Rc<Node>, life: Life, commit: mpsc::Sender<Prepared>) {
    let durable = relay_durable(subject::INGEST);
    loop {
        let batch = life.world().chance.borrow_mut().within(1, PULL_MAX);
        let messages = life.pull(&durable, batch as usize).await;
        life.point("relay.intake.after-pull").await;
        if life.world().is(Mutant::SettleBeforeCommit) {
            for message in &messages {
                life.ack(&durable, message).await;
            }
        }
        let routing = node.routing();
        let pulled: Vec<Pulled> =
            messages.into_iter().filter_map(|m| pulled(m, &routing.registry, &life)).collect();
        let arrivals = pulled.iter().filter_map(Pulled::arrival);
        let ahead = Ahead::of(arrivals, &node.author(), &routing, life.now());
        if commit.send(Prepared { pulled, ahead }).await.is_err() {
            return;
        }
    }
}

fn pulled(message: Delivered, registry: &Registry, life: &Life) -> Option<Pulled> {
    let from = subject::facility_of_ingest(&message.subject)?;
    let content = match admit::event(&message.payload, &from, registry, life.now()) {
        Ok(event) => Content::Event(Box::new(event)),
        Err(refused) => Content::Refused(refused),
    };
    let t4_stored = Moment::exact(life.world().time(message.stored), SourceClock::Broker);
    Some(Pulled { digest: Digest::of(&message.payload), from, t4_stored, content, message })
}
