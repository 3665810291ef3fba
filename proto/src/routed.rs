//! The record that an event was routed: exactly one per event, in the same atomic batch as its notices. Answers are made
//! from it, never from a route computed again.

use prost::Message;

use crate::{
    envelope::{self, Digest, PayloadType},
    field::{self, FieldError},
    ids::{CustodyKey, EventId, Jurisdiction, NodeId, Ori, SubscriberId, SubscriptionId},
    key::{Signer, SigningKey},
    notice::{NoticeError, open_by_any},
    provenance::{Provenance, TrafficClass},
    time::{self, Moment},
    vocabulary::{Priority, RoutedVerdict},
    wire,
};

/// How one event was routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Who wrote it.
    pub provenance: Provenance,
    /// The event.
    pub event_id: EventId,
    /// Its facility.
    pub ori: Ori,
    /// Its jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// SHA-256 of the jail's message that won.
    pub event_digest: Digest,
    /// Who is told.
    pub recipients: Vec<Recipient>,
    /// Hold a disclosure, matched no subscription.
    pub unsubscribed: Vec<SubscriberId>,
    /// Registry by which it was routed.
    pub registry_version: u64,
    /// How it ended.
    pub verdict: RoutedVerdict,
    /// The predecessor had not been routed within 60 s.
    pub predecessor_missing: bool,
    /// Stored on INGEST.
    pub t4_stored: Moment,
    /// Sequence there.
    pub ingest_sequence: u64,
    /// Routed.
    pub t5_routed: Moment,
    /// By whom.
    pub relay_node: NodeId,
    /// Real or not.
    pub traffic: TrafficClass,
    /// Custody of the event.
    pub custody_key: CustodyKey,
    /// Revision of the event.
    pub revision: u32,
}

/// One recipient of a routed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub subscriber: SubscriberId,
    /// The subscription that matched; none when told only because the predecessor was.
    pub subscription: Option<SubscriptionId>,
    /// Was told of the predecessor.
    pub predecessor: bool,
    /// Of its notice.
    pub priority: Priority,
}

impl Routed {
    /// Signs it: the bytes that go to DELIVER.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Routed, wire::Routed::from(self).encode_to_vec())
    }

    /// Opens what stands on DELIVER.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, NoticeError> {
        let payload = open_by_any(bytes, PayloadType::Routed, relay_keys)?;
        Ok(wire::Routed::decode(&*payload).map_err(|_| FieldError::undecodable("routed"))?.try_into()?)
    }
}

impl TryFrom<wire::Routed> for Routed {
    type Error = FieldError;
    fn try_from(w: wire::Routed) -> Result<Self, FieldError> {
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            event_id: field::parse_id("routed.event_id", &w.event_id)?,
            ori: field::parse_id("routed.ori", &w.ori)?,
            jurisdiction: field::parse_id("routed.jurisdiction", &w.jurisdiction)?,
            event_digest: field::digest("routed.event_digest", &w.event_digest)?,
            recipients: w.recipients.into_iter().map(Recipient::try_from).collect::<Result<_, _>>()?,
            unsubscribed: w
                .unsubscribed
                .iter()
                .map(|id| field::parse_id("routed.unsubscribed", id))
                .collect::<Result<_, _>>()?,
            registry_version: w.registry_version,
            verdict: RoutedVerdict::from_wire("routed.verdict", w.verdict)?,
            predecessor_missing: w.predecessor_missing,
            t4_stored: time::required("routed.t4_stored", w.t4_stored)?,
            ingest_sequence: w.ingest_sequence,
            t5_routed: time::required("routed.t5_routed", w.t5_routed)?,
            relay_node: field::parse_id("routed.relay_node", &w.relay_node)?,
            traffic: TrafficClass::checked(w.traffic)?,
            custody_key: field::parse_id("routed.custody_key", &w.custody_key)?,
            revision: w.revision,
        })
    }
}

impl From<Routed> for wire::Routed {
    fn from(r: Routed) -> Self {
        Self {
            provenance: Some(r.provenance.into()),
            event_id: r.event_id.into(),
            ori: r.ori.into(),
            jurisdiction: r.jurisdiction.into(),
            event_digest: r.event_digest.to_vec(),
            recipients: r.recipients.into_iter().map(Into::into).collect(),
            unsubscribed: r.unsubscribed.into_iter().map(Into::into).collect(),
            registry_version: r.registry_version,
            verdict: r.verdict.into(),
            predecessor_missing: r.predecessor_missing,
            t4_stored: Some(r.t4_stored.into()),
            ingest_sequence: r.ingest_sequence,
            t5_routed: Some(r.t5_routed.into()),
            relay_node: r.relay_node.into(),
            traffic: Some(r.traffic.into()),
            custody_key: r.custody_key.into(),
            revision: r.revision,
        }
    }
}

impl TryFrom<wire::RoutedRecipient> for Recipient {
    type Error = FieldError;
    fn try_from(w: wire::RoutedRecipient) -> Result<Self, FieldError> {
        Ok(Self {
            subscriber: field::parse_id("routed.recipients.subscriber_id", &w.subscriber_id)?,
            subscription: field::optional_id("routed.recipients.subscription_id", &w.subscription_id)?,
            predecessor: w.predecessor,
            priority: Priority::from_wire("routed.recipients.priority", w.priority)?,
        })
    }
}

impl From<Recipient> for wire::RoutedRecipient {
    fn from(r: Recipient) -> Self {
        Self {
            subscriber_id: r.subscriber.into(),
            subscription_id: r.subscription.map(Into::into).unwrap_or_default(),
            predecessor: r.predecessor,
            priority: r.priority.into(),
        }
    }
}
