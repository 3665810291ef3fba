//! The facts of the model, one type per kind. Times are kept to the microsecond: an INTEGER of SQLite holds them for
//! 290,000 years, and no clock here is better.

use jiff::{Timestamp, Unit};
use sallyport_proto::{
    envelope::Digest,
    ids::{CustodyKey, EventId, Jurisdiction, NodeId, NoticeId, Ori, SubscriberId, SubscriptionId},
    notice::Deadlines,
    operations::RangeDigest,
    time::Moment,
    vocabulary::{
        ControlKind, ControlPhase, NoticeWhy, Priority, RefusalCode, ReleaseReason, ReleaseState,
        RoutedVerdict, TrafficKind,
    },
};

use super::Stream;
use crate::delivery::What;

/// One message on INGEST. Key: sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestRow {
    /// Sequence on INGEST.
    pub sequence: u64,
    /// From the subject, which the server enforces.
    pub ori: Ori,
    /// From the subject.
    pub jurisdiction: Jurisdiction,
    /// SHA-256 of the message.
    pub digest: Digest,
    /// Broker's time.
    pub stored: Timestamp,
    /// The release event it claims to be; none for outcomes, replies and what cannot be read.
    pub event: Option<ClaimedEvent>,
}

/// What a head on INGEST claims, before anybody checked its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// Event.
    pub event_id: EventId,
    /// Custody.
    pub custody_key: CustodyKey,
    /// Revision.
    pub revision: u32,
    /// Release state.
    pub release_state: ReleaseState,
    /// Observed by the agent.
    pub t2: Moment,
    /// Real or not.
    pub traffic: TrafficKind,
    /// Of the agent's store.
    pub epoch: String,
    /// Dense within the epoch.
    pub seq: u64,
}

/// The newest heartbeat of one epoch of a facility. Key: both. The highest sequence wins: HEARTBEATS keeps only the last
/// ones anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRow {
    /// Sequence on HEARTBEATS.
    pub sequence: u64,
    /// From the subject, which the server enforces.
    pub ori: Ori,
    /// From the subject.
    pub jurisdiction: Jurisdiction,
    /// Of the agent's store.
    pub epoch: String,
    /// Up to this number everything was sent.
    pub seq: u64,
    /// The lowest that could be sent again.
    pub kept_from: Option<u64>,
    /// What the newest numbers stand for.
    pub range: Option<RangeDigest>,
    /// Events not answered yet.
    pub outbox_depth: u64,
    /// Since when the oldest of them waits, by the jail's clock.
    pub outbox_oldest: Option<Timestamp>,
    /// Broker's time.
    pub stored: Timestamp,
}

/// A `routed` record. Key: facility and event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedRow {
    /// Sequence on DELIVER.
    pub sequence: u64,
    /// Facility.
    pub ori: Ori,
    /// Event.
    pub event_id: EventId,
    /// SHA-256 of the jail's message that won.
    pub digest: Digest,
    /// Where it stands on INGEST.
    pub ingest_sequence: u64,
    /// Custody.
    pub custody_key: CustodyKey,
    /// Revision.
    pub revision: u32,
    /// Registry by which it was routed.
    pub registry_version: u64,
    /// How it ended.
    pub verdict: RoutedVerdict,
    /// The predecessor had not been routed.
    pub predecessor_missing: bool,
    /// Stored on INGEST.
    pub t4: Moment,
    /// Routed.
    pub t5: Moment,
    /// By whom.
    pub node: NodeId,
    /// Real or not.
    pub traffic: TrafficKind,
    /// Who is told.
    pub recipients: Vec<SubscriberId>,
    /// Hold a disclosure, matched no subscription.
    pub unsubscribed: Vec<SubscriberId>,
}

