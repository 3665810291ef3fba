//! DSSE envelopes: signing, opening, digests. What is signed is forwarded as it came; nothing here encodes a payload
//! a second time. Who may sign what is the caller's to say: it passes the key.

use std::fmt;

use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::{
    key::{RegistrarKey, Signer, SigningKey},
    wire,
};

/// What an envelope carries. One per signed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadType {
    /// `ReleaseHead`, by a facility.
    ReleaseHead,
    /// `Notice`, by a relay node.
    Notice,
    /// `Routed`, by a relay node.
    Routed,
    /// `SubscriberHead`, by a relay node.
    SubscriberHead,
    /// `Receipt`, by a subscriber.
    Receipt,
    /// `Answer`, by a relay node.
    Answer,
    /// `Outcome`, by a facility or a subscriber.
    Outcome,
    /// `Request`, by a subscriber.
    Request,
    /// `Reply`, by a facility.
    Reply,
    /// `Availability`, by a subscriber.
    Availability,
    /// `Control`, by a relay node.
    Control,
    /// `Heartbeat`, by a facility.
    Heartbeat,
    /// `Parked`, by a relay node.
    Parked,
    /// The registry file, by the registrar.
    Registry,
}

impl PayloadType {
    /// The text inside the envelope and under the signature.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReleaseHead => "application/vnd.sallyport.release-head.v1+protobuf",
            Self::Notice => "application/vnd.sallyport.notice.v1+protobuf",
            Self::Routed => "application/vnd.sallyport.routed.v1+protobuf",
            Self::SubscriberHead => "application/vnd.sallyport.subscriber-head.v1+protobuf",
            Self::Receipt => "application/vnd.sallyport.receipt.v1+protobuf",
            Self::Answer => "application/vnd.sallyport.answer.v1+protobuf",
            Self::Outcome => "application/vnd.sallyport.outcome.v1+protobuf",
            Self::Request => "application/vnd.sallyport.request.v1+protobuf",
            Self::Reply => "application/vnd.sallyport.reply.v1+protobuf",
            Self::Availability => "application/vnd.sallyport.availability.v1+protobuf",
            Self::Control => "application/vnd.sallyport.control.v1+protobuf",
            Self::Heartbeat => "application/vnd.sallyport.heartbeat.v1+protobuf",
            Self::Parked => "application/vnd.sallyport.parked.v1+protobuf",
            Self::Registry => "application/vnd.sallyport.registry.v1+toml",
        }
    }
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes` as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// For wire fields.
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// base64url without padding: what Msg-Ids are made of.
    pub fn to_base64url(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&self.0)
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = std::array::TryFromSliceError;
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self(bytes.try_into()?))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why an envelope was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a protobuf envelope, or one without exactly one signature of 64 bytes.
    #[error("not an envelope with one signature")]
    Malformed,
    /// Carries something else than expected.
    #[error("carries another payload type than {expected}")]
    WrongType {
        /// What was expected.
        expected: &'static str,
    },
    /// Names a key that is not the one the registry lists for this signer.
    #[error("signed with a key the registry does not list for this signer")]
    UnknownKey,
    /// The named key did not make the signature.
    #[error("signature does not verify")]
    BadSignature,
}

/// The DSSE pre-authentication encoding: what is signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload_type.len() + 32);
    out.extend_from_slice(b"DSSEv1 ");
    out.extend_from_slice(payload_type.len().to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(payload_type.as_bytes());
    out.push(b' ');
    out.extend_from_slice(payload.len().to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(payload);
    out
}

/// Signs `payload` and gives the encoded envelope: the bytes that travel.
pub fn seal(signer: &Signer, payload_type: PayloadType, payload: Vec<u8>) -> Vec<u8> {
    let sig = signer.sign(&pae(payload_type.as_str(), &payload));
    wire::Envelope {
        payload,
        payload_type: payload_type.as_str().to_owned(),
        signatures: vec![wire::Signature { keyid: signer.keyid().to_owned(), sig }],
    }
    .encode_to_vec()
}

/// An envelope that was read, not yet verified: its payload says who claims to have signed it, no more.
pub struct Unverified {
    envelope: wire::Envelope,
}

impl Unverified {
    /// Reads an envelope of one signature.
    pub fn read(bytes: &[u8], payload_type: PayloadType) -> Result<Self, OpenError> {
        let envelope = wire::Envelope::decode(bytes).map_err(|_| OpenError::Malformed)?;
        if envelope.signatures.len() != 1 {
            return Err(OpenError::Malformed);
        }
        if envelope.payload_type != payload_type.as_str() {
            return Err(OpenError::WrongType { expected: payload_type.as_str() });
        }
        Ok(Self { envelope })
    }

    /// The payload, for finding out whose key to ask for.
    pub fn claimed_payload(&self) -> &[u8] {
        &self.envelope.payload
    }

    /// The payload, once `key` is known to have signed it.
    pub fn verify(self, key: &SigningKey) -> Result<Vec<u8>, OpenError> {
        self.check(key.as_str(), |message, sig| key.verifies(message, sig))
    }

    /// The same with the registrar's key.
    pub fn verify_registrar(self, key: &RegistrarKey) -> Result<Vec<u8>, OpenError> {
        self.check(key.as_str(), |message, sig| key.verifies(message, sig))
    }

    fn check(self, keyid: &str, verifies: impl Fn(&[u8], &[u8]) -> bool) -> Result<Vec<u8>, OpenError> {
        let signature = self.envelope.signatures.first().ok_or(OpenError::Malformed)?;
        if signature.keyid != keyid {
            return Err(OpenError::UnknownKey);
        }
        if !verifies(&pae(&self.envelope.payload_type, &self.envelope.payload), &signature.sig) {
            return Err(OpenError::BadSignature);
        }
        Ok(self.envelope.payload)
    }
}

/// Reads and verifies in one step.
pub fn open(bytes: &[u8], payload_type: PayloadType, key: &SigningKey) -> Result<Vec<u8>, OpenError> {
    Unverified::read(bytes, payload_type)?.verify(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Signer, SigningKey) {
        let pair = nkeys::KeyPair::new_service();
        (Signer::from_seed(&pair.seed().unwrap()).unwrap(), pair.public_key().parse().unwrap())
    }

    #[test]
    fn the_encoding_is_that_of_the_dsse_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn opens_what_was_sealed_and_nothing_else() {
        let (signer, key) = pair();
        let bytes = seal(&signer, PayloadType::Receipt, b"payload".to_vec());
        assert_eq!(open(&bytes, PayloadType::Receipt, &key).unwrap(), b"payload");
        assert!(matches!(open(&bytes, PayloadType::Notice, &key), Err(OpenError::WrongType { .. })));
        assert_eq!(open(&bytes, PayloadType::Receipt, &pair().1), Err(OpenError::UnknownKey));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let (signer, key) = pair();
        let bytes = seal(&signer, PayloadType::Receipt, b"payload".to_vec());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed, PayloadType::Receipt, &key).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_envelope_without_a_signature_or_with_two_is_refused() {
        let (signer, key) = pair();
        let mut envelope =
            wire::Envelope::decode(&*seal(&signer, PayloadType::Receipt, b"p".to_vec())).unwrap();
        envelope.signatures.push(envelope.signatures[0].clone());
        assert_eq!(open(&envelope.encode_to_vec(), PayloadType::Receipt, &key), Err(OpenError::Malformed));
        envelope.signatures.clear();
        assert_eq!(open(&envelope.encode_to_vec(), PayloadType::Receipt, &key), Err(OpenError::Malformed));
    }
}
