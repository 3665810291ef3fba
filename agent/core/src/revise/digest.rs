//! What a subscriber was last told, as a keyed digest: comparable, and saying nothing to whoever reads the store.

use prost::Message;
use sallyport_proto::{disclosure::Part, ids::RequestId, wire};

use super::HeadFacts;
use crate::custody::FacilitySecret;

/// Separates these HMACs from the other uses of the secret.
const USE: &[u8] = b"told";

/// Digest of what one subscriber sees: the facts of the head, the request that it answers (a subscriber may want to know
/// of nothing else), and its own part.
pub(super) fn of(
    secret: &FacilitySecret,
    facts: &HeadFacts,
    request: Option<&RequestId>,
    part: Option<&Part>,
) -> String {
    let mut seen = facts.to_wire().encode_length_delimited_to_vec();
    // A byte that no id begins with, or an id of fixed length: what follows tells its own length.
    seen.extend(request.map_or("-", RequestId::as_str).bytes());
    if let Some(part) = part {
        seen.extend(wire::Part::from(part.clone()).encode_length_delimited_to_vec());
    }
    data_encoding::BASE64URL_NOPAD.encode(&secret.hmac(&[USE, &seen]))
}
