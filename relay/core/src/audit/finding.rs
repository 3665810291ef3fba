//! What an audit says: one finding per thing that is missing or does not verify.

use std::fmt;

use jiff::Timestamp;
use sallyport_proto::{
    envelope::Digest,
    ids::{EventId, NoticeId, Ori, SubscriberId},
};
use serde::Serialize;

use crate::{dense::Gap, ledger::Stream};

/// Where something did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrow {
    /// A number that the facility gave is on no message of INGEST.
    SequenceGap,
    /// On INGEST, and neither routed nor refused.
    IngestWithoutVerdict,
    /// Routed, and its message is not on INGEST.
    RoutedWithoutIngest,
    /// Routed, and one of its notices is not on DELIVER.
    RoutedWithoutNotice,
    /// A notice of which no `routed` record says that it was addressed.
    NoticeWithoutRouted,
    /// Routed, and the jail was never told.
    RoutedWithoutAcceptance,
    /// The jail was told of an event that is not routed.
    AcceptanceWithoutRouted,
    /// A notice that its subscriber never receipted.
    NoticeWithoutReceipt,
    /// A receipt about a notice that is not on DELIVER.
    ReceiptWithoutNotice,
    /// A receipt that never went on to the jail.
    ReceiptWithoutProgress,
    /// The same notice and attempt stands on DELIVER twice.
    NoticeTwice,
    /// A record that does not verify.
    NotVerified,
}

impl Arrow {
    /// As in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::SequenceGap => "sequence_gap",
            Self::IngestWithoutVerdict => "ingest_without_verdict",
            Self::RoutedWithoutIngest => "routed_without_ingest",
            Self::RoutedWithoutNotice => "routed_without_notice",
            Self::NoticeWithoutRouted => "notice_without_routed",
            Self::RoutedWithoutAcceptance => "routed_without_acceptance",
            Self::AcceptanceWithoutRouted => "acceptance_without_routed",
            Self::NoticeWithoutReceipt => "notice_without_receipt",
            Self::ReceiptWithoutNotice => "receipt_without_notice",
            Self::ReceiptWithoutProgress => "receipt_without_progress",
            Self::NoticeTwice => "notice_twice",
            Self::NotVerified => "not_verified",
        }
    }
}

/// One thing that is missing, exactly named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it went in and did not come out.
    pub arrow: Arrow,
    /// The record it was concluded from: stream and sequence. None for a gap.
    pub stream: Option<Stream>,
    /// See `stream`.
    pub sequence: Option<u64>,
    /// Since when: the broker's time of that record.
    pub since: Option<Timestamp>,
    /// Whose event.
    pub ori: Option<Ori>,
    /// Which event.
    pub event_id: Option<EventId>,
    /// Which notice.
    pub notice: Option<NoticeId>,
    /// Which subscriber.
    pub subscriber: Option<SubscriberId>,
    /// SHA-256 of the message concerned.
    #[serde(serialize_with = "hex")]
    pub digest: Option<Digest>,
    /// Of a gap: the facility's epoch.
    pub epoch: Option<String>,
    /// Of a gap: the numbers.
    pub missing: Option<Gap>,
    /// In words, when there is more to say.
    pub text: Option<String>,
}

impl Finding {
    /// An empty one.
    pub(crate) fn on(arrow: Arrow) -> Self {
        Self {
            arrow,
            stream: None,
            sequence: None,
            since: None,
            ori: None,
            event_id: None,
            notice: None,
            subscriber: None,
            digest: None,
            epoch: None,
            missing: None,
            text: None,
        }
    }

    /// Concluded from this record.
    pub(crate) fn at(arrow: Arrow, stream: Stream, sequence: u64, since: Timestamp) -> Self {
        Self { stream: Some(stream), sequence: Some(sequence), since: Some(since), ..Self::on(arrow) }
    }
}

fn hex<S: serde::Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.collect_str(digest),
        None => serializer.serialize_none(),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.arrow.word())?;
        let part = |f: &mut fmt::Formatter<'_>, name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(f, " {name} {value}"),
            None => Ok(()),
        };
        part(f, "facility", self.ori.as_ref().map(|v| v as _))?;
        part(f, "epoch", self.epoch.as_ref().map(|v| v as _))?;
        part(f, "seq", self.missing.as_ref().map(|v| v as _))?;
        part(f, "event", self.event_id.as_ref().map(|v| v as _))?;
        part(f, "notice", self.notice.as_ref().map(|v| v as _))?;
        part(f, "subscriber", self.subscriber.as_ref().map(|v| v as _))?;
        if let (Some(stream), Some(sequence)) = (self.stream, self.sequence) {
            write!(f, " ({} {sequence})", stream.name())?;
        }
        part(f, "since", self.since.as_ref().map(|v| v as _))?;
        part(f, "-", self.text.as_ref().map(|v| v as _))
    }
}