/// One attempt of a notice. Key: notice and attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Sequence on DELIVER.
    pub sequence: u64,
    /// Facility, event, subscriber.
    pub notice_id: NoticeId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Why it was made.
    pub why: NoticeWhy,
    /// SHA-256 of the jail's message.
    pub digest: Digest,
    /// Custody.
    pub custody_key: CustodyKey,
    /// Revision.
    pub revision: u32,
    /// Release state.
    pub release_state: ReleaseState,
    /// Canonical reason.
    pub reason: ReleaseReason,
    /// The subscription that matched.
    pub subscription: Option<SubscriptionId>,
    /// Told because the predecessor was.
    pub predecessor: Option<EventId>,
    /// Priority.
    pub priority: Priority,
    /// When receipts are due.
    pub deadlines: Deadlines,
    /// Real or not.
    pub traffic: TrafficKind,
    /// A replay of past records.
    pub backfill: bool,
    /// Trigger.
    pub t0: Option<Moment>,
    /// Observed by the agent.
    pub t2: Moment,
    /// Stored on INGEST.
    pub t4: Moment,
    /// Routed.
    pub t5: Moment,
    /// The door.
    pub t10: Option<Moment>,
    /// Broker's time on DELIVER.
    pub stored: Timestamp,
}

/// What one receipt says about one notice. Key: sequence and place in the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Sequence on RECEIPTS.
    pub sequence: u64,
    /// Place in the receipt, from 0.
    pub item: u32,
    /// From the subject, which the server enforces: who said it.
    pub subscriber: SubscriberId,
    /// The notice it names.
    pub notice_id: NoticeId,
    /// The attempt it names.
    pub attempt: u32,
    /// The digest it names.
    pub digest: Digest,
    /// What it states.
    pub what: What,
    /// A newer revision of the custody was there already.
    pub superseded: bool,
    /// t6, when stated.
    pub t6: Option<Moment>,
    /// t7, when stated.
    pub t7: Option<Moment>,
    /// t8, when stated.
    pub t8: Option<Moment>,
    /// Handed to the broker, by the subscriber's clock.
    pub published: Moment,
    /// Broker's time.
    pub stored: Timestamp,
}

/// One event of an Acceptance. Key: facility, event and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRow {
    /// Sequence on ANSWERS.
    pub sequence: u64,
    /// To which facility.
    pub ori: Ori,
    /// Event.
    pub event_id: EventId,
    /// SHA-256 of the message that was accepted.
    pub digest: Digest,
    /// Broker's time.
    pub stored: Timestamp,
}

/// A Refusal. Key: sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Sequence on ANSWERS.
    pub sequence: u64,
    /// To which facility.
    pub ori: Ori,
    /// When it could be read.
    pub event_id: Option<EventId>,
    /// SHA-256 of the message that was refused.
    pub digest: Digest,
    /// Why.
    pub code: RefusalCode,
    /// The same bytes are never accepted.
    pub permanent: bool,
    /// Broker's time.
    pub stored: Timestamp,
}

/// A receipt on its way to a jail. Key: its sequence on RECEIPTS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressRow {
    /// Sequence on ANSWERS.
    pub sequence: u64,
    /// Sequence of the receipt on RECEIPTS.
    pub receipts_sequence: u64,
    /// Broker's time on ANSWERS.
    pub stored: Timestamp,
}

/// Something refused. Key: sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// Sequence on PARKED.
    pub sequence: u64,
    /// Token of its subject.
    pub reason: String,
    /// From its subject.
    pub ori: Option<Ori>,
    /// Where the original stands, when that is a stream of ours.
    pub origin: Option<(Stream, u64)>,
    /// Broker's time.
    pub stored: Timestamp,
}

/// A decision of the relay. Key: sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlRow {
    /// Sequence on CONTROL.
    pub sequence: u64,
    /// The notice it is about, if it is about one.
    pub notice_id: Option<NoticeId>,
    /// What was decided.
    pub kind: ControlKind,
    /// Decided, or done.
    pub phase: ControlPhase,
    /// Broker's time.
    pub stored: Timestamp,
}

/// `at`, to the microsecond.
pub fn micros(at: Timestamp) -> Timestamp {
    // Rounding to a unit below the day cannot leave the range of a timestamp but at its very end.
    at.round(jiff::TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Floor))
        .unwrap_or(at)
}

/// `moment`, to the microsecond.
pub fn moment(moment: Moment) -> Moment {
    Moment { at: micros(moment.at), ..moment }
}
