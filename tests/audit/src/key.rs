//! The custody key, derived a second time: base32 of an HMAC of ORI and booking number under the facility secret.

use anyhow::{Context as _, ensure};
use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Characters of the base32 text that are kept: 130 bits.
const KEY_CHARS: usize = 26;
/// The shortest secret a facility may have.
const SECRET_BYTES_MIN: usize = 32;

/// Derives the custody keys of one facility.
pub(crate) struct CustodyKeys {
    keyed: Hmac<Sha256>,
}

impl CustodyKeys {
    pub(crate) fn new(ori: &str, secret_hex: &str) -> anyhow::Result<Self> {
        let secret =
            HEXLOWER_PERMISSIVE.decode(secret_hex.trim().as_bytes()).context("the secret is not hex")?;
        ensure!(secret.len() >= SECRET_BYTES_MIN, "the secret is shorter than {SECRET_BYTES_MIN} bytes");
        let mut keyed = Hmac::<Sha256>::new_from_slice(&secret).context("the secret is no HMAC key")?;
        keyed.update(ori.as_bytes());
        keyed.update(&[0]);
        Ok(Self { keyed })
    }

    /// The key of one custody; upper and lower case and blanks around the booking number do not matter.
    pub(crate) fn of(&self, booking_number: &str) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(normal(booking_number).as_bytes());
        let mut text = BASE32_NOPAD.encode(&keyed.finalize().into_bytes());
        text.truncate(KEY_CHARS);
        text
    }
}

/// The form of a booking number by which rows are one custody.
pub(crate) fn normal(booking_number: &str) -> String {
    booking_number.trim().to_uppercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_a_second_implementation() {
        // Computed once with another language's standard library over the same definition.
        let keys = CustodyKeys::new("zz0010000", &"0b".repeat(32)).unwrap();
        assert_eq!(keys.of(" ng-26-000123 "), "OCPCLDTOQOWYLQE4RRVRLXVJRS");
        assert_eq!(keys.of("NG-26-000123"), keys.of(" ng-26-000123 "));
    }

    #[test]
    fn a_short_or_unreadable_secret_is_refused() {
        assert!(CustodyKeys::new("zz0010000", &"0b".repeat(31)).is_err());
        assert!(CustodyKeys::new("zz0010000", "not hex").is_err());
    }
}
