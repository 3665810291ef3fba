//! Keys from fixed seeds, fixed times, fixed ids.

use nkeys::{KeyPair, KeyPairType};
use sallyport_proto::{
    envelope::Digest,
    ids::{CustodyKey, EventId, NoticeId, Ori, RequestId, SubscriberId},
    key::{Signer, SigningKey},
    provenance::{AgreementId, Provenance, TrafficClass},
    time::{Moment, Window},
    vocabulary::SourceClock,
};

/// Stands in every field that holds person data: searched for where none may be.
pub const PERSON: &str = "Golden Nobody";

pub const EVENT: &str = "019aa7f0-0000-7000-8000-000000000001";
pub const EARLIER_EVENT: &str = "019aa7f0-0000-7000-8000-000000000002";
pub const REQUEST: &str = "019aa7f0-0000-7000-8000-000000000003";
pub const EARLIER_REQUEST: &str = "019aa7f0-0000-7000-8000-000000000004";
pub const STATEMENT: &str = "019aa7f0-0000-7000-8000-000000000005";
pub const EARLIER_STATEMENT: &str = "019aa7f0-0000-7000-8000-000000000006";

/// A signing key from a fixed seed.
pub struct Key {
    pub signer: Signer,
    pub public: SigningKey,
}

fn key(raw: u8) -> Key {
    let pair = KeyPair::new_from_raw(KeyPairType::Service, [raw; 32]).unwrap();
    Key {
        signer: Signer::from_seed(&pair.seed().unwrap()).unwrap(),
        public: pair.public_key().parse().unwrap(),
    }
}

pub fn facility_key() -> Key {
    key(1)
}

pub fn relay_key() -> Key {
    key(2)
}

pub fn subscriber_key() -> Key {
    key(3)
}

/// `second` of one fixed minute, exact.
pub fn at(second: u8, clock: SourceClock) -> Moment {
    Moment::exact(format!("2026-11-21T22:11:{second:02}.123456789Z").parse().unwrap(), clock)
}

/// The same, with what a hand-typed time can mean.
pub fn roughly(second: u8, clock: SourceClock) -> Moment {
    Moment { uncertainty_s: 900, ..at(second, clock) }
}

pub fn window() -> Window {
    Window {
        earliest: Some(at(50, SourceClock::JailRecord)),
        latest: Some(roughly(59, SourceClock::JailRecord)),
    }
}

pub fn provenance(program: &str) -> Provenance {
    Provenance {
        instance: "zz-golden".parse().unwrap(),
        schema_version: 1,
        build: format!("sallyport-{program}/0.1.0"),
    }
}

pub fn exercise() -> TrafficClass {
    TrafficClass::Exercise("drill-1".into())
}

pub fn agreement() -> AgreementId {
    AgreementId { id: "zz-agreement".parse().unwrap(), version: 2 }
}

pub fn ori() -> Ori {
    "zz0010000".parse().unwrap()
}

pub fn next_ori() -> Ori {
    "zz0020000".parse().unwrap()
}

pub fn subscriber() -> SubscriberId {
    "golden-agency".parse().unwrap()
}

pub fn other_subscriber() -> SubscriberId {
    "golden-other".parse().unwrap()
}

pub fn event() -> EventId {
    EVENT.parse().unwrap()
}

pub fn earlier_event() -> EventId {
    EARLIER_EVENT.parse().unwrap()
}

pub fn request() -> RequestId {
    REQUEST.parse().unwrap()
}

pub fn custody() -> CustodyKey {
    "ABCDEFGHIJKLMNOPQRSTUVWXY2".parse().unwrap()
}

pub fn notice() -> NoticeId {
    NoticeId::new(&ori(), &event(), &subscriber())
}

/// The digest of a text: any 32 bytes do, these are the same for ever.
pub fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}
