//! Opens a signed message as its checked type: envelope, signature, fields, in this order. Whose key is right for a
//! message is the caller's to say, from the registry.
//!
//! Out of scope: release events, whose disclosures are checked against the head as well (`event`).

use prost::Message;

use crate::{
    envelope::{self, OpenError, PayloadType, Unverified},
    field::FieldError,
    key::SigningKey,
    notice::open_by_any,
};

/// Why bytes are not the signed message that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The envelope does not open.
    #[error("envelope: {0}")]
    Open(#[from] OpenError),
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Reads what the payload claims, before any check of the signature.
pub(crate) fn claimed<W, C>(
    bytes: &[u8],
    payload_type: PayloadType,
    name: &'static str,
) -> Result<C, SignedError>
where
    W: Message + Default,
    C: TryFrom<W, Error = FieldError>,
{
    let envelope = Unverified::read(bytes, payload_type)?;
    Ok(decode::<W, C>(envelope.claimed_payload(), name)?)
}

/// Opens what `key` signed.
pub(crate) fn open<W, C>(
    bytes: &[u8],
    payload_type: PayloadType,
    key: &SigningKey,
    name: &'static str,
) -> Result<C, SignedError>
where
    W: Message + Default,
    C: TryFrom<W, Error = FieldError>,
{
    Ok(decode::<W, C>(&envelope::open(bytes, payload_type, key)?, name)?)
}

/// Opens what any of several relay nodes signed.
pub(crate) fn open_by_relay<'k, W, C>(
    bytes: &[u8],
    payload_type: PayloadType,
    relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    name: &'static str,
) -> Result<C, SignedError>
where
    W: Message + Default,
    C: TryFrom<W, Error = FieldError>,
{
    Ok(decode::<W, C>(&open_by_any(bytes, payload_type, relay_keys)?, name)?)
}

fn decode<W, C>(payload: &[u8], name: &'static str) -> Result<C, FieldError>
where
    W: Message + Default,
    C: TryFrom<W, Error = FieldError>,
{
    W::decode(payload).map_err(|_| FieldError::undecodable(name))?.try_into()
}
