//! A receipt's way back to the jail: to which one it goes, or why not (`place`), how long one that no registry here can
//! place yet may wait (`Later`), and how many go into one answer (`Parts`).

mod later;
mod parts;
#[cfg(test)]
mod tests;

use prost::Message as _;
use sallyport_proto::{
    envelope::OpenError,
    ids::{Jurisdiction, Ori, SubscriberId},
    limits,
    receipt::{Receipt, ReceiptError},
    registry::Registry,
    wire,
};

pub use later::{Later, WAIT};
pub use parts::Parts;

/// Why a message on RECEIPTS is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum NotPlaced {
    /// More than a subscriber may say at once.
    #[error("{bytes} bytes are over the limit of {}", limits::RECEIPT_MESSAGE_BYTES_MAX)]
    TooLarge {
        /// Of the message.
        bytes: usize,
    },
    /// Not a receipt, or not signed with the subscriber's key.
    #[error("{0}")]
    Receipt(#[from] ReceiptError),
    /// Signed with a key that somebody else has: no registry will ever say otherwise.
    #[error("signed with the key of another party")]
    OthersKey,
    /// One subscriber speaks for another.
    #[error("states receipts of {claimed} on the subject of {subject}")]
    OtherSubscriber {
        /// Of the receipt.
        claimed: SubscriberId,
        /// Whose subject it came on: accounts let nobody else publish there.
        subject: SubscriberId,
    },
    /// Not in this registry.
    #[error("subscriber {0} is not in the registry")]
    UnknownSubscriber(SubscriberId),
    /// Not in this registry.
    #[error("facility {0} is not in the registry")]
    UnknownFacility(Ori),
}

impl NotPlaced {
    /// A newer registry, here or at another node, may know who said it and to whom it goes.
    pub fn may_pass_later(&self) -> bool {
        match self {
            Self::UnknownSubscriber(_) | Self::UnknownFacility(_) => true,
            Self::Receipt(error) => matches!(error, ReceiptError::Open(OpenError::UnknownKey)),
            Self::TooLarge { .. } | Self::OthersKey | Self::OtherSubscriber { .. } => false,
        }
    }
}

/// To which jail a receipt goes that came on the subject of `from`.
///
/// # Errors
/// [`NotPlaced`]: whether it may be placed later, [`NotPlaced::may_pass_later`] says.
pub fn place(
    receipt: &[u8],
    from: &SubscriberId,
    registry: &Registry,
) -> Result<(Jurisdiction, Ori), NotPlaced> {
    if receipt.len() > limits::RECEIPT_MESSAGE_BYTES_MAX {
        return Err(NotPlaced::TooLarge { bytes: receipt.len() });
    }
    let subscriber =
        registry.subscribers.get(from).ok_or_else(|| NotPlaced::UnknownSubscriber(from.clone()))?;
    let opened = Receipt::open(receipt, &subscriber.signing_key).map_err(|error| {
        let unknown = matches!(error, ReceiptError::Open(OpenError::UnknownKey));
        if unknown && names_a_listed_key(receipt, registry) {
            return NotPlaced::OthersKey;
        }
        NotPlaced::Receipt(error)
    })?;
    if opened.subscriber != *from {
        return Err(NotPlaced::OtherSubscriber { claimed: opened.subscriber, subject: from.clone() });
    }
    let facility =
        registry.facilities.get(&opened.ori).ok_or_else(|| NotPlaced::UnknownFacility(opened.ori.clone()))?;
    Ok((facility.jurisdiction.clone(), facility.ori.clone()))
}

fn names_a_listed_key(envelope: &[u8], registry: &Registry) -> bool {
    let Ok(envelope) = wire::Envelope::decode(envelope) else { return false };
    let listed = |keyid: &str| {
        let subscribers = registry.subscribers.values().map(|subscriber| &subscriber.signing_key);
        let facilities = registry.facilities.values().map(|facility| &facility.signing_key);
        let mut keys = subscribers.chain(facilities).chain(registry.relay_keys());
        keys.any(|key| key.as_str() == keyid)
    };
    envelope.signatures.iter().any(|signature| listed(&signature.keyid))
}
