//! The whole timeline of one event: every time with its clock and uncertainty, what each receipt counted for, and whether
//! each signature verifies. The read model says where the records stand; what is shown is read from the streams.
//!
//! `bundle` puts the signed records into one file that anyone can check with the registrar's public key alone.

pub mod bundle;
mod fetch;
mod opened;
mod show;
#[cfg(test)]
mod tests;
mod timeline;

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    envelope::Digest,
    ids::{EventId, NoticeId, Ori},
    registry::Registry,
    time::Moment,
};
use sallyport_relay_core::{
    delivery::{Credit, Status},
    latency::{Interval, Stage},
    ledger::Stream,
};
use serde::Serialize;

use crate::track::store::StoreError;
pub use fetch::gather;
use opened::Opened;
pub use timeline::Line;

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The read model.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No record of it: never sent, expunged, or not yet folded.
    #[error("no record of event {0} in the streams of this relay")]
    Unknown(EventId),
    /// An event id counts only together with its facility, and several have this one.
    #[error("event {event} is of several facilities ({}): name one", list(.facilities))]
    Ambiguous {
        /// The event.
        event: EventId,
        /// Whose it may be.
        facilities: Vec<Ori>,
    },
    /// A stream does not answer.
    #[error("reading {stream} at {sequence}")]
    Read {
        /// Which stream.
        stream: &'static str,
        /// Where.
        sequence: u64,
        /// Why.
        #[source]
        source: async_nats::jetstream::stream::RawMessageError,
    },
}

fn list(ids: &[Ori]) -> String {
    ids.iter().map(Ori::as_str).collect::<Vec<_>>().join(", ")
}

/// One record of the event, as its stream has it.
#[derive(Debug, Clone)]
pub struct Original {
    /// Which stream.
    pub stream: Stream,
    /// Its sequence there.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Broker's time.
    pub stored: Timestamp,
    /// Its bytes, as signed.
    pub payload: Vec<u8>,
}

/// Everything that is known of one event.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// The event.
    pub event: EventId,
    /// Its facility.
    pub ori: Ori,
    /// Custody and revision, when a head could be read.
    pub head: Option<Head>,
    /// The read model was not known to be current: records may be missing here.
    pub model_is_stale: bool,
    /// What happened, in the order of its times.
    pub timeline: Vec<Line>,
    /// Each notice.
    pub notices: Vec<NoticeTrace>,
    /// Each record with its signature's check.
    pub records: Vec<Checked>,
    #[serde(skip)]
    opened: Vec<(Original, Opened)>,
}

/// What the head says, besides times.
#[derive(Debug, Serialize)]
pub struct Head {
    /// Stands for the booking.
    pub custody_key: String,
    /// Revision.
    pub revision: u32,
    /// The revision before.
    pub supersedes: Option<EventId>,
    /// Release state.
    pub release_state: &'static str,
    /// Canonical reason.
    pub reason: &'static str,
    /// How sure the jail is.
    pub certainty: &'static str,
    /// Real or not.
    pub traffic: &'static str,
    /// A replay of past records.
    pub backfill: bool,
    /// SHA-256 of the jail's message that was routed.
    pub digest: Option<String>,
}

/// One notice of the event.
#[derive(Debug, Serialize)]
pub struct NoticeTrace {
    /// Which.
    pub notice: NoticeId,
    /// Where it stands.
    pub status: Status,
    /// Its stages.
    pub stages: Vec<StageTrace>,
    /// From its receipt to the door, seconds; negative: after the door.
    pub lead_received_s: Option<f64>,
    /// From its answer to the door.
    pub lead_answered_s: Option<f64>,
    /// What each receipt counted for, by its sequence on RECEIPTS.
    pub receipts: Vec<(u64, Credit)>,
}

/// One stage of a notice.
#[derive(Debug, Serialize)]
pub struct StageTrace {
    /// Which; `t6-t0` of a backfill counts from t2.
    pub stage: Stage,
    /// Milliseconds, never clamped.
    pub ms: f64,
    /// How far both sources together may be off.
    pub uncertainty_s: u32,
    /// The two clocks disagree by at least so much.
    pub skew_ms: Option<f64>,
}

/// One record and what checking it gave.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Which stream.
    pub stream: Stream,
    /// Its sequence there.
    pub sequence: u64,
    /// What it is.
    pub what: String,
    /// Whose key it names.
    pub signed_by: String,
    /// Signature and contents agree.
    pub verified: bool,
    /// Why not.
    pub problem: Option<String>,
}

impl StageTrace {
    fn of(stage: Stage, interval: Interval) -> Self {
        Self {
            stage,
            ms: millis(interval.value),
            uncertainty_s: interval.uncertainty_s,
            skew_ms: interval.skew.map(millis),
        }
    }
}

impl Trace {
    /// Every record's signature verifies.
    pub fn is_verified(&self) -> bool {
        self.records.iter().all(|record| record.verified)
    }

    /// Digest of the message that was routed.
    fn routed_digest(&self) -> Option<Digest> {
        self.opened.iter().find_map(|(_, opened)| match opened {
            Opened::Routed(routed) => Some(routed.event_digest),
            _ => None,
        })
    }
}

fn millis(span: SignedDuration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// Checks every record and lays the times out.
fn assemble(
    event: EventId,
    ori: Ori,
    originals: Vec<Original>,
    registry: &Registry,
    notices: Vec<NoticeTrace>,
    model_is_stale: bool,
) -> Trace {
    let mut records = Vec::new();
    let mut opened = Vec::new();
    for original in originals {
        let (content, checked) = opened::open(&original, &ori, registry);
        records.push(checked);
        opened.push((original, content));
    }
    let mut trace =
        Trace { event, ori, head: None, model_is_stale, timeline: Vec::new(), notices, records, opened };
    trace.head = head(&trace);
    trace.timeline = timeline::lay_out(&trace.opened, &trace.event, &trace.notices);
    trace
}

fn head(trace: &Trace) -> Option<Head> {
    let digest = trace.routed_digest();
    let heads = trace.opened.iter().filter_map(|(original, opened)| match opened {
        Opened::Event(head) => Some((Digest::of(&original.payload), head)),
        _ => None,
    });
    // Several messages may claim to be this event: the one that was routed counts.
    let (_, head) = heads.max_by_key(|(of, _)| Some(*of) == digest)?;
    Some(Head {
        custody_key: head.custody_key.to_string(),
        revision: head.revision,
        supersedes: head.supersedes.clone(),
        release_state: head.release_state.as_str(),
        reason: head.reason.as_str(),
        certainty: head.certainty.as_str(),
        traffic: head.traffic.kind().as_str(),
        backfill: head.backfill,
        digest: digest.map(|digest| digest.to_string()),
    })
}

/// A time for people: what it is, whose clock, and how sure.
fn describe(moment: &Moment) -> String {
    let unsure = match moment.uncertainty_s {
        0 => String::new(),
        seconds => format!(" +-{seconds} s"),
    };
    format!("{}{unsure}", moment.clock)
}
