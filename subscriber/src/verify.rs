//! Judges what came from DELIVER, by the keys of the registry alone: the relay's signature over the notice, then the
//! facility's over the head, then that the head commits to this very disclosure, and that all of them speak of the same
//! event, addressed to us. Pure: no clock, no network, no store.
//!
//! What a verdict leads to (receipt, refusal, stored apart) is `keep`'s to do.

use prost::Message;
use sallyport_proto::{
    disclosure::Disclosure,
    envelope::{Digest, OpenError, PayloadType, Unverified},
    event::{EventError, ReleaseHead, open_disclosed},
    field::FieldError,
    ids::{NoticeId, Ori, SubscriberId},
    key::SigningKey,
    notice::{Notice, NoticeError},
    provenance::TrafficClass,
    registry::Registry,
    vocabulary::{EndpointRefusalCode, TrafficKind},
    wire,
};

/// What a message from DELIVER turned out to be.
#[derive(Debug)]
pub enum Judged {
    /// A notice to us that both signatures prove.
    Notice(Box<Verified>),
    /// Says that it is a notice to us, and is not to be believed, or not readable by this build.
    Refused(Box<Refused>),
    /// Nothing that could be answered.
    Unreadable(Unreadable),
}

/// A notice with the jail's words inside it, opened.
#[derive(Debug)]
pub struct Verified {
    /// The relay's words.
    pub notice: Notice,
    /// The jail's head.
    pub head: ReleaseHead,
    /// The jail's disclosure to us.
    pub disclosure: Disclosure,
}

/// A notice that is answered with a refusal. What it claims may be anybody's words.
#[derive(Debug)]
pub struct Refused {
    /// Claimed.
    pub notice_id: NoticeId,
    /// Claimed.
    pub attempt: u32,
    /// Claimed; the digest of the message itself where it claims none.
    pub event_digest: Digest,
    /// Claimed; TEST where it cannot be read: never taken for real.
    pub traffic: TrafficClass,
    /// Why it is refused.
    pub fault: Fault,
}

/// Why a notice is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The relay's envelope does not open.
    #[error("the relay's envelope: {0}")]
    Relay(OpenError),
    /// Signed by the relay, but not readable by this build.
    #[error("the notice: {0}")]
    Notice(FieldError),
    /// No key to check the event with.
    #[error("facility {0} is not in the registry")]
    UnknownFacility(Ori),
    /// The facility's head or disclosure does not open.
    #[error("the facility's event: {0}")]
    Event(EventError),
    /// Of another relay network.
    #[error("belongs to another instance")]
    OtherInstance,
    /// Head and notice name different things.
    #[error("notice and event name a different {0}")]
    Disagree(&'static str),
    /// A notice of this id is stored, and it carried another event.
    #[error("another event came under this notice id before")]
    Conflict,
}

/// Why a message could not even be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unreadable {
    /// Not an envelope, or of a payload type that has no business here.
    #[error("not a notice")]
    NotANotice,
    /// An envelope of a notice whose id cannot be read.
    #[error("the notice id cannot be read")]
    NoNoticeId,
    /// Addressed to somebody else: a receipt of ours may not name it.
    #[error("addressed to another subscriber")]
    NotOurs,
}

impl Fault {
    /// What the sender is told.
    pub fn code(&self) -> EndpointRefusalCode {
        use EndpointRefusalCode as Code;
        match self {
            Self::Relay(error) | Self::Event(EventError::Head(error)) => match error {
                OpenError::UnknownKey => Code::UnknownKey,
                OpenError::BadSignature | OpenError::Malformed | OpenError::WrongType { .. } => {
                    Code::BadSignature
                }
            },
            Self::UnknownFacility(_) => Code::UnknownKey,
            // A field this build does not know is a newer build's until the opposite is shown.
            Self::Notice(_) | Self::Event(EventError::Field(_)) => Code::UnsupportedVersion,
            // The facility's signature covers another disclosure than the one that came.
            Self::Event(_) => Code::BadSignature,
            Self::OtherInstance | Self::Disagree(_) | Self::Conflict => Code::PolicyRefused,
        }
    }
}

