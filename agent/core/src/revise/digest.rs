//! What a subscriber was last told, as a keyed digest: comparable, and saying nothing to whoever reads the store.

use prost::Message;
use sallyport_proto::{disclosure::Part, wire};

use super::HeadFacts;
use crate::custody::FacilitySecret;

/// Separates these HMACs from the other uses of the secret.
const USE: &[u8] = b"told";

/// Digest of what one subscriber sees: the facts of the head and its own part.
pub(super) fn of(secret: &FacilitySecret, facts: &HeadFacts, part: Option<&Part>) -> String {
    let mut seen = facts.to_wire().encode_length_delimited_to_vec();
    if let Some(part) = part {
        seen.extend(wire::Part::from(part.clone()).encode_length_delimited_to_vec());
    }
    data_encoding::BASE64URL_NOPAD.encode(&secret.hmac(&[USE, &seen]))
}
