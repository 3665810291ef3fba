//! What a facility's secret derives: the custody key, the id of a request on paper, and (for `revise`) digests of what
//! was told. All are HMACs, so that nobody without the secret can try out booking numbers.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sallyport_proto::ids::{CustodyKey, Ori, RequestId, SubscriberId};
use sha2::Sha256;

/// A shorter secret could be tried out.
pub const SECRET_BYTES_MIN: usize = 32;
/// 130 bits: no two bookings of a facility meet by chance.
const CUSTODY_KEY_CHARS: usize = 26;

/// The secret of a facility that custody keys are derived with. Has no Debug of its content.
#[derive(Clone)]
pub struct FacilitySecret(Box<[u8]>);

/// Not a facility secret. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not hexadecimal text.
    #[error("not hexadecimal")]
    NotHex,
    /// Too short.
    #[error("{bytes} bytes, at least {SECRET_BYTES_MIN} are needed")]
    Short {
        /// How long it was.
        bytes: usize,
    },
}

impl FacilitySecret {
    /// Reads the content of a secret file: at least 32 bytes in hex, with white space around it passed over.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map_err(|_| SecretError::NotHex)?;
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretError::Short { bytes: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// HMAC-SHA-256 over `parts`, each one ended by a zero byte except the last. Callers keep zero bytes out of all but
    /// the last part, so that no two lists of parts give the same bytes.
    pub(crate) fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key of any length is accepted by HMAC.
        #[allow(clippy::expect_used)]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                mac.update(&[0]);
            }
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for FacilitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FacilitySecret([redacted])")
    }
}

/// The form of a booking number under which two spellings are one custody: trimmed, upper case.
pub(crate) fn normalised(booking_number: &str) -> String {
    booking_number.trim().to_uppercase()
}

/// Stands for a booking at a facility, and says nothing about it: the first 26 characters of
/// base32(HMAC-SHA-256(secret, ORI 0x00 booking number)), the booking number trimmed and in upper case.
pub fn custody_key(secret: &FacilitySecret, ori: &Ori, booking_number: &str) -> CustodyKey {
    let mac = secret.hmac(&[ori.as_str().as_bytes(), normalised(booking_number).as_bytes()]);
    let text = BASE32_NOPAD.encode(&mac);
    // 32 bytes are 52 characters of base32: the first 26 are always a custody key.
    #[allow(clippy::expect_used)]
    text[..CUSTODY_KEY_CHARS].parse().expect("26 characters of base32 are a custody key")
}

/// The id of a request that was lodged on paper and that a mapped flag stands for: the same for every reading of the
/// custody, another for every subscriber. It has the form of a UUIDv7 whose time is zero: when the paper came is not
/// known, and a time of the booking would tell those who may not have it.
pub fn paper_request_id(
    secret: &FacilitySecret,
    ori: &Ori,
    booking_number: &str,
    subscriber: &SubscriberId,
) -> RequestId {
    let booking_number = normalised(booking_number);
    let mac = secret.hmac(&[
        b"paper request",
        ori.as_str().as_bytes(),
        subscriber.as_str().as_bytes(),
        booking_number.as_bytes(),
    ]);
    let mut bytes = [0; 16];
    bytes[6..].copy_from_slice(&mac[..10]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    uuid::Uuid::from_bytes(bytes).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn secret(byte: &str) -> FacilitySecret {
        FacilitySecret::from_hex(&byte.repeat(32)).unwrap()
    }

    fn ori(text: &str) -> Ori {
        text.parse().unwrap()
    }

    #[test]
    fn a_custody_key_is_the_same_for_every_spelling_of_the_booking_number() {
        let key = custody_key(&secret("0a"), &ori("zz0010000"), "B-17a");
        assert_eq!(key, custody_key(&secret("0a"), &ori("zz0010000"), " b-17A "));
    }

    #[test]
    fn a_custody_key_differs_by_booking_facility_and_secret() {
        let key = custody_key(&secret("0a"), &ori("zz0010000"), "B-17");
        assert_ne!(key, custody_key(&secret("0a"), &ori("zz0010000"), "B-18"));
        assert_ne!(key, custody_key(&secret("0a"), &ori("zz0020000"), "B-17"));
        assert_ne!(key, custody_key(&secret("0b"), &ori("zz0010000"), "B-17"));
    }

    #[test]
    fn a_custody_key_is_the_one_that_the_design_defines() {
        // python: base64.b32encode(hmac.new(bytes([10])*32, b"zz0010000\0B-17", "sha256").digest())[:26]
        let key = custody_key(&secret("0a"), &ori("zz0010000"), "b-17");
        assert_eq!(key.as_str(), "MXEUDPMRBHVLXQOGDZ7ZBGUT3H");
    }

    #[test]
    fn a_paper_request_has_a_checked_id_of_its_own_for_every_subscriber() {
        let (a, b) = ("fed-a".parse().unwrap(), "fed-b".parse().unwrap());
        let id = paper_request_id(&secret("0a"), &ori("zz0010000"), "B-17", &a);
        assert_eq!(id.as_str().parse::<RequestId>().unwrap(), id);
        assert_eq!(id, paper_request_id(&secret("0a"), &ori("zz0010000"), "b-17 ", &a));
        assert_ne!(id, paper_request_id(&secret("0a"), &ori("zz0010000"), "B-17", &b));
    }

    #[test]
    fn a_short_or_garbled_secret_is_refused_and_never_printed() {
        assert_eq!(FacilitySecret::from_hex("0a0b").unwrap_err(), SecretError::Short { bytes: 2 });
        assert_eq!(FacilitySecret::from_hex("xy").unwrap_err(), SecretError::NotHex);
        assert!(!format!("{:?}", secret("0a")).contains("0a"));
    }
}