/// Judges one message.
pub fn judge(bytes: &[u8], registry: &Registry, me: &SubscriberId) -> Judged {
    let envelope = match Unverified::read(bytes, PayloadType::Notice) {
        Ok(envelope) => envelope,
        Err(_) => return Judged::Unreadable(Unreadable::NotANotice),
    };
    let notice = match Notice::open(bytes, registry.relay_keys()) {
        Ok(notice) => notice,
        Err(NoticeError::Open(error)) => return refuse_claimed(bytes, &envelope, me, Fault::Relay(error)),
        Err(NoticeError::Field(error)) => return refuse_claimed(bytes, &envelope, me, Fault::Notice(error)),
    };
    if notice.subscriber() != *me {
        return Judged::Unreadable(Unreadable::NotOurs);
    }
    match open_event(&notice, registry) {
        Ok((head, disclosure)) => Judged::Notice(Box::new(Verified { notice, head, disclosure })),
        Err(fault) => Judged::Refused(Box::new(Refused {
            notice_id: notice.notice_id,
            attempt: notice.attempt,
            event_digest: notice.event_digest,
            traffic: notice.traffic,
            fault,
        })),
    }
}

fn open_event(notice: &Notice, registry: &Registry) -> Result<(ReleaseHead, Disclosure), Fault> {
    let ori = notice.notice_id.ori();
    // The key of the very facility that the notice id names, so no other jail can speak for it.
    let key: &SigningKey = match registry.facilities.get(&ori) {
        Some(facility) => &facility.signing_key,
        None => return Err(Fault::UnknownFacility(ori)),
    };
    let (head, disclosure) = open_disclosed(&notice.head, &notice.disclosure, key).map_err(Fault::Event)?;
    let same = |equal: bool, what| if equal { Ok(()) } else { Err(Fault::Disagree(what)) };
    if notice.provenance.instance != registry.instance || head.provenance.instance != registry.instance {
        return Err(Fault::OtherInstance);
    }
    same(head.ori == ori, "facility")?;
    same(head.event_id == notice.notice_id.event(), "event")?;
    same(disclosure.subscriber_id == notice.subscriber(), "subscriber")?;
    same(disclosure.agreement == notice.agreement, "agreement")?;
    // An exercise must never arrive as the real thing, nor the other way round.
    same(head.traffic == notice.traffic, "traffic class")?;
    Ok((head, disclosure))
}

/// A refusal that names what the message claims, where it claims to be ours at all.
fn refuse_claimed(bytes: &[u8], envelope: &Unverified, me: &SubscriberId, fault: Fault) -> Judged {
    let Ok(claimed) = wire::Notice::decode(envelope.claimed_payload()) else {
        return Judged::Unreadable(Unreadable::NoNoticeId);
    };
    let Ok(notice_id) = claimed.notice_id.parse::<NoticeId>() else {
        return Judged::Unreadable(Unreadable::NoNoticeId);
    };
    if notice_id.subscriber() != *me {
        return Judged::Unreadable(Unreadable::NotOurs);
    }
    Judged::Refused(Box::new(Refused {
        notice_id,
        attempt: claimed.attempt,
        event_digest: Digest::try_from(&*claimed.event_digest).unwrap_or_else(|_| Digest::of(bytes)),
        traffic: claimed_traffic(claimed.traffic),
        fault,
    }))
}

fn claimed_traffic(claimed: Option<wire::TrafficClass>) -> TrafficClass {
    let Some(claimed) = claimed else { return TrafficClass::Test };
    match TrafficKind::from_wire("traffic.kind", claimed.kind) {
        Ok(TrafficKind::Actual) => TrafficClass::Actual,
        Ok(TrafficKind::Exercise) if !claimed.exercise_id.is_empty() => {
            TrafficClass::Exercise(claimed.exercise_id)
        }
        Ok(TrafficKind::Ping) => TrafficClass::Ping,
        Ok(TrafficKind::Exercise | TrafficKind::Test) | Err(_) => TrafficClass::Test,
    }
}
