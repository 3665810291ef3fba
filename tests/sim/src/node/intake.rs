//! Pulls from INGEST, verifies, and writes ahead what can be; the same checks in the same order as the product's intake.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    envelope::{Digest, OpenError},
    event::{EventError, UnverifiedEvent, VerifiedEvent},
    ids::{EventId, Jurisdiction, Ori},
    registry::Registry,
    subject,
    time::Moment,
    vocabulary::{RefusalCode, SourceClock},
};
use sallyport_relay_core::commit::{Ahead, Arrival};
use tokio::sync::mpsc;

use super::Node;
use crate::{
    broker::{Delivered, relay_durable},
    mutant::Mutant,
    process::Life,
};

/// As the product's: what is older could be routed a second time.
const OBSERVED_AGE_MAX: SignedDuration = SignedDuration::from_hours(28 * 24);
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

/// Why a message is not acceptable.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) event_id: Option<EventId>,
    pub(super) code: RefusalCode,
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
    let content = match event(&message.payload, &from, registry, life.now()) {
        Ok(event) => Content::Event(Box::new(event)),
        Err(refused) => Content::Refused(refused),
    };
    let t4_stored = Moment::exact(life.world().time(message.stored), SourceClock::Broker);
    Some(Pulled { digest: Digest::of(&message.payload), from, t4_stored, content, message })
}

fn event(
    bytes: &[u8],
    (st, ori): &(Jurisdiction, Ori),
    registry: &Registry,
    now: Timestamp,
) -> Result<VerifiedEvent, Refused> {
    let refused = |event_id, code| Refused { event_id, code };
    let unverified = UnverifiedEvent::read(bytes).map_err(|error| refused(None, code_of(&error)))?;
    let event_id: Option<EventId> = unverified.claimed_event_id().parse().ok();
    let Some(facility) = registry.live_facility(ori, now) else {
        return Err(refused(event_id, RefusalCode::UnknownKey));
    };
    if let Ok(head) = unverified.claimed_head()
        && (head.ori != *ori || head.jurisdiction != *st)
    {
        return Err(refused(event_id, RefusalCode::WrongSubject));
    }
    let event = unverified
        .verify(&facility.signing_key)
        .map_err(|error| refused(event_id.clone(), code_of(&error)))?;
    if now.duration_since(event.head.t2_observed.at) > OBSERVED_AGE_MAX {
        return Err(refused(event_id, RefusalCode::Expired));
    }
    Ok(event)
}

fn code_of(error: &EventError) -> RefusalCode {
    match error {
        EventError::Head(OpenError::UnknownKey) => RefusalCode::UnknownKey,
        EventError::Head(OpenError::BadSignature) => RefusalCode::BadSignature,
        _ => RefusalCode::BadEnvelope,
    }
}
