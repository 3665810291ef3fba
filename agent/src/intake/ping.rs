//! A ping: an event without content, marked PING, that goes the whole way of a real one to one subscriber and back. It
//! counts in the facility's numbers, because it is sent, and in no custody's revisions.

use rand::Rng;
use sallyport_agent_core::{
    custody::custody_key,
    disclose::{Grants, RegistryGrants},
    outbox::window::Lane,
    revise::{Context, Draft, DraftKind, Fresh, HeadFacts, Recipient, assemble},
};
use sallyport_proto::{
    disclosure::Part,
    event::seal_event,
    ids::{AgreementName, EventId, SubscriberId},
    provenance::TrafficClass,
    registry::Registry,
    time::Moment,
    vocabulary::{ReleaseState, SourceClock},
};

use super::Intake;
use crate::store::{self, Kind, NewRow, StoreError, next_number, take_number};

/// Its custody key is derived from this instead of a booking number; no jail's numbers look like it.
const BOOKING: &str = "sallyport ping";
/// Stands where the rule of an allow-list entry stands.
const RULE: &str = "ping";

/// A ping that was stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pinged {
    /// Its event.
    pub event_id: String,
    /// From the call to the disk, microseconds.
    pub stored_us: u64,
}

/// Why nobody was pinged.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Not in the allow-list: a ping takes the road of real notices and none besides.
    #[error("no entry of the allow-list names this subscriber")]
    NotAllowed,
    /// Its agreement has ended or does not cover release events.
    #[error("no agreement with this subscriber stands today")]
    NoAgreement,
    /// The store.
    #[error("not stored")]
    Store(#[from] StoreError),
}

impl Intake {
    /// Stores a ping to `subscriber`; what comes back is seen in the store.
    pub async fn ping(&self, subscriber: SubscriberId) -> Result<Pinged, PingError> {
        let began = std::time::Instant::now();
        let registry = self.registry_now();
        let recipient = self.ping_recipient(&registry, &subscriber)?;
        let facility = &self.desk.facility;
        let context = Context {
            traffic: TrafficClass::Ping,
            ..self.desk.context(&registry, "ping/1".to_owned(), false)
        };
        let now = super::now();
        let draft = Draft {
            kind: DraftKind::Main,
            custody_key: custody_key(&facility.secret, &facility.ori, BOOKING),
            revision: 1,
            supersedes: None,
            facts: HeadFacts::withdrawal(ReleaseState::Released),
            observed: Moment::exact(now, SourceClock::Agent),
            recipients: vec![recipient],
        };
        let event_id = EventId::from(uuid::Uuid::now_v7());
        let named = event_id.clone();
        let signer = facility.signer.clone();
        let job = self.store.write(Kind::Intake, move |connection| {
            let number = next_number(connection)?;
            let fresh = Fresh {
                event_id: event_id.clone(),
                salts: vec![rand::rng().random()],
                epoch: number.epoch.clone(),
                seq: number.seq,
                now,
            };
            let (head, disclosures) = assemble(&draft, fresh, &context)?;
            let ingest = seal_event(&signer, head, disclosures);
            let traffic = context.traffic.kind().as_str();
            let row = NewRow {
                event_id: &event_id,
                ingest: &ingest,
                number: &number,
                draft: &draft,
                traffic,
                backfill: false,
                lane: Lane::Live,
                now,
            };
            store::insert_row(connection, &row)?;
            take_number(connection, &number)
        });
        job.await?;
        let stored_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Pinged { event_id: named.into(), stored_us })
    }

    fn ping_recipient(&self, registry: &Registry, subscriber: &SubscriberId) -> Result<Recipient, PingError> {
        let agreements: Vec<&AgreementName> = self
            .desk
            .allow
            .agreements()
            .filter(|(named, _)| *named == subscriber)
            .map(|(_, agreement)| agreement)
            .collect();
        if agreements.is_empty() {
            return Err(PingError::NotAllowed);
        }
        let grants = RegistryGrants { registry, ori: &self.desk.facility.ori };
        let grant = agreements.iter().find_map(|agreement| grants.grant(subscriber, agreement, super::now()));
        let (Some(grant), Some(entry)) = (grant, registry.subscribers.get(subscriber)) else {
            return Err(PingError::NoAgreement);
        };
        Ok(Recipient {
            subscriber: subscriber.clone(),
            request_id: None,
            agreement: grant.agreement,
            purpose: entry.class,
            rule_id: RULE.to_owned(),
            pack_version: self.desk.allow.version().to_owned(),
            fields: Vec::new(),
            part: Some(Part::default()),
            digest: String::new(),
        })
    }
}
