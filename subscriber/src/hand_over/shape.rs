//! What the application gets: one JSON object per notice. Head and disclosure in canonical proto3 JSON, with what a
//! reader needs first in front. Holds the part, and so person data: it goes to the sink and nowhere else.

use prost::Message;
use sallyport_proto::{
    envelope::{OpenError, PayloadType, Unverified},
    field::FieldError,
    json::{self, JsonError},
    notice::Notice,
    provenance::TrafficClass,
    registry::Registry,
    vocabulary::TrafficKind,
    wire,
};
use serde::Serialize;
use serde_json::Value;

/// One notice as the application gets it.
#[derive(Serialize)]
pub struct Shape {
    /// The same for ever; what a reader tells repetitions by.
    pub notice_id: String,
    /// It was, or may have been, handed over before.
    pub redelivered: bool,
    /// ACTUAL, EXERCISE, TEST.
    pub traffic: TrafficKind,
    /// Which exercise.
    pub exercise_id: Option<String>,
    /// A newer revision of this custody is there: not actionable.
    pub superseded: bool,
    /// Name of the facility, from the registry.
    pub facility: Option<String>,
    /// Which attempt, and why it was made.
    pub attempt: u32,
    /// FIRST, REMINDER, ESCALATION, REPLAY.
    pub why: String,
    /// ROUTINE, URGENT.
    pub priority: String,
    /// When receipts are due.
    pub deadlines: Deadlines,
    /// The subscription that matched; none for a correction to who was told before.
    pub subscription: Option<String>,
    /// The agency's own case.
    pub case_number: Option<String>,
    /// The agency's own legal basis.
    pub legal_basis: Option<String>,
    /// Stored by the broker, routed by the relay.
    pub t4_stored: jiff::Timestamp,
    /// Routed by the relay.
    pub t5_routed: jiff::Timestamp,
    /// SHA-256 of the jail's message.
    pub event_digest: String,
    /// The jail's head.
    pub head: Value,
    /// What the jail discloses to this agency.
    pub disclosure: Value,
}

/// Absolute times.
#[derive(Serialize)]
pub struct Deadlines {
    /// By the machine.
    pub received: Option<jiff::Timestamp>,
    /// By a person.
    pub seen: Option<jiff::Timestamp>,
    /// A response.
    pub answered: Option<jiff::Timestamp>,
}

/// Why stored bytes cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The notice's envelope.
    #[error("envelope")]
    Envelope(#[from] OpenError),
    /// A field.
    #[error("field")]
    Field(#[from] FieldError),
    /// The JSON.
    #[error("JSON")]
    Json(#[from] JsonError),
    /// The JSON text.
    #[error("JSON text")]
    Text(#[from] serde_json::Error),
}

impl Shape {
    /// Shows a stored notice. Its signatures were verified before it was stored.
    pub fn of(
        bytes: &[u8],
        superseded: bool,
        redelivered: bool,
        registry: &Registry,
    ) -> Result<Self, ShapeError> {
        let envelope = Unverified::read(bytes, PayloadType::Notice)?;
        let notice: Notice = wire::Notice::decode(envelope.claimed_payload())
            .map_err(|_| FieldError::undecodable("notice"))?
            .try_into()?;
        let head = Unverified::read(&notice.head, PayloadType::ReleaseHead)?;
        let facility = registry.facilities.get(&notice.notice_id.ori()).map(|facility| facility.name.clone());
        let mut disclosure = json::canonical("Disclosure", &notice.disclosure)?;
        if let Some(fields) = disclosure.as_object_mut() {
            // Random, for the digest only: says nothing to a reader.
            fields.shift_remove("salt");
        }
        Ok(Self {
            redelivered,
            traffic: notice.traffic.kind(),
            exercise_id: match &notice.traffic {
                TrafficClass::Exercise(id) => Some(id.clone()),
                TrafficClass::Actual | TrafficClass::Test | TrafficClass::Ping => None,
            },
            superseded,
            facility,
            attempt: notice.attempt,
            why: notice.why.to_string(),
            priority: notice.priority.to_string(),
            deadlines: Deadlines {
                received: notice.deadlines.received.map(|moment| moment.at),
                seen: notice.deadlines.seen.map(|moment| moment.at),
                answered: notice.deadlines.answered.map(|moment| moment.at),
            },
            subscription: notice.subscription.map(String::from),
            case_number: notice.case_number,
            legal_basis: notice.legal_basis,
            t4_stored: notice.t4_stored.at,
            t5_routed: notice.t5_routed.at,
            event_digest: notice.event_digest.to_string(),
            head: json::canonical("ReleaseHead", head.claimed_payload())?,
            disclosure,
            notice_id: notice.notice_id.into(),
        })
    }

    /// One line, without its end.
    pub fn line(&self) -> Result<String, ShapeError> {
        Ok(serde_json::to_string(self)?)
    }
}
