//! What the streams add up to: a fold of records into a model, by small changes that are harmless when repeated.
//!
//! Each change puts one fact under its own key; under one key the record with the lowest sequence wins. No change reads
//! another one's fact, so the order between streams never matters: any interleaving gives the same model. What follows
//! from several facts together (a delivery's status, which receipt is credited) is derived when asked for (`view`).
//!
//! The fold trusts recorded verdicts and checks no signature: who may write to a stream is the server's to enforce, a
//! notice or `routed` record is a node's own, and a receipt counts once the relay, having verified it, has passed it on
//! in a Progress. `trace` and `verify` check signatures.
//! Out of scope: reading streams, keeping the model on disk (`relay::track`).

mod model;
mod read;
pub mod rows;
#[cfg(test)]
mod tests;
pub mod view;

use jiff::Timestamp;
use sallyport_proto::subject;
use serde::{Deserialize, Serialize};

pub use model::Model;
pub use read::changes;
use rows::{
    AcceptedRow, ControlRow, HeartbeatRow, IngestRow, NoticeRow, ParkedRow, ProgressRow, ReceiptRow,
    RefusedRow, RoutedRow,
};

/// A stream that is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stream {
    /// What jails publish.
    #[serde(rename = "INGEST")]
    Ingest,
    /// Notices and `routed` records.
    #[serde(rename = "DELIVER")]
    Deliver,
    /// What subscribers say.
    #[serde(rename = "RECEIPTS")]
    Receipts,
    /// Answers to jails.
    #[serde(rename = "ANSWERS")]
    Answers,
    /// Decisions of the relay.
    #[serde(rename = "CONTROL")]
    Control,
    /// What was refused.
    #[serde(rename = "PARKED")]
    Parked,
    /// That jails are alive, and how far they numbered.
    #[serde(rename = "HEARTBEATS")]
    Heartbeats,
}

impl Stream {
    /// Every stream that is folded.
    pub const ALL: &'static [Self] = &[
        Self::Ingest,
        Self::Deliver,
        Self::Receipts,
        Self::Answers,
        Self::Control,
        Self::Parked,
        Self::Heartbeats,
    ];

    /// Its JetStream name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => subject::INGEST,
            Self::Deliver => subject::DELIVER,
            Self::Receipts => subject::RECEIPTS,
            Self::Answers => subject::ANSWERS,
            Self::Control => subject::CONTROL,
            Self::Parked => subject::PARKED,
            Self::Heartbeats => subject::HEARTBEATS,
        }
    }

    /// By its JetStream name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|stream| stream.name() == name)
    }
}

/// One message of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Record<'m> {
    /// Which stream.
    pub stream: Stream,
    /// Its sequence there.
    pub sequence: u64,
    /// Its subject.
    pub subject: &'m str,
    /// The broker's time.
    pub stored: Timestamp,
    /// Its bytes.
    pub payload: &'m [u8],
}

/// One fact for the model. Putting it twice is putting it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something came from a jail.
    Ingest(IngestRow),
    /// An event was routed.
    Routed(RoutedRow),
    /// An attempt of a notice is in DELIVER.
    Notice(NoticeRow),
    /// A receipt names a notice.
    Receipt(ReceiptRow),
    /// An event was accepted.
    Accepted(AcceptedRow),
    /// A message was refused.
    Refused(RefusedRow),
    /// A receipt went on to the jail.
    Progress(ProgressRow),
    /// Something was parked.
    Parked(ParkedRow),
    /// The relay decided something.
    Control(ControlRow),
    /// A jail said that it is alive.
    Heartbeat(HeartbeatRow),
    /// A record that cannot be read: counted, and passed over.
    Unreadable {
        /// Where.
        stream: Stream,
        /// Its sequence there.
        sequence: u64,
    },
}
