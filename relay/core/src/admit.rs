//! Whether a message of INGEST is a release event of the facility on whose subject it came.

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    envelope::OpenError,
    event::{EventError, UnverifiedEvent, VerifiedEvent},
    ids::{EventId, Jurisdiction, Ori},
    limits,
    registry::Registry,
    vocabulary::RefusalCode,
};

/// An event observed longer ago than DELIVER keeps its records, less two days, could be routed a second time: refused,
/// a person decides (rule of age).
pub const OBSERVED_AGE_MAX: SignedDuration = SignedDuration::from_hours(28 * 24);

/// Why a message is not acceptable.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When it could be read.
    pub event_id: Option<EventId>,
    /// Why.
    pub code: RefusalCode,
    /// In words, without person data.
    pub text: String,
}

/// Opens one message that came on the subject of `from`.
///
/// # Errors
/// What is wrong with it, as the jail is told: its size, its form, its signature, its facility, or its age.
pub fn event(
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sallyport_proto::{
        event::{ReleaseHead, seal_event},
        key::Signer,
    };

    use super::*;
    use crate::fixture::{self, head, signer};

    const NOW: &str = "2026-11-21T12:00:05Z";

    fn opened(bytes: &[u8], from: &str, now: &str) -> Result<VerifiedEvent, RefusalCode> {
        let registry = fixture::registry().subscriber("fed-a", &[]).parse();
        let from = ("zz".parse().unwrap(), from.parse().unwrap());
        event(bytes, &from, &registry, now.parse().unwrap()).map_err(|refused| refused.code)
    }

    fn sealed(by: &Signer, change: impl FnOnce(&mut ReleaseHead)) -> Vec<u8> {
        let mut head = head(1);
        change(&mut head);
        let disclosure = fixture::disclosure(&head, "fed-a");
        seal_event(by, head, vec![disclosure])
    }

    #[test]
    fn an_event_of_its_facility_is_let_in_and_what_is_not_is_named() {
        let (jail, other) = (signer(5), signer(7));
        let good = sealed(&jail, |_| {});
        assert_eq!(opened(&good, "zz0010000", NOW).unwrap().head.event_id, head(1).event_id);
        let cases = [
            (good.clone(), "zz0020000", NOW, RefusalCode::WrongSubject),
            (good.clone(), "zz0090000", NOW, RefusalCode::UnknownKey),
            (good.clone(), "zz0010000", "2026-12-21T12:00:05Z", RefusalCode::Expired),
            (sealed(&other, |_| {}), "zz0010000", NOW, RefusalCode::UnknownKey),
            (
                sealed(&jail, |head| head.provenance.instance = "zz-other".parse().unwrap()),
                "zz0010000",
                NOW,
                RefusalCode::BadEnvelope,
            ),
            (b"garbage".to_vec(), "zz0010000", NOW, RefusalCode::BadEnvelope),
            (vec![0; limits::INGEST_MESSAGE_BYTES_MAX + 1], "zz0010000", NOW, RefusalCode::TooLarge),
        ];
        for (n, (bytes, from, now, code)) in cases.into_iter().enumerate() {
            assert_eq!(opened(&bytes, from, now).unwrap_err(), code, "case {n}");
        }
    }

    #[test]
    fn no_flipped_byte_of_the_signed_head_passes() {
        let good = sealed(&signer(5), |_| {});
        let whole = opened(&good, "zz0010000", NOW).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            if let Ok(event) = opened(&bytes, "zz0010000", NOW) {
                // Beside the signature: an unknown field that readers skip. What was signed is as it was.
                assert_eq!(event.head_bytes, whole.head_bytes, "byte {at}");
            }
        }
    }
}
