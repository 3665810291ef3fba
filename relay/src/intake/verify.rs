//! Whether a message of INGEST is a release event of the facility on whose subject it came. Pure but for the JetStream
//! message it looks at.

use async_nats::jetstream;
use jiff::{SignedDuration, Timestamp};
use sallyport_link::clock;
use sallyport_proto::{
    envelope::{Digest, OpenError},
    event::{EventError, UnverifiedEvent, VerifiedEvent},
    ids::{EventId, Jurisdiction, Ori},
    limits,
    registry::Registry,
    subject,
    vocabulary::RefusalCode,
};

use super::{Content, Pulled, Refused};

/// An event observed longer ago than DELIVER keeps its records, less two days, could be routed a second time: refused,
/// a person decides (rule of age).
const OBSERVED_AGE_MAX: SignedDuration = SignedDuration::from_hours(28 * 24);

/// Looks at one message. `None` only for what JetStream did not deliver.
pub(super) fn pulled(message: jetstream::Message, registry: &Registry) -> Option<Pulled> {
    let info = message.info().ok()?;
    let (sequence, redelivered) = (info.stream_sequence, info.delivered > 1);
    let t4_stored = clock::broker_moment(info)?;
    // The stream's own filter admits no other subject.
    let from = subject::facility_of_ingest(&message.subject)?;
    let content = match event(&message.payload, &from, registry, clock::now()) {
        Ok(event) => Content::Event(Box::new(event)),
        Err(refused) => Content::Refused(refused),
    };
    Some(Pulled {
        digest: Digest::of(&message.payload),
        from,
        t4_stored,
        sequence,
        redelivered,
        content,
        message,
    })
}

fn event(
    bytes: &[u8],
    (st, ori): &(Jurisdiction, Ori),
    registry: &Registry,
    now: Timestamp,
) -> Result<VerifiedEvent, Refused> {
    let refused = |event_id, code, text: String| Refused { event_id, code, text };
    if bytes.len() > limits::INGEST_MESSAGE_BYTES_MAX {
        let text =
            format!("{} bytes are over the limit of {}", bytes.len(), limits::INGEST_MESSAGE_BYTES_MAX);
        return Err(refused(None, RefusalCode::TooLarge, text));
    }
    let unverified =
        UnverifiedEvent::read(bytes).map_err(|error| refused(None, code_of(&error), error.to_string()))?;
    let event_id: Option<EventId> = unverified.claimed_event_id().parse().ok();
    let Some(facility) = registry.live_facility(ori, now) else {
        let text = format!("facility {ori} is not in the registry, or its entry has ended");
        return Err(refused(event_id, RefusalCode::UnknownKey, text));
    };
    // Before the signature: an event of another facility is named as such, not as an unknown key.
    if let Ok(head) = unverified.claimed_head()
        && (head.ori != *ori || head.jurisdiction != *st)
    {
        let text = format!("the event names facility {}, it came on the subject of {ori}", head.ori);
        return Err(refused(event_id, RefusalCode::WrongSubject, text));
    }
    let event = unverified
        .verify(&facility.signing_key)
        .map_err(|error| refused(event_id.clone(), code_of(&error), error.to_string()))?;
    if event.head.provenance.instance != registry.instance {
        let text = format!("the event is of instance {}", event.head.provenance.instance);
        return Err(refused(event_id, RefusalCode::BadEnvelope, text));
    }
    let age = now.duration_since(event.head.t2_observed.at);
    if age > OBSERVED_AGE_MAX {
        let text = format!("observed {} days ago: too old to be routed by a machine", age.as_hours() / 24);
        return Err(refused(event_id, RefusalCode::Expired, text));
    }
    Ok(event)
}

fn code_of(error: &EventError) -> RefusalCode {
    if error.is_newer_schema() {
        return RefusalCode::UnsupportedVersion;
    }
    match error {
        EventError::NotAnEvent | EventError::DisclosuresDiffer | EventError::Field(_) => {
            RefusalCode::BadEnvelope
        }
        EventError::Head(OpenError::UnknownKey) => RefusalCode::UnknownKey,
        EventError::Head(OpenError::BadSignature) => RefusalCode::BadSignature,
        EventError::Head(OpenError::Malformed | OpenError::WrongType { .. }) => RefusalCode::BadEnvelope,
        EventError::HeadTooLarge(_) => RefusalCode::TooLarge,
        EventError::TooManyRecipients(_) => RefusalCode::TooManyRecipients,
    }
}
