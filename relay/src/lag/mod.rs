//! How far behind delivery is, in time: per subscriber and facility what waits and since when, how long each stage took,
//! how long before the door it was known. From the read model, also of a running relay; never from a server's counts,
//! which a follower may have wrong for hours (docs/nats.md 33).
//!
//! A model that is not known to be current is shown as UNKNOWN, never as fine.

mod figures;
mod read;
mod show;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use sallyport_proto::{
    ids::{NoticeId, Ori, SubscriberId},
    vocabulary::RefusalCode,
};
use sallyport_relay_core::{latency::Stage, ledger::Stream};
use serde::Serialize;

pub use figures::{Latency, Lead};

use crate::mend::Pulse;

/// What a look at the read model says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lag {
    /// When it was looked at.
    pub at: Timestamp,
    /// Figures are of notices routed within this time.
    pub window_s: i64,
    /// The model is current; otherwise every state is UNKNOWN.
    pub known: bool,
    /// How current, by stream.
    pub positions: Vec<StreamAge>,
    /// All of it together, pings apart.
    pub overall: Overall,
    /// By subscriber, facility and kind of traffic.
    pub deliveries: Vec<Deliveries>,
    /// Allowed by the jail, asked for by no subscription.
    pub unsubscribed: Vec<Unsubscribed>,
    /// Refused, by facility and code.
    pub refused: Vec<Refused>,
    /// Parked for a person, by facility and reason.
    pub parked: Vec<Parked>,
    /// Receipts that did not go on to a jail within a minute: not believed, or the way back stands still.
    pub not_passed_on: Vec<NotPassedOn>,
    /// How each facility is, by its heartbeats, and what it numbered that is not held.
    pub facilities: Vec<Pulse>,
    /// Messages of jails without an answer yet.
    pub unanswered: Unanswered,
    /// Records that the fold could not read and passed over.
    pub unreadable: Vec<Unreadable>,
}

/// How current the model is for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamAge {
    /// Which.
    pub stream: Stream,
    /// The last sequence folded.
    pub sequence: u64,
    /// Since the model was last known to hold everything of it; none: never.
    pub age_s: Option<i64>,
    /// Too long ago.
    pub stale: bool,
}

/// Figures of different kinds of traffic are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Events as they happen, real or exercise.
    Live,
    /// A replay of past records: no lead time, and the whole way counts from t2.
    Backfill,
    /// Stops at the last step; nobody waits for it.
    Ping,
}

/// How deliveries to one subscriber stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nothing waits past its deadline.
    Ok,
    /// Something waits past its deadline.
    Breached,
    /// The model is stale.
    Unknown,
}

/// Notices of one facility to one subscriber.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deliveries {
    /// To whom.
    pub subscriber: SubscriberId,
    /// From which facility.
    pub ori: Ori,
    /// Of which traffic.
    pub kind: Kind,
    /// How it stands.
    pub state: State,
    /// Routed within the window.
    pub notices: u64,
    /// Of those, received.
    pub received: u64,
    /// Of those, received after the deadline.
    pub late: u64,
    /// Of those, refused by the endpoint.
    pub refused: u64,
    /// Waiting for a RECEIVED, whenever routed.
    pub pending: u64,
    /// The oldest of them.
    pub oldest: Option<Oldest>,
    /// Stage latencies; absent stages have no figure at all.
    pub stages: Vec<StageFigures>,
    /// From the broker having a receipt to the jail's Progress being published.
    pub way_back: Option<Latency>,
    /// How long before the door it was received.
    pub lead_received: Option<Lead>,
    /// How long before the door it was answered.
    pub lead_answered: Option<Lead>,
}

/// The notice that waits longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// Which.
    pub notice: NoticeId,
    /// Since it was routed.
    pub age_s: i64,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageFigures {
    /// Which; of a backfill, `t6-t0` counts from t2.
    pub stage: Stage,
    /// Its figures.
    #[serde(flatten)]
    pub latency: Latency,
}

/// Disclosures that matched no subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsubscribed {
    /// Who might have been told.
    pub subscriber: SubscriberId,
    /// By which facility.
    pub ori: Ori,
    /// How often.
    pub disclosures: u64,
}

/// Messages answered with a Refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Of which facility.
    pub ori: Ori,
    /// Why.
    pub code: RefusalCode,
    /// How many.
    pub messages: u64,
}

/// Messages kept for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// Of which facility, when the subject says so.
    pub ori: Option<Ori>,
    /// Why.
    pub reason: String,
    /// How many.
    pub messages: u64,
}

/// The whole way of every notice within the window, pings apart; from the agent's observation (t2), by several clocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// t6 - t2: until the subscriber's machine had it.
    pub delivered: Option<Latency>,
    /// Until the receipt was on its way to the jail, stored by the broker.
    pub whole_loop: Option<Latency>,
    /// Waiting for a RECEIVED, whenever routed.
    pub pending: u64,
}

/// Receipts credited to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotPassedOn {
    /// On whose subject.
    pub subscriber: SubscriberId,
    /// How many.
    pub receipts: u64,
}

/// Messages of jails that were neither accepted nor parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// How many.
    pub messages: u64,
    /// Age of the oldest.
    pub oldest_age_s: Option<i64>,
}

/// Records passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Of which stream.
    pub stream: Stream,
    /// How many.
    pub records: u64,
}
