//! Keys, by what they are for: a key that signs evidence never logs in to NATS, because a server could make it sign a
//! nonce of the server's choosing. nkeys carry their kind in the first letter, and the wrong kind is refused here.

use std::{fmt, str::FromStr, sync::Arc};

use nkeys::{KeyPair, KeyPairType};

/// A text that is not a key of the kind asked for. Never repeats the text: it may be a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct KeyError {
    /// The kind, in words.
    pub expected: &'static str,
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $kind:path, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            pair: Arc<KeyPair>,
            text: Arc<str>,
        }

        impl $name {
            /// The nkey as text.
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// Whether `signature` is this key's over `message`.
            pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
                self.pair.verify(message, signature).is_ok()
            }
        }

        impl FromStr for $name {
            type Err = KeyError;
            fn from_str(text: &str) -> Result<Self, KeyError> {
                let wrong = KeyError { expected: $expected };
                let pair = KeyPair::from_public_key(text).map_err(|_| wrong)?;
                match pair.key_pair_type() {
                    $kind => Ok(Self { pair: Arc::new(pair), text: text.into() }),
                    _ => Err(wrong),
                }
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.text == other.text
            }
        }
        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

public_key!(
    /// Verifies what a facility, a relay node or a subscriber signed. `V...`
    SigningKey, KeyPairType::Service, "a public signing key (nkey V...)");
public_key!(
    /// A NATS user. `U...`
    ConnectKey, KeyPairType::User, "a public connect key (nkey U...)");
public_key!(
    /// The registrar of an instance: agents and subscribers pin it. `O...`
    RegistrarKey, KeyPairType::Operator, "a public registrar key (nkey O...)");

/// A private key that signs messages. Has no Debug of its content.
#[derive(Clone)]
pub struct Signer {
    pair: Arc<KeyPair>,
    keyid: Arc<str>,
}

impl Signer {
    /// Reads the seed of a signing key (`SV...`).
    pub fn from_seed(seed: &str) -> Result<Self, KeyError> {
        Self::of_kind(seed, KeyPairType::Service, "the seed of a signing key (SV...)")
    }

    /// Reads the seed of a registrar key (`SO...`).
    pub fn registrar_from_seed(seed: &str) -> Result<Self, KeyError> {
        Self::of_kind(seed, KeyPairType::Operator, "the seed of a registrar key (SO...)")
    }

    fn of_kind(seed: &str, kind: KeyPairType, expected: &'static str) -> Result<Self, KeyError> {
        let wrong = KeyError { expected };
        let pair = KeyPair::from_seed(seed.trim()).map_err(|_| wrong)?;
        if std::mem::discriminant(&pair.key_pair_type()) != std::mem::discriminant(&kind) {
            return Err(wrong);
        }
        let keyid = pair.public_key().into();
        Ok(Self { pair: Arc::new(pair), keyid })
    }

    /// The public key as text.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// 64 bytes of ed25519 over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        // A pair made from a seed always holds its private half; signing cannot fail then.
        self.pair.sign(message).unwrap_or_default()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.keyid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_for_one_use_is_refused_for_another() {
        let (signing, connect) = (KeyPair::new_service(), KeyPair::new_user());
        assert!(signing.public_key().parse::<SigningKey>().is_ok());
        assert!(signing.public_key().parse::<ConnectKey>().is_err());
        assert!(connect.public_key().parse::<SigningKey>().is_err());
        assert!(Signer::from_seed(&connect.seed().unwrap()).is_err());
        assert!(Signer::registrar_from_seed(&signing.seed().unwrap()).is_err());
    }

    #[test]
    fn a_signer_does_not_print_its_seed() {
        let pair = KeyPair::new_service();
        let seed = pair.seed().unwrap();
        let signer = Signer::from_seed(&seed).unwrap();
        assert!(!format!("{signer:?}").contains(&seed));
        assert!(pair.public_key().parse::<SigningKey>().unwrap().verifies(b"m", &signer.sign(b"m")));
    }
}
