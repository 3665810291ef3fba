//! How far a subscriber's notices reach: it compares its own count and sees whether one is missing.

use prost::Message;

use crate::{
    envelope::{self, PayloadType},
    field::{self, FieldError},
    ids::SubscriberId,
    key::{Signer, SigningKey},
    provenance::Provenance,
    signed::{self, SignedError},
    time::{self, Moment},
    wire,
};

/// Signed by a relay node, once a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberHead {
    /// Who wrote it.
    pub provenance: Provenance,
    /// Whose notices.
    pub subscriber: SubscriberId,
    /// How many DELIVER was given for it: the rank of the last one.
    pub rank: u64,
    /// Sequence of DELIVER up to which they are counted.
    pub last_sequence: u64,
    /// When.
    pub at: Moment,
    /// When the broker created DELIVER, in its own words: another text is another stream, with sequences of its own.
    /// Empty: not stated.
    pub stream_created: String,
}

impl SubscriberHead {
    /// Signs it: the bytes that go to DELIVER.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::SubscriberHead, wire::SubscriberHead::from(self).encode_to_vec())
    }

    /// Opens what a node signed.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, SignedError> {
        signed::open_by_relay::<wire::SubscriberHead, _>(
            bytes,
            PayloadType::SubscriberHead,
            relay_keys,
            "subscriber_head",
        )
    }
}

impl TryFrom<wire::SubscriberHead> for SubscriberHead {
    type Error = FieldError;
    fn try_from(w: wire::SubscriberHead) -> Result<Self, FieldError> {
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            subscriber: field::parse_id("subscriber_head.subscriber_id", &w.subscriber_id)?,
            rank: w.rank,
            last_sequence: w.last_sequence,
            at: time::required("subscriber_head.at", w.at)?,
            stream_created: w.stream_created,
        })
    }
}

impl From<SubscriberHead> for wire::SubscriberHead {
    fn from(h: SubscriberHead) -> Self {
        Self {
            provenance: Some(h.provenance.into()),
            subscriber_id: h.subscriber.into(),
            rank: h.rank,
            last_sequence: h.last_sequence,
            at: Some(h.at.into()),
            stream_created: h.stream_created,
        }
    }
}
